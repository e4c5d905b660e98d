"""How the body of a handed-off connection ends: its last bytes, and how it is closed."""

import contextlib
import socket

import pytest

from sse_sync.streams.client_socket import reset_at_close
from sse_sync.streams.dialect import LastWords
from sse_sync.streams.handoff import ending
from sse_sync.streams.handoff.ending import PATIENCE, close_after, last_bytes

WHOLE, BROKEN_OFF = LastWords(b"bye\n\n", is_clean=True), LastWords(b"", is_clean=False)


@pytest.mark.parametrize(
    ("words", "chunked", "expected"),
    [
        (WHOLE, True, b"5\r\nbye\n\n\r\n0\r\n\r\n"),
        (WHOLE, False, b"bye\n\n"),
        (BROKEN_OFF, True, b""),
        (BROKEN_OFF, False, b""),
        (LastWords(b"", is_clean=True), True, b"0\r\n\r\n"),
        (LastWords(b"retry: 1\n", is_clean=False), True, b"9\r\nretry: 1\n\r\n"),
    ],
)
def test_last_bytes(words, chunked, expected):
    """Only a whole body has a last chunk."""
    assert last_bytes(words, chunked) == expected


@pytest.fixture
def pair():
    """A TCP connection that is reset when it is closed, and its client."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=10)
        ours, _ = listener.accept()
    with ours, client:
        reset_at_close(ours, True)
        yield ours, client


@pytest.fixture
def end(pair, runtime):
    """End the body, and return whether the connection has been closed since."""
    ours, _ = pair

    def end(words, *, chunked=False, patience=5.0):
        close_after(words, ours, chunked, runtime.reactor, patience, ours.close)
        return lambda: ours.fileno() < 0

    return end


@pytest.mark.parametrize(
    ("words", "chunked"), [(WHOLE, False), (WHOLE, True), (BROKEN_OFF, True)], ids=str
)
def test_no_reset(pair, end, words, chunked):
    """It is closed at once, and input that nobody has read causes no reset."""
    ours, client = pair
    client.sendall(b"the rest of a body")
    ours.recv(1, socket.MSG_PEEK)
    assert end(words, chunked=chunked)()
    assert client.recv(10) == b""


def test_reset(pair, end, runtime, monkeypatch):
    """It is reset once the client's system has everything."""
    _, client = pair
    monkeypatch.setattr(ending, "is_acknowledged", lambda fd: False)
    is_closed = end(BROKEN_OFF)
    runtime.advance(1)
    assert not is_closed()
    monkeypatch.setattr(ending, "is_acknowledged", lambda fd: True)
    runtime.advance(0.1)
    assert is_closed()
    with pytest.raises(ConnectionResetError):
        client.recv(10)


@pytest.mark.parametrize("patience", [5.0, None])
def test_client_that_acknowledges_nothing(pair, end, runtime, monkeypatch, patience):
    """It is reset all the same, after the write timeout or, without one, a minute."""
    monkeypatch.setattr(ending, "is_acknowledged", lambda fd: False)
    is_closed = end(BROKEN_OFF, patience=patience)
    last = patience or PATIENCE
    runtime.advance(last - 0.1)
    assert not is_closed()
    runtime.advance(0.2)
    assert is_closed()


def test_connection_that_is_closed_meanwhile(pair, runtime, monkeypatch):
    """It is left alone: its descriptor may be another client's by then."""
    ours, _ = pair
    asked, closed = [], []
    monkeypatch.setattr(ending, "is_acknowledged", asked.append)
    close_after(BROKEN_OFF, ours, False, runtime.reactor, 5.0, lambda: closed.append(ours.fileno()))
    ours.close()
    runtime.advance(10)
    assert asked == closed == []
