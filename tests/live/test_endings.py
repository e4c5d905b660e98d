"""How bodies end: whole where nothing is missing, and otherwise so that every client can tell."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import time

import pytest

from sse_sync import EventStreamParser
from tests.live.servers import kind
from tests.nginx import PlainNginx
from tests.tls import make_certificate
from tests.waiting import PATIENCE, wait_for

WORKERS = [
    "gunicorn-gevent-flask",
    "gunicorn-gthread-django",
    "gunicorn-handoff-gevent-django",
    "gunicorn-handoff-threads-flask",
]
END = b"event: stream-end\nid: sse-sync.end\ndata: \n\n"
FAILED = b'data: {"error": {"message": "internal error", "type": "failed"}}\n\n'


class Exchange:
    """A request as a client of either HTTP version sends it, and all that comes back."""

    def __init__(self, port, path, *, method="GET", version="1.1", headers=()):
        lines = [f"{method} {path} HTTP/{version}", "Host: localhost", "Connection: close"]
        lines += [*headers, "", ""]
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.sendall("\r\n".join(lines).encode())
        self._raw = b""
        self._was_reset = False

    def read_until(self, wanted):
        """Read until some bytes have come."""
        while wanted not in self._raw:
            assert self._read(), self._raw

    def read(self):
        """Read to the end. Return the status, the headers, the body, and whether it is whole."""
        while self._read():
            pass
        self._socket.close()
        head, _, body = self._raw.partition(b"\r\n\r\n")
        status, *fields = head.decode().lower().split("\r\n")
        headers = dict(field.split(": ", 1) for field in fields)
        is_whole = not self._was_reset
        if headers.get("transfer-encoding") == "chunked":
            body, is_whole = dechunked(body)
        return int(status.split()[1]), headers, body, is_whole

    def _read(self):
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:
            self._was_reset = True
            return False
        self._raw += data
        return bool(data)


def dechunked(raw):
    """Return the body, and whether its last chunk is there."""
    body = b""
    while raw:
        length, _, rest = raw.partition(b"\r\n")
        if int(length, 16) == 0:
            return body, True
        body, raw = body + rest[: int(length, 16)], rest[int(length, 16) + 2 :]
    return body, False


@pytest.fixture(params=WORKERS)
def worker(request, servers):
    """A running gunicorn with each kind of worker."""
    return servers(kind(request.param))


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    ("path", "method", "last", "is_whole"),
    [
        ("/stream/count", "GET", END, True),
        ("/api/count", "POST", b"\n\n", True),
        ("/api/count", "GET", b"\n\n", True),
        ("/stream/failing", "GET", b"\ndata: internal error\n\n", False),
        ("/api/failing", "POST", b"\n\n", False),
        ("/api/failing?error=1", "POST", FAILED, True),
        ("/api/failing?error=1", "GET", FAILED, True),
    ],
)
def test_source_ends(worker, path, method, last, is_whole, version):
    """A plain stream holds nothing that the application did not say."""
    status, headers, body, got_whole = Exchange(
        worker.port, path, method=method, version=version
    ).read()
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert body.endswith(last)
    assert got_whole == is_whole
    if path.startswith("/api/"):
        assert b"stream-" not in body
        assert b"retry:" not in body
        assert body.startswith(b":\n")


@pytest.mark.parametrize("name", WORKERS)
def test_server_stops(start, name):
    """Everybody has all that was sent, and learns that there is more."""
    server = start(name)
    kinds = [
        (path, method, version)
        for path, method in [
            ("/subscribe/x", "GET"), ("/subscribe/x", "POST"),
            ("/stream/sleeping", "GET"), ("/api/sleeping", "POST"),
        ]
        for version in ("1.0", "1.1")
    ]  # fmt: skip
    exchanges = [Exchange(server.port, p, method=m, version=v) for p, m, v in kinds]
    wait_for(lambda: server.json("/figures")["open"], "all streams", equals=len(kinds))
    if "handoff" in name:
        wait_for(lambda: server.json("/figures")["handed_off"], "the hand-off", equals=4)
    large = 200_000
    server.get(f"/publish/x?first=1&count=3&size={large}")
    for exchange, (path, _, _) in zip(exchanges, kinds, strict=True):
        exchange.read_until(b"3xxx" if path == "/subscribe/x" else b"data:")
    server.signal(signal.SIGTERM)
    for exchange, (path, method, _) in zip(exchanges, kinds, strict=True):
        _, _, body, is_whole = exchange.read()
        assert not is_whole
        parser = EventStreamParser()
        events = parser.feed(body)
        if path == "/subscribe/x":
            got = [event.data for event in events if event.event == "n"]
            assert got == [f"{n}{'x' * large}" for n in (1, 2, 3)]
        if method == "POST":
            assert b"retry:" not in body
            assert b"stream-open" not in body
        else:
            assert 2000 <= parser.retry <= 4000
    server.wait(20)
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_gap_in_a_plain_channel_stream(worker, method):
    """An event source is reset; who knows no such event is broken off before it gets others."""
    exchange = Exchange(
        worker.port, "/subscribe/gap", method=method, headers=["Last-Event-ID: gone-1"]
    )
    if method == "GET":
        exchange.read_until(b"event: stream-reset")
        exchange._socket.close()
        return
    _, _, body, is_whole = exchange.read()
    assert (set(body.splitlines()), is_whole) == ({b":"}, False)  # There may be heartbeats.


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("name", WORKERS[1:3])
def test_behind_nginx(start, tmp_path, name, version):
    """Whichever version nginx speaks to gunicorn, its own client can tell as well."""
    server = start(name)
    with PlainNginx(tmp_path, server.port, version) as nginx:
        _, _, body, is_whole = Exchange(nginx.port, "/stream/count").read()
        assert is_whole
        assert body.endswith(END)
        _, _, body, is_whole = Exchange(nginx.port, "/api/failing", method="POST").read()
        assert re.match(rb"(:\n)+data: ", body)  # There may be heartbeats.
        assert not is_whole
        streams = [Exchange(nginx.port, "/subscribe/x") for _ in range(10)]
        wait_for(lambda: server.json("/figures")["open"], "all streams", equals=10)
        server.get("/publish/x?first=7&size=100000")
        for stream in streams:
            stream.read_until(b"7xxx")
        server.signal(signal.SIGTERM)
        for stream in streams:
            _, _, body, is_whole = stream.read()
            assert b"7" + b"x" * 100_000 in body
            assert b"\nretry: " in body[-20:]
            assert not is_whole


@pytest.mark.parametrize("name", ["gunicorn-handoff-threads-flask"])
def test_full_server(start, name):
    """A client of an API is told with a status, an event source in a stream."""
    server = start(name, "--threads", "2")
    with contextlib.ExitStack() as stack:
        next(stack.enter_context(server.stream("/stream/sleeping")))
        status, headers, body, _ = Exchange(server.port, "/api/count", method="POST").read()
        assert (status, body) == (503, b"Too many event streams.\n")
        assert int(headers["retry-after"]) >= 1
        accept = ["Accept: text/event-stream"]
        status, _, body, is_whole = Exchange(server.port, "/stream/count", headers=accept).read()
        assert (status, is_whole) == (200, False)
        assert json.loads(body.removeprefix(b"retry: ")) >= 30_000


PAIR = ["gunicorn-gevent-flask", "gunicorn-handoff-threads-flask"]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("name", [*PAIR, "waitress-flask"])
def test_limit_of_a_user(start, name, version):
    """An API client beyond the limit gets a status."""
    server = start(name, TEST_MAX_STREAMS_PER_ADDRESS="1")
    first = Exchange(server.port, "/subscribe/x", method="POST", version=version)
    with first._socket:
        first.read_until(b":\n")
        second = Exchange(server.port, "/subscribe/x", method="POST", version=version)
        with second._socket:
            while second._read():
                pass
    assert second._raw.split(b" ")[1:2] in ([b"429"], [b"503"]), second._raw


def test_passing_post(start):
    """A POST that would be handed off at once is admitted as an event source is."""
    server = start("gunicorn-handoff-threads-flask", "--threads", "2")
    with server.stream("/stream/sleeping") as stream:
        next(stream)
        for method in ("GET", "POST"):
            accept = ["Accept: text/event-stream"]
            exchange = Exchange(server.port, "/subscribe/x", method=method, headers=accept)
            with exchange._socket:
                exchange.read_until(b"\r\n\r\n")
            assert exchange._raw.split(b" ")[1] == b"200", method


@pytest.mark.parametrize("name", PAIR)
def test_slow_client_of_a_stopping_server(start, name):
    """What is cut off because its client did not read must not look whole."""
    server = start(name)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.settimeout(PATIENCE)
    slow.connect(("127.0.0.1", server.port))
    slow.sendall(b"POST /api/flooding HTTP/1.0\r\nHost: localhost\r\n\r\n")
    wait_for(lambda: server.json("/figures")["open"], "the stream", equals=1)
    time.sleep(0.5)  # Until the system's buffers are full; nothing else tells.
    server.signal(signal.SIGTERM)
    server.wait(20)
    with slow, pytest.raises(ConnectionResetError):
        _read_all(slow)


def _read_all(sock):
    size = 0
    while data := sock.recv(65536):
        size += len(data)
    return size


def test_break_off_under_tls(start, tmp_path):
    """gevent's own server would log a traceback for each stream that is broken off there."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    context = ssl.create_default_context(cafile=certificate)
    server = start(
        "gunicorn-gevent_pywsgi-flask",
        *("--certfile", str(certificate), "--keyfile", str(key)),
        context=context,
    )
    with server.stream("/api/failing") as stream:
        list(stream)
    wait_for(lambda: "ended: failed" in server.output(), "the end")
    time.sleep(0.2)
    assert server.output().count("Traceback") == 1, server.output()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("name", PAIR)
def test_steady_client_of_an_end_that_is_not_urgent(start, name, version):
    """A client that reads all the time gets all that was written."""
    server = start(name, TEST_LIFETIME="3")
    steady = socket.socket()
    steady.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    steady.settimeout(PATIENCE)
    steady.connect(("127.0.0.1", server.port))
    steady.sendall(f"GET /subscribe/x HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())
    raw = b""
    while b"stream-open" not in raw:
        raw += steady.recv(65536)
    server.get("/publish/x?count=40&size=20000")
    with steady, contextlib.suppress(ConnectionResetError):
        while data := steady.recv(20_000):
            raw += data
            time.sleep(0.1)  # 200 kB/s.
    assert raw.count(b"event: n\n") == 40


HANDOFF = [name for name in WORKERS if "handoff" in name]


@pytest.mark.parametrize("name", HANDOFF)
def test_worker_that_is_killed(start, name):
    """Over HTTP/1.0 the system itself would end the body like a whole one."""
    server = start(name)
    exchange = Exchange(server.port, "/subscribe/x", version="1.0")
    exchange.read_until(b"stream-open")
    wait_for(lambda: server.json("/figures")["handed_off"], "the hand-off", equals=1)
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    _, _, _, is_whole = exchange.read()
    assert not is_whole


@pytest.mark.parametrize("name", HANDOFF)
def test_slow_client_of_an_end_that_the_server_does_not_wait_for(start, name):
    """A stopping worker leaves behind what it could not write; the client must notice."""
    server = start(name, TEST_LIFETIME="3")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.settimeout(PATIENCE)
    slow.connect(("127.0.0.1", server.port))
    slow.sendall(b"GET /subscribe/x HTTP/1.0\r\nHost: localhost\r\n\r\n")
    wait_for(lambda: server.json("/figures")["handed_off"], "the hand-off", equals=1)
    server.get("/publish/x?count=40&size=200000")
    time.sleep(3.2)  # Until its lifetime is over; nothing tells before it has read.
    assert server.json("/figures")["handed_off"] == 1
    server.signal(signal.SIGTERM)
    server.wait(20)
    with slow, pytest.raises(ConnectionResetError):
        _read_all(slow)
