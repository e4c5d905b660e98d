"""gunicorn's workers in a deploy, when full, and on other transports."""

import contextlib
import ctypes
import http.client
import re
import signal
import socket
import ssl
import struct
import threading
import time

import pytest

from sse_sync import EventStreamParser
from sse_sync.testing import LiveStream
from tests.live.servers import READY, read_until_it_blocks
from tests.tls import make_certificate
from tests.waiting import wait_for

WORKERS = ["gunicorn-gevent-flask", "gunicorn-gthread-django"]
# For a busy machine, and far from what these tests exclude: sources that block for ten minutes, and
# a worker that waits for its streams as long as gunicorn lets it, which is for 30 s.
PROMPT = 10.0


def rest(stream):
    """Return the rest of a stream, and its reconnection time."""
    parser = EventStreamParser()
    data = b""
    # With heartbeats it would wait for ever if the end never came.
    deadline = time.monotonic() + 60
    with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
        while chunk := stream.read():
            data += chunk
            assert time.monotonic() < deadline, f"the stream goes on: {data[-200:]}"
    parser.feed(data)
    return data, parser.retry


@pytest.mark.parametrize("name", [*WORKERS, "gunicorn-gevent_pywsgi-flask"])
def test_sigterm(start, key, name):
    """A deploy does not wait for streams: each client gets its own reconnection time."""
    server = start(name)
    streams = [server.stream(f"/stream/sleeping?key={key}-{n}") for n in range(5)]
    for stream in streams:
        assert next(stream) == READY
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    retries = []
    for stream in streams:
        _, retry = rest(stream)
        retries.append(retry)
    server.wait(20)
    # gunicorn checks once a second; no kept-alive connection holds it longer.
    assert time.monotonic() - began < PROMPT
    assert all(2000 <= retry <= 4000 for retry in retries)
    assert len(set(retries)) > 1
    assert server.output().count("ended: server stopping") == 5
    for stream in streams:
        stream.close()


@pytest.mark.parametrize("name", WORKERS)
def test_sigterm_with_a_client_that_does_not_read(start, key, name):
    """A client that reads nothing does not hold up a deploy."""
    server = start(name)
    with socket.create_connection(("127.0.0.1", server.port)) as stalled:
        request = f"GET /stream/flooding?key={key} HTTP/1.1\r\nHost: x\r\n\r\n"
        stalled.sendall(request.encode())
        with server.stream(f"/stream/sleeping?key={key}-2") as other:
            assert next(other) == READY
            began = time.monotonic()
            server.signal(signal.SIGTERM)
            rest(other)
            server.wait(20)
    assert time.monotonic() - began < PROMPT
    assert "Traceback" not in server.output()


def test_sigterm_leaves_time_for_cleanup(start, key, tmp_path):
    """Under gevent, a generator's short finally is not cut off."""
    server = start("gunicorn-gevent-flask", TEST_FOLDER=str(tmp_path))
    with server.stream(f"/stream/tidy?key={key}") as stream:
        assert next(stream) == READY
        server.signal(signal.SIGTERM)
        rest(stream)
        server.wait(20)
    assert (tmp_path / key).read_text() == "tidied up"


@pytest.mark.parametrize("name", WORKERS)
def test_sighup(start, key, name):
    """A reload moves clients to the new worker at once, and leaves no stream behind."""
    server = start(name)
    before = server.json("/figures")["pid"]
    with server.stream(f"/stream/sleeping?key={key}") as stream:
        assert next(stream) == READY
        began = time.monotonic()
        server.signal(signal.SIGHUP)
        _, retry = rest(stream)
        assert 2000 <= retry <= 4000
        assert time.monotonic() - began < 2 * PROMPT  # The new worker boots first.
    wait_for(lambda: not is_alive(before), "the old worker to end")
    after = server.json("/figures")["pid"]
    assert after != before
    with server.stream(f"/stream/sleeping?key={key}-2") as stream:
        assert next(stream) == READY


def is_alive(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    return False


@pytest.mark.parametrize("name", WORKERS)
def test_max_requests(start, key, name):
    """At max_requests, a worker ends its streams, and another takes over."""
    server = start(name, "--max-requests", "6")
    pid = server.json("/figures")["pid"]
    with server.stream(f"/stream/sleeping?key={key}") as stream:
        assert next(stream) == READY
        began = time.monotonic()
        # The last of these have to wait for the next worker.
        asking = threading.Thread(target=_ask, args=[server], daemon=True)
        asking.start()
        _, retry = rest(stream)
        assert 2000 <= retry <= 4000
        assert time.monotonic() - began < PROMPT
    asking.join(60)
    wait_for(lambda: _other_pid(server, pid), "another worker")


def _ask(server):
    for _ in range(6):
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.get("/plain")


def _other_pid(server, pid):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.json("/figures")["pid"] != pid


@pytest.mark.parametrize("name", WORKERS)
def test_stream_on_a_stopping_worker(start, key, name):
    """A stream opened on a kept-alive connection to a stopping worker ends at once."""
    server = start(name)
    with server.stream(f"/stream/sleeping?key={key}") as other:
        assert next(other) == READY
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        headers = {"Accept": "text/event-stream"}
        connection.request("GET", "/plain")
        assert connection.getresponse().read() == b"ok"
        server.signal(signal.SIGTERM)
        rest(other)
    began = time.monotonic()
    connection.request("GET", f"/stream/sleeping?key={key}-2", headers=headers)
    response = connection.getresponse()
    assert response.status == 200
    with pytest.raises(http.client.IncompleteRead) as broken_off:
        response.read()
    assert re.fullmatch(rb"retry: [234]\d\d\d\n", broken_off.value.partial)
    assert response.getheader("Connection") == "close"
    assert time.monotonic() - began < PROMPT
    server.wait(20)
    connection.close()
    assert server.output().count("event stream /stream/sleeping ended") == 1


@pytest.mark.parametrize(
    ("name", "extra", "streams", "advice"),
    [
        ("gunicorn-gthread-flask", ("--threads", "4"), 3, "Raise gunicorn's --threads"),
        (
            "gunicorn-gevent-django",
            ("--worker-connections", "20"),
            18,
            "Raise gunicorn's --worker-connections",
        ),
    ],
)
def test_full(start, key, name, extra, streams, advice):
    """A full worker still answers: event sources are told to reconnect, others get 503."""
    server = start(name, *extra)
    with contextlib.ExitStack() as stack:
        for number in range(streams):
            stream = stack.enter_context(server.stream(f"/stream/sleeping?key={key}-{number}"))
            assert next(stream) == READY
        with server.stream(f"/stream/sleeping?key={key}-x") as refused:
            assert refused.status == 200
            _, retry = rest(refused)
            assert 30_000 <= retry <= 60_000
        with server.stream("/stream/sleeping", headers={"Accept": "*/*"}) as refused:
            assert refused.status == 503
            assert 30 <= int(refused.headers["Retry-After"]) <= 60
        assert server.get("/plain") == b"ok"
        assert server.json("/figures")["open"] == streams
        assert server.json("/figures")["refused"] == 2
        assert f"this process has reached its limit of {streams}. {advice}" in server.output()
    wait_for(lambda: server.json("/figures")["open"], "the streams to be closed", equals=0)
    with server.stream(f"/stream/sleeping?key={key}-y") as stream:
        assert next(stream) == READY


@pytest.mark.parametrize(
    ("name", "extra", "warning"),
    [
        ("gunicorn-gevent-flask", ("-k", "sync"), "run gunicorn -k gevent"),
        ("gunicorn-gevent-flask", ("-k", "tornado"), "buffers a stream until its end"),
        ("gunicorn-gthread-django", ("--threads", "1"), "at most 1 stream(s)"),
        ("gunicorn-gthread-flask", ("--threads", "2"), "at most 1 stream(s)"),
    ],
)
def test_unfit_worker(start, key, name, extra, warning):
    """A worker that can hold few streams logs it once, and serves one."""
    server = start(name, *extra)
    assert server.output().count(warning) == 1
    with server.stream(f"/stream/count?key={key}") as stream:
        assert stream.take(3)[-1].id == "3"
    assert server.output().count(warning) == 1


def test_sync_worker_streams(start, key):
    """Even the sync worker sends heartbeats and notices a disconnect."""
    server = start("gunicorn-gevent-flask", "-k", "sync")
    with server.stream(f"/stream/sleeping?key={key}", comments=True) as stream:
        read_until_it_blocks(stream)
    server.wait_for_mark(key, "CLIENT_GONE")


@pytest.mark.parametrize("name", WORKERS)
def test_disconnect_needs_no_heartbeat(start, key, name):
    """It is noticed without a write that fails."""
    server = start(name, TEST_HEARTBEAT="60")
    with server.stream(f"/stream/sleeping?key={key}") as stream:
        assert next(stream) == READY
    server.wait_for_mark(key, "CLIENT_GONE")


@pytest.mark.parametrize("name", WORKERS)
def test_preload(start, key, name):
    """A worker uses nothing of the master process's."""
    server = start(name, "--preload", "--workers", "2")
    with contextlib.ExitStack() as stack:
        for number in range(6):
            url = f"/stream/sleeping?key={key}-{number}"
            stream = stack.enter_context(server.stream(url, comments=True))
            read_until_it_blocks(stream)
    wait_for(lambda: server.output().count("ended: client gone"), "all six to be noticed", equals=6)
    server.signal(signal.SIGTERM)
    server.wait(20)


@pytest.mark.parametrize("name", WORKERS)
def test_unix_socket(start, key, name, tmp_path):
    """Everything works the same on a unix socket, as behind nginx."""
    path = tmp_path / "gunicorn.sock"
    server = start(name, "-b", f"unix:{path}")

    def connect():
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        return sock

    url = f"http://localhost/stream/sleeping?key={key}"
    stream = LiveStream(url, connection=connect(), comments=True)
    read_until_it_blocks(stream)
    gone = time.monotonic()
    stream.close()
    assert server.wait_for_mark(key, "CLIENT_GONE") - gone < PROMPT


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("name", WORKERS)
def test_tls(start, key, name, certificate):
    """Under TLS, a disconnect is noticed after the encrypted close message."""
    cert, private = certificate
    context = ssl.create_default_context(cafile=str(cert))
    server = start(name, f"--certfile={cert}", f"--keyfile={private}", context=context)
    with server.stream(f"/stream/sleeping?key={key}", comments=True) as stream:
        read_until_it_blocks(stream)
        gone = time.monotonic()
    assert server.wait_for_mark(key, "CLIENT_GONE") - gone < PROMPT
    with server.stream(f"/stream/count?key={key}-2") as stream:
        assert [event.id for event in stream][:3] == ["1", "2", "3"]
    with server.stream(f"/stream/sleeping?key={key}-3") as stream:
        assert next(stream) == READY
        server.signal(signal.SIGTERM)
        _, retry = rest(stream)
        assert 2000 <= retry <= 4000
        server.wait(20)
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", WORKERS)
@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_stalled_client(start, key, name, transport, tmp_path):
    """A client that stops reading is cut off, without a traceback."""
    path = tmp_path / "gunicorn.sock"
    server = start(name, "-b", f"unix:{path}", TEST_WRITE_TIMEOUT="1")
    if transport == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
    else:
        connection = socket.create_connection(("127.0.0.1", server.port))
    with connection:
        request = f"GET /stream/flooding?key={key} HTTP/1.1\r\nHost: x\r\n\r\n"
        began = time.monotonic()
        connection.sendall(request.encode())
        assert server.wait_for_mark(key, "CLIENT_GONE", 20) - began > 0.9
        server.wait_for_mark(key, "finally")
    wait_for(lambda: server.json("/figures")["open"], "the end", equals=0)
    assert "Traceback" not in server.output()


def vanish(sock):
    # A filter that drops every packet: the peer sends, and gets no answer.
    # linux/filter.h: BPF_RET | BPF_K with 0 bytes to keep.
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    pointer = struct.pack("HL", 1, ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, 26, pointer)  # SO_ATTACH_FILTER


@pytest.mark.parametrize("name", WORKERS)
def test_vanished_client(start, key, name):
    """A client whose machine loses power is noticed, without a traceback."""
    server = start(name, TEST_WRITE_TIMEOUT="1")
    stream = server.stream(f"/stream/sleeping?key={key}")
    assert next(stream) == READY
    began = time.monotonic()
    vanish(stream._socket)
    # The kernel's own patience doubles between two attempts; without a limit it takes minutes.
    assert server.wait_for_mark(key, "CLIENT_GONE", 30) - began > 0.9
    stream.close()
    wait_for(lambda: server.json("/figures")["open"], "the end", equals=0)
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", WORKERS)
def test_lifetime(start, key, name):
    """A stream ends after its lifetime, and its client may reconnect."""
    server = start(name, TEST_LIFETIME="1")
    began = time.monotonic()
    with server.stream(f"/stream/sleeping?key={key}") as stream:
        data, retry = rest(stream)
        assert re.fullmatch(rb":\nretry: 1234\n(:\n)*data: ready\n\n(:\n)+", data)
        assert retry == 1234
    assert 0.7 < time.monotonic() - began < PROMPT
    server.wait_for_mark(key, "LIFETIME_OVER")


def test_pipelined_bytes(start, key):
    """Bytes that a client sends after its request do not hide its disconnect."""
    server = start("gunicorn-gevent-flask")
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        lines = [f"GET /stream/sleeping?key={key} HTTP/1.1", "Host: x", "", ""]
        sock.sendall(("\r\n".join(lines) + "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n").encode())
        assert b"ready" in _until(sock, b"ready")
        gone = time.monotonic()
    assert server.wait_for_mark(key, "finally") - gone < PROMPT


def _until(sock, needle):
    data = b""
    while needle not in data:
        chunk = sock.recv(65536)
        assert chunk
        data += chunk
    return data
