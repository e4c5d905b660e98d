"""Channels across gunicorn workers, on a real Redis."""

import contextlib
import http.client
import os
import random
import signal
import socket
import sys
import threading
import time

import pytest

from tests.redis_server import RedisServer
from tests.waiting import wait_for

KINDS = [
    *("gunicorn-gevent-flask", "gunicorn-gevent-django", "gunicorn-gthread-flask"),
    *("gunicorn-handoff-gevent-flask", "gunicorn-handoff-threads-django"),
]


@pytest.fixture
def redis_server(tmp_path):
    folder = tmp_path / "redis"
    folder.mkdir()
    with RedisServer(folder) as server:
        yield server


@pytest.fixture(params=KINDS)
def server(request, start, redis_server):
    """Three workers that share a Redis."""
    return start(request.param, "--workers", "3", TEST_BROKER_URL=redis_server.url)


class Client:
    """Acts as a browser: reconnects with its last event ID, and records what it gets."""

    def __init__(self, server, path):
        self.server, self.path = server, path
        self.last_id, self.got, self.resets = None, [], 0
        self.stopping = False
        self.stream = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.read()
            time.sleep(0.02)

    def read(self):
        with self.server.stream(self.path, last_event_id=self.last_id) as self.stream:
            for event in self.stream:
                self.take(event)

    def take(self, event):
        if event.event == "n":
            self.got.append(int(event.data))
        elif event.event == "stream-reset":
            self.resets += 1
        if event.event != "stream-error":
            self.last_id = event.id

    def cut(self):
        # Not closed: another thread is reading from it.
        with contextlib.suppress(OSError):
            self.stream._socket.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.stopping = True
        self.cut()
        self.thread.join(15)


@pytest.fixture
def clients(server, key):
    """Clients spread over the workers."""
    made = [Client(server, f"/subscribe/{key}") for _ in range(9)]
    wait_for(lambda: all(client.last_id for client in made), "all clients to be connected")
    yield made
    for client in made:
        client.stop()


def publish(server, key, total, disturb):
    """Publish numbers, with occasional disturbances. Return what was acknowledged."""
    acknowledged = []
    for first in range(0, total, 5):
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.get(f"/publish/{key}?first={first}&count=5")
            acknowledged += range(first, first + 5)
        if first % 100 == 50:
            disturb()
        time.sleep(0.005)
    return acknowledged


def test_every_worker(server, key, clients):
    """An event that any worker publishes reaches the subscribers of all."""
    # The kernel chooses the worker of a request; over all tests every worker gets some.
    expected = publish(server, key, 200, lambda: None)
    wait_for(lambda: all(client.got == expected for client in clients), "all events")


def test_clients_are_cut_off(server, key, clients):
    """Clients that are cut off at random lose and repeat nothing, whichever worker they reach."""
    chance = random.Random(3)
    expected = publish(server, key, 600, lambda: [c.cut() for c in chance.sample(clients, 4)])
    wait_for(lambda: all(client.got == expected for client in clients), "all events")
    assert [client.resets for client in clients] == [0] * len(clients)


def test_workers_are_killed(server, key, clients):
    """No acknowledged event is lost when a worker is killed."""

    def kill():
        with contextlib.suppress(OSError, http.client.HTTPException):
            os.kill(server.json("/figures")["pid"], signal.SIGKILL)

    expected = publish(server, key, 400, kill)
    assert len(expected) > 300

    def everybody_has_everything():
        return all(set(expected) <= set(client.got) for client in clients)

    wait_for(everybody_has_everything, "all acknowledged events", 30)
    for client in clients:
        # Unacknowledged events may have been stored; nothing arrives twice or out of order.
        assert client.got == sorted(set(client.got))
        assert client.resets == 0


def test_redis_connections_are_killed(server, key, clients, redis_server):
    """Streams stay open while the workers connect to Redis again, and miss nothing."""
    opened = [client.stream for client in clients]
    expected = publish(
        server, key, 400, lambda: redis_server.call("CLIENT", "KILL", "TYPE", "pubsub")
    )
    wait_for(lambda: all(client.got == expected for client in clients), "all events")
    assert [client.stream for client in clients] == opened


def test_redis_is_restarted(server, key, clients, redis_server):
    """When Redis comes back empty, every client is reset, and all works again."""
    before = publish(server, key, 50, lambda: None)
    wait_for(lambda: all(client.got == before for client in clients), "the first events")
    redis_server.kill()
    redis_server.start()
    wait_for(lambda: all(client.resets for client in clients), "all clients to be reset")
    wait_for(lambda: _publishes(server, key), "publishing to work again")
    for client in clients:
        client.got.clear()
    after = publish(server, key, 50, lambda: None)
    wait_for(lambda: all(client.got[-50:] == after for client in clients), "the last events")


def _publishes(server, key):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.get(f"/publish/{key}?first=10000")


def test_one_connection_for_a_thousand_channels(start, redis_server):
    """A process has one subscribed connection for all its channels, and none at the end."""
    server = start(
        "gunicorn-gevent-flask", "--worker-connections", "1300", TEST_BROKER_URL=redis_server.url
    )

    def subscribed():
        return len(redis_server.call("CLIENT", "LIST", "TYPE", "pubsub").splitlines())

    def channels():
        return redis_server.call("PUBSUB", "CHANNELS")

    with contextlib.ExitStack() as stack:
        streams = []
        for number in range(1000):
            streams.append(stack.enter_context(server.stream(f"/subscribe/user-{number}")))
            assert next(streams[-1]).event == "stream-open"
        assert subscribed() == 1
        # Two more: the control channel, and the empty channel that is always subscribed.
        assert len(channels()) == 1002
        for number in (3, 500, 999):
            server.get(f"/publish/user-{number}?first={number}")
            assert next(streams[number]).data == str(number)
    wait_for(lambda: not channels() and not subscribed(), "the channels to be given back", 30)
    with server.stream("/subscribe/user-1") as again:
        assert next(again).event == "stream-open"
        server.get("/publish/user-1?first=7")
        assert next(again).data == "7"


def test_memory_is_bounded(start, redis_server, capsys):
    """Clients that never read cost a bounded amount, and one that reads loses nothing."""
    server = start("gunicorn-gevent-flask", TEST_BROKER_URL=redis_server.url)
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(server.stream("/subscribe/busy"))
        assert next(reader).event == "stream-open"
        for _ in range(100):
            stuck = socket.socket()
            stack.callback(stuck.close)
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.connect(("127.0.0.1", server.port))
            stuck.sendall(b"GET /subscribe/busy HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: server.json("/figures")["open"], "all clients", equals=101)
        before = server.json("/figures")["resident"]
        most = 0
        for first in range(0, 50_000, 500):
            server.get(f"/publish/busy?first={first}&count=500&size=100")
            got = [int(event.data.rstrip("x")) for event in reader.take(500)]
            assert got == list(range(first, first + 500))
            most = max(most, server.json("/figures")["resident"])
    with capsys.disabled():
        sys.stdout.write(f"\nresident: {before:,} before, at most {most:,} bytes\n")
    # The process's recent events, the content of one mailbox, and some slack.
    assert most - before < 64 << 20
