"""
Everything goes wrong at once. Still, every client ends up with every event that the broker holds,
once and in order, and is reset wherever events may be missing, and nowhere else.
"""

import contextlib
import http.client
import itertools
import os
import random
import signal
import socket
import threading
import time
from dataclasses import dataclass, field

import pytest

from sse_sync import BrokerUnavailable, connect
from sse_sync.brokers.base import Position
from tests.redis_server import RedisServer
from tests.waiting import wait_for

CLIENTS = 300
SECONDS = float(os.environ.get("CHAOS_SECONDS", "8"))
RUNS = int(os.environ.get("CHAOS_RUNS", "1"))


@dataclass
class Segment:
    """What a client got since its last stream-open or stream-reset."""

    start: Position
    event: str
    got: list[tuple[Position, str]] = field(default_factory=list)


class Client:
    """Acts as a browser, and records everything."""

    def __init__(self, server, channels, chance):
        self.server, self.chance = server, chance
        first, *others = channels
        self.path = f"/subscribe/{first}?" + "&".join(f"also={name}" for name in others)
        self.segments = []
        self.last_id = None
        self.stalled = 0.0
        self.stopping = False
        self.socket = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.read()
            time.sleep(self.chance.uniform(0.02, 0.3))

    def read(self):
        self.socket = socket.socket()
        # Small buffers, so that a stalled client has an effect.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", self.server.port))
        with self.server.stream(
            self.path, last_event_id=self.last_id, connection=self.socket
        ) as stream:
            for event in stream:
                self.take(event)
                if self.stalled:
                    seconds, self.stalled = self.stalled, 0.0
                    time.sleep(seconds)

    def take(self, event):
        if event.event in ("stream-open", "stream-reset"):
            self.segments.append(Segment(Position.parse(event.id), event.event))
        elif event.event == "n":
            self.segments[-1].got.append((Position.parse(event.id), event.data))
        else:
            return
        self.last_id = event.id

    def cut(self):
        # Not closed: another thread is reading from it.
        with contextlib.suppress(OSError, AttributeError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def has(self, data):
        return bool(self.segments) and any(d == data for _, d in self.segments[-1].got[-3:])


def stop(clients):
    """End all clients."""
    for client in clients:
        client.stopping = True
        client.cut()
    for client in clients:
        client.thread.join(15)
        assert not client.thread.is_alive()


class Publisher:
    """Publishes numbers until stopped, without a web application."""

    def __init__(self, url, name, channel):
        self.name, self.channel = name, channel
        self.acknowledged = {}
        self.stopping = False
        self.hub = connect(url)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        number = 0
        while not self.stopping:
            self.publish(f"{self.name}{number}".ljust(300, "."))
            number += 1
            time.sleep(0.05)

    def publish(self, data):
        with contextlib.suppress(BrokerUnavailable):
            published = self.hub.publish(self.channel, data, event="n")
            self.acknowledged[Position.parse(published)] = data
            return True

    def stop(self):
        self.stopping = True
        self.thread.join(20)
        self.hub.close()


@pytest.mark.parametrize("kind", ["gunicorn-gevent-flask", "gunicorn-handoff-gevent-flask"])
@pytest.mark.parametrize("seed", range(int(os.environ.get("CHAOS_FIRST", "0")), RUNS))
def test_chaos(start, tmp_path, kind, seed):
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(RedisServer(tmp_path))
        server = start(
            kind, "--workers", "3", "--log-level", "critical",
            TEST_BROKER_URL=redis.url, TEST_HEARTBEAT="2",
        )  # fmt: skip
        channels = ["one", "two"]
        clients = [Client(server, channels, random.Random(n)) for n in range(CLIENTS)]
        stack.callback(stop, clients)
        wait_for(lambda: all(client.segments for client in clients), "all clients", 30)
        publishers = [Publisher(redis.url, name, name) for name in channels]
        for publisher in publishers:
            stack.callback(publisher.stop)
        restarts = disturb(chance, server, redis, clients)
        for publisher in publishers:
            publisher.stopping = True
            publisher.thread.join(20)
        # A client that is reset only now does not get earlier events. So first
        # wait until everybody gets some event. Then everybody has to get the last ones.
        numbers = itertools.count()
        wait_for(
            lambda: everybody_gets_one(clients, publishers, f"quiet {next(numbers)}"),
            "the streams to be quiet",
            60,
        )
        wait_for(
            lambda: everybody_gets_one(clients, publishers, "end", patience=40),
            "all clients to have the last events",
            0,
        )
        stop(clients)
        verify(clients, publishers, restarts)
        assert "Traceback" not in server.output()


def everybody_gets_one(clients, publishers, what, patience=5):
    """Publish an event to each channel; return whether all clients get them soon."""
    if not all(publisher.publish(f"{what} {publisher.name}") for publisher in publishers):
        return False
    names = [f"{what} {publisher.name}" for publisher in publishers]
    with contextlib.suppress(AssertionError):
        wait_for(lambda: all(c.has(name) for c in clients for name in names), what, patience)
        return True
    return False


def disturb(chance, server, redis, clients):
    """Let things go wrong for some seconds. Return how often Redis was restarted."""
    restarts = 0
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        kind = chance.choice(["worker", "worker", "connections", "cut", "stall", "keep", "lose"])
        if kind == "worker":
            with contextlib.suppress(OSError, http.client.HTTPException):
                os.kill(server.json("/figures")["pid"], signal.SIGKILL)
        elif kind == "connections":
            redis.call("CLIENT", "KILL", "TYPE", chance.choice(["pubsub", "normal"]))
        elif kind == "cut":
            for client in chance.sample(clients, 100):
                client.cut()
        elif kind == "stall":
            for client in chance.sample(clients, 50):
                client.stalled = chance.uniform(0.5, 3)
        else:
            if kind == "keep":
                redis.call("SAVE")
            redis.kill()
            if kind == "lose":
                (redis.folder / "dump.rdb").unlink(missing_ok=True)
            time.sleep(chance.uniform(0, 0.5))
            redis.start()
            restarts += 1
        time.sleep(chance.uniform(0.2, 0.9))
    return restarts


def verify(clients, publishers, restarts):
    """Compare what each client got with what was published."""
    published = {}
    for publisher in publishers:
        published.update(publisher.acknowledged)
    for client in clients:
        # Events that were stored without an acknowledgement.
        published.update(got for segment in client.segments for got in segment.got)
    for client in clients:
        assert [s.event for s in client.segments] == [
            "stream-open",
            *["stream-reset"] * (len(client.segments) - 1),
        ]
        epochs = [segment.start.epoch for segment in client.segments]
        # A reset is a new epoch of the store, which only a restart begins.
        assert len(set(epochs)) == len(epochs) <= restarts + 1
        seen = [data for segment in client.segments for _, data in segment.got]
        assert len(seen) == len(set(seen))
        for segment in client.segments:
            positions = [position for position, _ in segment.got]
            last = positions[-1] if positions else segment.start
            assert positions == sorted(
                p for p in published
                if p.epoch == segment.start.epoch and segment.start < p <= last
            )  # fmt: skip
