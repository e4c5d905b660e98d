"""The same behaviour on every server, in Flask and in Django."""

import http.client
import re
import time

import pytest

from sse_sync import END_ID, ServerSentEvent
from tests.live.servers import READY, read_until_it_blocks
from tests.waiting import wait_for

# For a busy machine; the interrupt itself takes about a millisecond. It tells noticing from waiting
# for a source, which sleeps for ten minutes.
PROMPT = 5.0


def test_headers(server, key):
    """The headers on the wire are those of an unbuffered event stream."""
    with server.stream(f"/stream/count?key={key}") as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["Cache-Control"] == "no-cache, no-transform"
        assert stream.headers["X-Accel-Buffering"] == "no"
        for name in ("Connection", "Content-Type", "Transfer-Encoding"):
            assert len(stream.headers.get_all(name, [])) <= 1
        for name in ("Content-Length", "Content-Encoding"):
            assert name not in stream.headers
        # These close every connection whose length is unknown.
        if server.kind.server not in ("flask-run", "runserver", "waitress", "waitress-lookahead"):
            assert stream.headers["Connection"] in ("keep-alive", None)


def test_first_bytes_at_once(server, key):
    """A comment and the reconnection time come before the source has anything to say."""
    started = time.monotonic()
    with server.stream(f"/stream/sleeping?key={key}", comments=True) as stream:
        read_until_it_blocks(stream, heartbeats=0)
        assert stream.parser.retry == 1234
    assert time.monotonic() - started < PROMPT


def test_heartbeat_while_blocked(server, key):
    """Comments are sent while the source sleeps."""
    with server.stream(f"/stream/sleeping?key={key}", comments=True) as stream:
        read_until_it_blocks(stream, heartbeats=2)


def test_end_marker(server, key):
    """A finished stream tells the client to stop, and again when it reconnects."""
    with server.stream(f"/stream/count?key={key}") as stream:
        events = list(stream)
    assert [event.id for event in events] == ["1", "2", "3", END_ID]
    assert events[-1] == ServerSentEvent("", event="stream-end", id=END_ID)
    server.wait_for_mark(key, "FINISHED")
    again = server.stream(f"/stream/count?key={key}-again", last_event_id=END_ID)
    with again as stream:
        assert stream.status == 204
        assert stream.read() == b""
    with server.stream(f"/stream/count?key={key}-anew", last_event_id="2") as stream:
        assert stream.status == 200
    assert "started" not in server.marks(f"{key}-again")


def test_reset_after_the_last_byte(server, key):
    """The stream is closed, though Werkzeug's server then leaves a response unclosed."""
    for number in range(20):
        stream = server.stream(f"/stream/count?key={key}-{number}")
        assert stream.take(4)[-1].id == END_ID
        stream.reset()
    for number in range(20):
        server.wait_for_mark(f"{key}-{number}", "FINISHED")


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("source", ["sleeping", "waiting", "reading"])
def test_disconnect_while_blocked(server, key, source, how):
    """An idle client's disconnect is noticed at once; under gevent its source ends at once."""
    stream = server.stream(f"/stream/{source}?key={key}", comments=True)
    read_until_it_blocks(stream)
    gone = time.monotonic()
    getattr(stream, how)()
    assert server.wait_for_mark(key, "CLIENT_GONE") - gone < PROMPT
    if server.kind.greenlets:
        assert server.wait_for_mark(key, "finally") - gone < PROMPT
    else:
        assert "finally" not in server.marks(key)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_disconnect_between_events(server, key, how):
    """A running source ends at its next step, on every server."""
    stream = server.stream(f"/stream/ticking?key={key}")
    assert next(stream) == ServerSentEvent("tick")
    gone = time.monotonic()
    getattr(stream, how)()
    assert server.wait_for_mark(key, "CLIENT_GONE") - gone < PROMPT
    assert server.wait_for_mark(key, "finally") - gone < PROMPT


def test_disconnect_in_a_flood(server, key):
    """A disconnect during a flood of events ends the source, too."""
    stream = server.stream(f"/stream/flooding?key={key}")
    next(stream)
    gone = time.monotonic()
    stream.close()
    assert server.wait_for_mark(key, "finally") - gone < PROMPT
    server.wait_for_mark(key, "CLIENT_GONE")


EXPECTED_IN_LOG = {
    "failing": "ZeroDivisionError: the secret",
    "unsendable": "which cannot be sent: make text of it",
    "exiting": "SystemExit: 3",
}


@pytest.mark.parametrize("source", EXPECTED_IN_LOG)
def test_failure(server, key, source):
    """An exception reaches the log, the client only as an event that says nothing, and no other
    stream at all.
    """
    other = server.stream(f"/stream/ticking?key={key}-other")
    next(other)
    pid = server.json("/figures")["pid"]
    with server.stream(f"/stream/{source}?key={key}") as stream:
        *_, last = list(stream)
        assert last == ServerSentEvent("internal error", event="stream-error")
        assert 10_000 <= stream.parser.retry <= 20_000
    server.wait_for_mark(key, "FAILED")
    assert server.get("/plain") == b"ok"
    expected = EXPECTED_IN_LOG[source]
    wait_for(lambda: expected in server.output(), expected)
    assert len(other.take(3)) == 3
    other.close()
    assert server.json("/figures")["pid"] == pid


def test_head(server, key):
    """HEAD gives the headers and starts nothing."""
    with server.stream(f"/stream/count?key={key}", method="HEAD") as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.read() == b""
    assert server.get("/plain") == b"ok"
    assert "started" not in server.marks(key)


def test_keep_alive_after_the_end(server, key):
    """If the server keeps connections alive, the next request on this one works."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for _ in range(3):
        connection.request("GET", f"/stream/count?key={key}")
        assert connection.getresponse().read().endswith(b"data: \n\n")
    connection.request("GET", "/plain")
    assert connection.getresponse().read() == b"ok"
    connection.close()


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_http_1_0(server, key, connection):
    """An HTTP/1.0 client gets its events, and the closed connection is the end."""
    raw = b"".join(_http_1_0(server, f"/stream/count?key={key}", connection))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0]
    # Werkzeug's development server sends chunks to HTTP/1.0 clients, too.
    if server.kind.server != "flask-run":
        assert b"transfer-encoding" not in head.lower()
        assert re.match(rb":\nretry: 1234\n(:\n)*event: count\nid: 1\n", body)
    assert b"id: sse-sync.end\ndata: \n\n" in body


def _http_1_0(server, path, connection):
    import socket

    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        lines = [f"GET {path} HTTP/1.0", "Host: x", f"Connection: {connection}", "", ""]
        sock.sendall("\r\n".join(lines).encode())
        while chunk := sock.recv(65536):
            yield chunk


def test_last_event_id(server):
    """The last event ID is UTF-8; what is unusable is ignored."""
    import urllib.request

    def last(value):
        request = urllib.request.Request(server.url + "/last")
        if value is not None:
            request.add_header("Last-Event-ID", value)
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read().strip()

    assert last(None) == b"null"
    assert last("7") == b'"7"'
    assert last("…".encode().decode("latin-1")) == b'"\\u2026"'
    assert last("\xff\xfe") == b"null"
    assert last("x" * 2000) == b"null"


def test_rubbish_last_event_id(server, key):
    """A header of 64 KiB is refused by the server or ignored; others notice nothing."""
    with server.stream(f"/stream/sleeping?key={key}") as other:
        next(other)
        try:
            with server.stream(f"/stream/count?key={key}-x", last_event_id="x" * 65_536) as stream:
                assert stream.status in (200, 400, 413, 431, 500, 502)
        except (OSError, http.client.HTTPException):
            pass  # The server closed the connection while it was being sent.
        assert other.read().startswith(b":\n")
    assert server.get("/plain") == b"ok"


def test_many_streams(server):
    """As many streams as the smallest of these servers holds, each with its own end."""
    wait_for(lambda: server.json("/figures")["open"], "streams of other tests to be gone", equals=0)
    streams = [server.stream(f"/stream/sleeping?key=many-{n}") for n in range(10)]
    for stream in streams:
        assert next(stream) == READY
    assert server.json("/figures")["open"] == 10
    for stream in streams:
        stream.close()
    wait_for(lambda: server.json("/figures")["open"], "the streams to be closed", equals=0)
