"""The client's socket, as servers show it."""

import contextlib
import io
import os
import select
import socket
import struct
import sys
import types

import pytest

from sse_sync.server import SERVERS, find_server
from sse_sync.streams import client_socket
from sse_sync.streams.client_socket import (
    ClientSocket,
    find_client_socket,
    is_acknowledged,
    reset_at_close,
)
from tests.core.environs import class_named, environs
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def nothing_is_logged(monkeypatch):
    """As at the start of a process."""
    monkeypatch.setattr(client_socket, "_logged", set())


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_not_every_server_shows_it(caplog):
    """What does not work without it is logged once for each server."""
    granian = {"SERVER_SOFTWARE": "Granian", "wsgi.input": io.BytesIO()}
    other = {"SERVER_SOFTWARE": "other", "wsgi.input": io.BytesIO()}
    for environ in (granian, other, granian, other):
        assert find_client_socket(environ) is None
    (first, second) = caplog.messages
    assert first.startswith("event streams on granian: the clients' sockets are not known here")
    assert second.startswith("event streams on this server: the clients' sockets are not known")


def test_a_test_client_has_none(caplog):
    """And nothing is logged."""
    assert find_client_socket({}) is None
    assert caplog.messages == []


def test_cgi(caplog):
    """CGI is like wsgiref, but its standard input is not a socket."""
    with open("/dev/null", "rb") as stdin:
        environ = {"SERVER_SOFTWARE": "Apache", "wsgi.input": stdin}
        assert find_server(environ).name == "wsgiref"
        assert find_client_socket(environ) is None
    assert "the clients' sockets are not known here" in caplog.text


def served(**values):
    """An environ with a server's values."""
    names = {name.replace("_", ".", 1): value for name, value in values.items()}
    return {"SERVER_SOFTWARE": "x", "wsgi.input": io.BytesIO(), **names}


def test_strange_values(pair):
    """A value that only resembles a server's is not a connection."""
    ours, _ = pair
    assert find_client_socket(served(gunicorn_socket=object())) is None
    assert find_client_socket(served(waitress_client_disconnected=len)) is None
    assert find_client_socket(served(wsgi_input=class_named("gevent.pywsgi.Input"))) is None
    assert find_client_socket(served(gunicorn_socket=ours)).fd == ours.fileno()
    ours.close()
    assert find_client_socket(served(gunicorn_socket=ours)) is None


@pytest.mark.parametrize("name", [server.name for server in SERVERS if server.fileno])
def test_table(pair, name, monkeypatch):
    """Each server's socket is found."""
    ours, _ = pair
    uwsgi = types.SimpleNamespace(connection_fd=ours.fileno)
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    rfile, known = environs(ours)
    with rfile:
        environ = {**served(), **known[name]}
        assert find_server(environ).name == name
        connection = find_client_socket(environ)
        assert os.path.sameopenfile(connection.fd, ours.fileno())
        # waitress may close the socket early, so its connection is a duplicate.
        assert (connection.fd == ours.fileno()) == (name != "waitress")
        connection.release()
        assert ours.fileno() >= 0


def test_prepare_tcp():
    """A TCP connection sends at once and notices a vanished peer; its owner keeps it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with server, client:
        ClientSocket(server.fileno()).prepare(2.5)
        assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3500
        server.sendall(b"still open")
        assert client.recv(100) == b"still open"


def test_prepare_others(pair):
    """Other sockets, and closed ones, are left alone."""
    ours, theirs = pair
    ClientSocket(ours.fileno()).prepare(1)
    ours.sendall(b"x")
    assert theirs.recv(1) == b"x"
    ours.close()
    ClientSocket(10_000).prepare(1)
    ClientSocket(10_000).abort()
    ClientSocket(10_000).forget_error()
    ClientSocket(10_000).stop_reading()


def test_abort(pair):
    """Both directions are shut down, and the descriptor stays open."""
    ours, theirs = pair
    ClientSocket(ours.fileno()).abort()
    with pytest.raises(BrokenPipeError):
        ours.sendall(b"x")
    assert theirs.recv(1) == b""
    assert ours.fileno() >= 0


def test_release(pair):
    """A released connection does not touch the next owner of its descriptor."""
    ours, theirs = pair
    connection = ClientSocket(ours.fileno())
    connection.release()
    connection.release()
    connection.abort()
    connection.prepare(1)
    ours.sendall(b"x")
    assert theirs.recv(1) == b"x"


def test_end_writing(reset_by_peer):
    """The peer has what was written, and no reset although it has sent more than was read."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, peer:
        peer.sendall(b"unread" * 10_000)
        ours.sendall(b"all of it")
        ClientSocket(ours.fileno()).end_writing()
        with pytest.raises(BrokenPipeError):
            ours.sendall(b"last chunk")
        ours.close()
        assert peer.recv(100) == b"all of it"
        assert peer.recv(100) == b""
    ClientSocket(reset_by_peer.fileno()).end_writing()
    ClientSocket(10_000).end_writing()


def test_reset():
    """The peer has what it has acknowledged, and then an error instead of an end."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, peer:
        ours.sendall(b"all of it")
        wait_for(lambda: is_acknowledged(ours.fileno()), "its acknowledgement")
        ClientSocket(ours.fileno()).reset()
        ours.close()
        assert peer.recv(100) == b"all of it"
        with pytest.raises(ConnectionResetError):
            peer.recv(100)


@pytest.mark.parametrize("wanted", [True, False])
def test_reset_at_close(wanted):
    """Closing it tells the peer whether the body was complete."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, peer:
        reset_at_close(ours, True)
        reset_at_close(ours, wanted)
        ours.sendall(b"all of it")
        wait_for(lambda: is_acknowledged(ours.fileno()), "its acknowledgement")
        ours.close()
        assert peer.recv(100) == b"all of it"
        with pytest.raises(ConnectionResetError) if wanted else contextlib.nullcontext():
            assert peer.recv(100) == b""
    reset_at_close(ours, True)  # It is closed already.


def test_reset_of_another_kind():
    """A unix socket has no resets, and stays as it is."""
    ours, peer = socket.socketpair()
    with ours, peer:
        ClientSocket(ours.fileno()).reset()
        reset_at_close(ours, True)
        ours.sendall(b"on")
        assert peer.recv(10) == b"on"


def test_stop_reading(pair):
    """Nothing more can be read, and what is written still arrives."""
    ours, theirs = pair
    ClientSocket(ours.fileno()).stop_reading()
    assert ours.recv(1) == b""
    ours.sendall(b"x")
    assert theirs.recv(1) == b"x"


def test_idle(pair):
    """The system reports whether a client has received everything."""
    ours, theirs = pair
    connection = ClientSocket(ours.fileno())
    assert connection.is_idle()
    ours.send(b"x")
    assert not connection.is_idle()
    theirs.recv(1)
    assert connection.is_idle()
    connection.release()
    assert not connection.is_idle()


@pytest.fixture
def reset_by_peer():
    """A server's socket whose client has reset the connection, so that an error is pending."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with server:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        hung_up = select.poll()
        hung_up.register(server, 0)
        assert hung_up.poll(10_000)[0][1] & select.POLLERR
        yield server


def test_pending_error_is_forgotten(reset_by_peer):
    """After a reset the server's next write fails as if the client had left: servers log others."""
    ClientSocket(reset_by_peer.fileno()).forget_error()
    with pytest.raises(BrokenPipeError):
        reset_by_peer.send(b"x")


def test_pending_error(reset_by_peer):
    """Otherwise it fails with the reset, which is what the test before relies on."""
    with pytest.raises(ConnectionResetError):
        reset_by_peer.send(b"x")
