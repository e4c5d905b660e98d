"""The hand-off worker classes, on real gunicorns."""

import contextlib
import http.client
import itertools
import os
import signal
import socket
import ssl
import time

import pytest

from sse_sync.testing import LiveStream
from tests.live.test_gunicorn import PROMPT, certificate, is_alive, rest, vanish  # noqa: F401
from tests.waiting import wait_for

WORKERS = ["gunicorn-handoff-gevent-flask", "gunicorn-handoff-threads-django"]
GEVENT, THREADS = WORKERS


def handed_off(server):
    return server.json("/figures")["handed_off"]


def opened(stack, server, path="/subscribe/x", count=1, **arguments):
    streams = [stack.enter_context(server.stream(path, **arguments)) for _ in range(count)]
    for stream in streams:
        assert next(stream).event == "stream-open"
    return streams


@pytest.mark.parametrize("name", WORKERS)
def test_stop(start, name):
    """Everybody is told when to reconnect, and the worker exits."""
    server = start(name, "--access-logfile", "-")
    count = 300
    with contextlib.ExitStack() as stack:
        streams = opened(stack, server, count=count)
        wait_for(lambda: handed_off(server), "the hand-off", equals=count)
        # The request is over for the server; what was sent until now is in its log.
        line = '"GET /subscribe/x HTTP/1.1" 200'
        wait_for(lambda: server.output().count(line), "its lines in the log", equals=count)
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        retries = [rest(stream)[1] for stream in streams]
        server.wait(20)
        assert time.monotonic() - began < PROMPT
    assert all(2000 <= retry <= 4000 for retry in retries)
    assert len(set(retries)) > count / 10
    assert server.output().count("ended: server stopping") == count
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", WORKERS)
def test_everything_is_logged_at_the_end(start, name):
    """A worker exits only after its slow logger has logged every stream."""
    server = start(name, TEST_LOG_DELAY="0.005")
    with contextlib.ExitStack() as stack:
        streams = opened(stack, server, count=100)
        wait_for(lambda: handed_off(server), "the hand-off", equals=100)
        server.signal(signal.SIGTERM)
        for stream in streams:
            rest(stream)
        server.wait(20)
    assert server.output().count("ended: server stopping") == 100


@pytest.mark.parametrize("name", WORKERS)
def test_sighup(start, name):
    """A reload moves clients to the new worker."""
    server = start(name)
    with contextlib.ExitStack() as stack:
        (stream,) = opened(stack, server)
        wait_for(lambda: handed_off(server), "the hand-off", equals=1)
        pid = server.json("/figures")["pid"]
        server.signal(signal.SIGHUP)
        assert 2000 <= rest(stream)[1] <= 4000
        wait_for(lambda: not is_alive(pid), "the old worker to end")
        (stream,) = opened(stack, server)
        wait_for(lambda: handed_off(server), "the hand-off to the new worker", equals=1)
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", WORKERS)
def test_reload(start, name, tmp_path):
    """With --reload a changed file does not wait for streams."""
    watched = tmp_path / "watched.txt"
    watched.write_text("1")
    server = start(name, "--reload", "--reload-engine", "poll", "--reload-extra-file", str(watched))
    with contextlib.ExitStack() as stack:
        (stream,) = opened(stack, server)
        wait_for(lambda: handed_off(server), "the hand-off", equals=1)
        # Repeatedly, because it is not known when the poller first looks.
        times = itertools.count(time.time() + 10)

        def has_reloaded():
            os.utime(watched, (next(times),) * 2)
            return "ended: server stopping" in server.output()

        wait_for(has_reloaded, "the reload")
        assert 2000 <= rest(stream)[1] <= 4000
        wait_for(lambda: serving_process(server), "the new worker")
        (stream,) = opened(stack, server)
        wait_for(lambda: handed_off(server), "the hand-off to the new worker", equals=1)


def serving_process(server):
    """Return the id of a process that serves, or None while requests are cut off by its end."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.json("/figures")["pid"]


@pytest.mark.parametrize("name", WORKERS)
def test_lifetime(start, name):
    """A stream ends after its lifetime, and its client may reconnect."""
    server = start(name, TEST_LIFETIME="3")
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        (stream,) = opened(stack, server)
        wait_for(lambda: handed_off(server), "the hand-off", equals=1)
        data, _ = rest(stream)
        assert 2.3 < time.monotonic() - began < PROMPT
    assert data.count(b":\n") >= 2
    assert b"id:" not in data
    wait_for(lambda: "ended: lifetime over" in server.output(), "its line in the log")


@pytest.mark.parametrize("name", WORKERS)
def test_full(start, name):
    """Without free descriptors, event sources are told to reconnect, others get 503."""
    server = start(name, descriptors=100)
    with contextlib.ExitStack() as stack:
        streams = opened(stack, server, count=33)
        wait_for(lambda: handed_off(server), "the hand-off", equals=33)
        refused = stack.enter_context(server.stream("/subscribe/x"))
        assert 30_000 <= rest(refused)[1] <= 60_000
        refused = stack.enter_context(server.stream("/subscribe/x", headers={"Accept": "*/*"}))
        assert refused.status == 503
        server.get("/publish/x?first=7")
        assert [stream.take(1)[0].data for stream in streams] == ["7"] * 33
        assert "refusing new streams: this process has reached its limit of 33." in server.output()
    wait_for(lambda: server.json("/figures")["open"], "the clients' end", equals=0)
    with contextlib.ExitStack() as stack:
        opened(stack, server)
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", WORKERS)
def test_vanished_client(start, name):
    """A client whose machine loses power is noticed."""
    server = start(name, TEST_WRITE_TIMEOUT="1")
    with contextlib.ExitStack() as stack:
        (stream,) = opened(stack, server)
        wait_for(lambda: handed_off(server), "the hand-off", equals=1)
        began = time.monotonic()
        vanish(stream._socket)
        wait_for(lambda: server.json("/figures")["open"], "its end", 30, equals=0)
        assert time.monotonic() - began > 0.9
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", WORKERS)
@pytest.mark.parametrize("jitter", ["0", "3"])
def test_max_requests(start, name, jitter):
    """At max_requests, a worker also ends its handed-off streams."""
    server = start(name, "--max-requests", "5", "--max-requests-jitter", jitter)
    with contextlib.ExitStack() as stack:
        (stream,) = opened(stack, server)
        pid = server.json("/figures")["pid"]
        for _ in range(8):
            with contextlib.suppress(OSError, http.client.HTTPException):
                server.get("/plain")
        _, retry = rest(stream)
        assert 2000 <= retry <= 4000
        wait_for(lambda: serving_process(server) not in (None, pid), "another one")
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", WORKERS)
def test_more_streams_than_the_server_can_serve_requests(start, name):
    """They count neither as threads nor as connections, and ordinary requests are served."""
    slots = ("--threads", "2") if name == THREADS else ("--worker-connections", "10")
    server = start(name, *slots)
    with contextlib.ExitStack() as stack:
        streams = opened(stack, server, count=60)
        wait_for(lambda: handed_off(server), "the hand-off", equals=60)
        assert server.get("/plain") == b"ok"
        server.get("/publish/x?first=7")
        assert [stream.take(1)[0].data for stream in streams] == ["7"] * 60
    wait_for(lambda: server.json("/figures")["open"], "the clients' end", equals=0)


@pytest.mark.parametrize("name", WORKERS)
def test_client_leaves(start, name):
    """An idle client's disconnect is noticed without a heartbeat that fails."""
    server = start(name, TEST_HEARTBEAT="60")
    with contextlib.ExitStack() as stack:
        (stream,) = opened(stack, server)
        wait_for(lambda: handed_off(server), "the hand-off", equals=1)
        stream.close()
        wait_for(lambda: server.json("/figures")["open"], "its end", equals=0)
        # A half-closed connection counts as a disconnect, as behind any proxy.
        (stream,) = opened(stack, server)
        wait_for(lambda: handed_off(server), "the hand-off", equals=1)
        stream._socket.shutdown(socket.SHUT_WR)
        wait_for(lambda: server.json("/figures")["open"], "its end", equals=0)


@pytest.mark.parametrize(
    ("middleware", "count"), [("Passing", 1), ("Appending", 1), ("Counting", 0)]
)
def test_middleware(start, middleware, count):
    """Middleware that only observes does no harm; if it changes bytes, there is no hand-off."""
    server = start(GEVENT, TEST_MIDDLEWARE=middleware)
    with contextlib.ExitStack() as stack:
        (stream,) = opened(stack, server)
        server.get("/publish/x?first=1")
        assert stream.take(1)[0].data == "1"
        wait_for(lambda: handed_off(server), "the hand-off", equals=count)
        server.get("/publish/x?first=2")
        assert stream.take(1)[0].data == "2"
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("middleware", ["sentry", "opentelemetry"])
def test_tracing(start, middleware):
    """Tracers see a normal request, which ends at the hand-off."""
    server = start(GEVENT, TEST_MIDDLEWARE=middleware)
    with contextlib.ExitStack() as stack:
        (stream,) = opened(stack, server)
        wait_for(lambda: handed_off(server), "the hand-off", equals=1)
        if middleware == "opentelemetry":
            wait_for(lambda: '"http.target": "/subscribe/x"' in server.output(), "its span")
        server.get("/publish/x?first=7")
        assert stream.take(1)[0].data == "7"
    wait_for(lambda: server.json("/figures")["open"], "its end", equals=0)
    assert "SENTRY" not in server.output()
    assert "Traceback" not in server.output()
    assert '"status_code": "ERROR"' not in server.output()


@pytest.mark.parametrize("name", WORKERS)
def test_http_1_0(start, name):
    """An HTTP/1.0 stream has no chunks, and is closed at the end."""
    server = start(name, TEST_LIFETIME="3")
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        sock.sendall(b"GET /subscribe/x HTTP/1.0\r\n\r\n")
        wait_for(lambda: handed_off(server), "the hand-off", equals=1)
        server.get("/publish/x?first=7")
        data = b""
        # A reset, because without chunks the client could not tell that it has to come back.
        try:
            while chunk := sock.recv(65536):
                data += chunk
        except ConnectionResetError:
            data += b"reset"
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert b"event: n\ndata: 7\n\n" in body
    assert body.endswith(b"\nreset")


@pytest.mark.parametrize("name", WORKERS)
def test_unix_socket(start, name, tmp_path):
    """Hand-off works on a unix socket, as behind nginx."""
    path = tmp_path / "gunicorn.sock"
    server = start(name, "-b", f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        with LiveStream("http://localhost/subscribe/x", connection=sock) as stream:
            assert next(stream).event == "stream-open"
            wait_for(lambda: handed_off(server), "the hand-off", equals=1)
            server.get("/publish/x?first=7")
            assert stream.take(1)[0].data == "7"
    wait_for(lambda: server.json("/figures")["open"], "its end", equals=0)


@pytest.mark.parametrize("name", WORKERS)
def test_tls(start, name, certificate):  # noqa: F811
    """A stream over gunicorn's own TLS keeps its request."""
    cert, private = certificate
    context = ssl.create_default_context(cafile=str(cert))
    server = start(name, f"--certfile={cert}", f"--keyfile={private}", context=context)
    with contextlib.ExitStack() as stack:
        (stream,) = opened(stack, server)
        server.get("/publish/x?first=7")
        assert stream.take(1)[0].data == "7"
        assert handed_off(server) == 0
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", WORKERS)
def test_pipelined_bytes(start, name):
    """Bytes that a client sends after its request do no harm, and are never answered."""
    server = start(name)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        request = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
        sock.sendall(request % b"subscribe/x" + request % b"plain")
        wait_for(lambda: handed_off(server), "the hand-off", equals=1)
        server.get("/publish/x?first=7")
        data = b""
        while b"data: 7" not in data:
            data += sock.recv(65536)
        assert data.count(b"HTTP/1.1 200") == 1
    wait_for(lambda: server.json("/figures")["open"], "its end", equals=0)


@pytest.mark.parametrize("name", WORKERS)
def test_preload(start, name):
    """Nothing is made before the fork."""
    server = start(name, "--preload")
    with contextlib.ExitStack() as stack:
        (stream,) = opened(stack, server)
        wait_for(lambda: handed_off(server), "the hand-off", equals=1)
        server.get("/publish/x?first=7")
        assert stream.take(1)[0].data == "7"


@pytest.mark.parametrize("name", WORKERS)
def test_client_that_does_not_read(start, name):
    """A client that does not read is cut off, and delays nobody."""
    server = start(name, TEST_WRITE_TIMEOUT="1", TEST_HEARTBEAT="60")
    with contextlib.ExitStack() as stack:
        (fast,) = opened(stack, server)
        stuck = stack.enter_context(socket.socket())
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", server.port))
        stuck.sendall(b"GET /subscribe/x HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: handed_off(server), "the hand-off", equals=2)
        for first in range(0, 200, 10):
            server.get(f"/publish/x?first={first}&count=10&size=40000")
            assert [int(e.data.rstrip("x")) for e in fast.take(10)] == [*range(first, first + 10)]
        wait_for(lambda: server.json("/figures")["open"], "its end", 20, equals=1)
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", WORKERS)
def test_nothing_is_left(start, name):
    """Closed connections leave no descriptor, thread or greenlet."""
    server = start(name)

    def come_and_go(times):
        for _ in range(times):
            with contextlib.ExitStack() as stack:
                opened(stack, server, count=10)

    def settled():
        figures = server.json("/figures")
        return figures if figures["open"] == 0 else None

    come_and_go(10)
    before = wait_for(settled, "the first ones to be gone")
    come_and_go(50)
    wait_for(lambda: left(server.json("/figures"), before), "all to be gone", equals=[])


def left(after, before):
    """Return what there is more of. A stream is closed before all that it held is gone."""
    # gthread's pool grows to 16 threads, whenever that many requests happen to overlap.
    slack = {"open": 0, "lingering": 0, "descriptors": 2, "threads": 18, "greenlets": 2}
    return [what for what in slack if after[what] - before[what] > slack[what]]
