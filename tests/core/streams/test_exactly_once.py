"""Every event once and in order, whatever the order in which things happen around a hand-off."""

import contextlib
import os
import random

import pytest

from sse_sync import EventStream, EventStreamParser
from sse_sync.brokers.base import Position
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.runtime.process import system_epoll
from sse_sync.runtime.reactor import Reactor
from sse_sync.streams.handoff.takeover import OFFER
from tests.core.channels.reading import subscribed
from tests.core.examples import EXAMPLES
from tests.core.streams.handoff.clients import OPTIONS, Client, settle

CHANNELS = ("a", "b")
SEEDS = int(os.environ.get("EXACTLY_ONCE_SEEDS", EXAMPLES))


class Lagging(MemoryBroker):
    """A broker whose events reach its process some time after the history has them."""

    def start(self, receiver):
        super().start(self)
        self.receiver, self.on_the_way = receiver, []

    def receive(self, messages):
        self.on_the_way += messages

    def arrive(self, count=1):
        """Let the process receive events, and return whether there were any."""
        some, self.on_the_way = self.on_the_way[:count], self.on_the_way[count:]
        self.receiver.receive(some)
        return bool(some)

    def break_connection(self, lost):
        """Lose events that are on the way, as a connection does that breaks."""
        del self.on_the_way[:lost]
        self.receiver.interrupted()


class Blocked(Exception):
    """Raised where a stream would wait for its signal."""


class Browser:
    """A client that reconnects with its last event ID."""

    def __init__(self, world):
        self.world = world
        # What a new client gets of the history, and how much of it at once.
        self.arguments = {
            "replay": world.chance.choice((None, 5, "all")),
            "max_bytes": world.chance.choice((1 << 20, 3000)),
            "match": world.chance.choice((None, {"is even": True})),
            "until": world.chance.choice((None, "done")),
            "sender": world.chance.choice((None, "ann")),
        }
        self.got = []
        self.last_id = None
        self.has_ended = False
        self.client = None
        self.parser = None
        self.known = 0

    def connect(self):
        self.disconnect()
        if self.has_ended:
            return
        self.client = Client(buffer=4096)
        self.client.on_take = self.world.something_small
        self.parser = EventStreamParser()
        self.known = 0  # How much of the body the parser has.
        wanted = subscribed(self.world.hub, *CHANNELS, last_event_id=self.last_id, **self.arguments)
        environ = {"SERVER_SOFTWARE": "test", OFFER: self.client}
        stream = EventStream(wanted, environ, options=OPTIONS)
        with contextlib.suppress(Blocked):
            for chunk in stream:
                self.take(self.parser.feed(chunk))
                self.world.something_small()
        stream.close()

    def take(self, events):
        for event in events:
            self.last_id = event.id or self.last_id
            if event.event == "stream-open":
                self.began = Position.parse(event.id)
            elif event.event == "stream-end":
                self.has_ended = True
            else:
                assert event.event in (None, "done"), event
                self.got.append(int(event.data.strip()))

    def is_connected(self):
        return self.client is not None and self.client.socket.fileno() >= 0

    def read(self, most=1 << 20):
        if self.is_connected():
            self.client.pull(most)
            body = self.client.body
            self.take(self.parser.feed(body[self.known :]))
            self.known = len(body)

    def disconnect(self):
        if self.arguments["until"] and self.got and self.got[-1] in self.world.done:
            # Cut off before it was told to stop, it would wait for the next such event.
            self.has_ended = True
        if self.client is not None:
            # What was sent and not read is lost, as on a real connection.
            self.client.socket.close()
            self.client.ours.close()  # If the stream ended with its request.
            self.client = None


class World:
    """One process, its broker, and some browsers."""

    def __init__(self, runtime, seed):
        self.runtime = runtime
        self.chance = random.Random(seed)
        self.broker = Lagging(now=lambda: runtime.now)
        self.hub = Hub(self.broker, clock=lambda: runtime.now)
        self.published = []
        self.done, self.of_ann = [], []
        self.is_quiet = False
        self.browsers = [Browser(self) for _ in range(4)]

    def publish(self):
        number = len(self.published)
        text = str(number).rjust(self.chance.choice((1, 1, 700)))
        meta = {"is even": number % 2 == 0}
        event = "done" if self.chance.random() < 0.1 else None
        if event:
            self.done.append(number)
        sender = self.chance.choice((None, None, "ann", "bob"))
        if sender == "ann":
            self.of_ann.append(number)
        channel = self.chance.choice(CHANNELS)
        self.published.append(
            self.hub.publish(channel, text, event=event, meta=meta, sender=sender)
        )

    def something_small(self):
        """Happens between any two steps of a stream."""
        what = 1 if self.is_quiet else self.chance.random()
        if what < 0.25:
            self.publish()
        elif what < 0.5:
            self.broker.arrive()
        elif what < 0.55:
            self.broker.break_connection(self.chance.randrange(3))

    def turn(self, times=1):
        for _ in range(times):
            self.runtime.run_ready()
            self.runtime.reactor.poll()

    def something(self):
        browser = self.chance.choice(self.browsers)
        what = self.chance.choice(("small", "small", "connect", "leave", "read", "turn", "turn"))
        if what == "small":
            self.something_small()
        elif what == "connect":
            browser.connect()
        elif what == "leave":
            browser.disconnect()
        elif what == "read":
            browser.read(self.chance.randint(1, 5000))
        else:
            self.turn(self.chance.randint(1, 3))

    def settle(self):
        while self.broker.arrive():
            self.turn()
        settle(self.turn, [browser.client for browser in self.browsers if browser.is_connected()])
        for browser in self.browsers:
            browser.read()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_event_once_and_in_order(runtime, monkeypatch, seed):
    """Clients come back with their last event ID and have every event, once and in order."""
    runtime.reactor = Reactor(system_epoll(), lambda: runtime.now)
    world = World(runtime, seed)

    def wait(feed):
        if not world.broker.arrive():
            raise Blocked

    def sleep(seconds):
        if not world.broker.arrive():
            raise Blocked

    monkeypatch.setattr("sse_sync.channels.subscription.ChannelFeed.wait", wait)
    monkeypatch.setattr("time.sleep", sleep)
    try:
        for _ in range(100):
            world.something()
        for browser in world.browsers:
            browser.read()
        world.is_quiet = True
        for _ in range(3):
            # More than once, because a stream that keeps its request ends where it would wait.
            world.settle()
            for browser in world.browsers:
                browser.connect()
        world.settle()
        ids = [Position.parse(text).number for text in world.published]
        for browser in world.browsers:
            first = sum(number <= browser.began.number for number in ids)
            step = 2 if browser.arguments["match"] else 1
            wanted = list(range(first + first % step, len(ids), step))
            if browser.arguments["sender"]:
                wanted = [number for number in wanted if number not in world.of_ann]
            ends = [number for number in world.done if number in wanted]
            if browser.arguments["until"] and ends:
                wanted = wanted[: wanted.index(ends[0]) + 1]
                assert browser.has_ended
            assert browser.got == wanted
    finally:
        for browser in world.browsers:
            browser.disconnect()
        world.turn(10)
        world.hub.close()
        runtime.reactor.abandon()
