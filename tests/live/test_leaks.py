"""Clients that connect and disconnect leave nothing behind."""

import socket
import sys

import pytest

from tests.live.test_handoff import left
from tests.waiting import wait_for

# The process's memory still grows during the first: caches and the allocator's arenas.
WARM_UP, COUNT = 3_000, 7_500

# A generator in a greenlet, and a channel whose connection is handed off.
KINDS = [
    ("gunicorn-gevent-flask", "/stream/waiting"),
    ("gunicorn-gevent-django", "/stream/waiting"),
    ("gunicorn-handoff-gevent-flask", "/subscribe/x"),
]


def _come_and_go(port, path, count):
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode()
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
            sock.sendall(request)
            data = b""
            while b"data: " not in data:
                chunk = sock.recv(65536)
                assert chunk
                data += chunk


@pytest.mark.parametrize(("name", "path"), KINDS)
def test_connects_and_disconnects(start, name, path, capsys):
    """Greenlets, descriptors, threads and memory return to their earlier values."""
    server = start(name)

    def settled():
        figures = server.json("/figures")
        return figures if figures["open"] == figures["lingering"] == 0 else None

    _come_and_go(server.port, path, WARM_UP)
    before = wait_for(settled, "the first streams to be closed")
    _come_and_go(server.port, path, COUNT)
    wait_for(lambda: left(server.json("/figures"), before), "all streams to be closed", equals=[])
    after = server.json("/figures")
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: before {before}\n{name}: after  {after}\n")
    assert after["closed"] == {"CLIENT_GONE": WARM_UP + COUNT}
    # Slack for the allocator, several times what it takes.
    assert after["resident"] - before["resident"] < 200 * COUNT
