"""Handed-off connections: what arrives, what ends them, and what is left."""

import contextlib
import random
import socket
import threading
from functools import partial

import pytest

from sse_sync import (
    END_ID,
    CloseReason,
    EventStream,
    EventStreamParser,
    Overflow,
    ServerSentEvent,
    statistics,
)
from sse_sync.brokers.base import Position
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.channels.presence import Presence
from sse_sync.channels.subscription import Subscription
from sse_sync.closing import End
from sse_sync.exceptions import BrokerUnavailable
from sse_sync.runtime.process import system_epoll
from sse_sync.runtime.reactor import Reactor
from sse_sync.settings import Options
from sse_sync.streams.handoff.connection import HandoffConnection
from sse_sync.streams.handoff.fanout import Fanout
from sse_sync.streams.handoff.takeover import OFFER
from sse_sync.streams.registry import registry
from tests.core.examples import EXAMPLES

OPTIONS = Options(heartbeat=None, retry=1000)


class Client:
    """The client's end of a connection, and its offer."""

    def __init__(self, chunked=True, refusal="", buffer=None):
        ours, self.socket = socket.socketpair()
        if buffer is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        ours.setblocking(False)
        self.socket.setblocking(False)
        self.ours = ours
        self.is_chunked = chunked
        self.reason = refusal
        self.on_take = lambda: None
        self.raw = b""
        self.body = b""
        self.has_ended = False

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.ours.close()
        self.socket.close()

    def refusal(self, sent):
        return self.reason

    def take(self, let_go):
        if not let_go():
            return None
        self.on_take()
        import _socket

        return _socket.socket(fileno=self.ours.detach())

    def pull(self, most=1 << 20):
        """Read the available bytes."""
        with contextlib.suppress(BlockingIOError):
            while most > 0:
                data = self.socket.recv(min(most, 65536))
                if not data:
                    self.has_ended = True
                    break
                most -= len(data)
                self.raw += data

    def read(self):
        """Read the available bytes, and return all events so far."""
        self.pull()
        self.body = dechunked(self.raw) if self.is_chunked else self.raw
        return list(EventStreamParser().feed(self.body))

    def numbers(self):
        return [int(event.data) for event in self.read() if event.event is None]


def dechunked(raw):
    body, at = [], 0
    while (end := raw.find(b"\r\n", at)) >= 0:
        length = int(raw[at:end], 16)
        following = end + 2 + length
        if len(raw) < following + 2:
            break
        assert raw[following : following + 2] == b"\r\n"
        body.append(raw[end + 2 : following])
        at = following + 2
    return b"".join(body)


@pytest.fixture
def runtime(runtime):
    runtime.reactor = Reactor(system_epoll(), lambda: runtime.now)
    yield runtime
    runtime.reactor.abandon()


@pytest.fixture
def turn(runtime):
    def turn(times=30):
        for _ in range(times):
            runtime.run_ready()
            runtime.reactor.poll()

    return turn


@pytest.fixture
def broker(runtime):
    return MemoryBroker(now=lambda: runtime.now)


@pytest.fixture
def hub(runtime, broker):
    with Hub(broker, clock=lambda: runtime.now) as hub:
        yield hub


@pytest.fixture
def handed(hub, turn):
    """Open a stream and hand it off."""
    clients = []

    def handed(*channels, client=None, options=OPTIONS, user_stream=None, settle=True, **arguments):
        client = client or Client()
        clients.append(client)
        channels = channels or ("a",)
        subscription = Subscription(hub, channels, user_stream=user_stream, **arguments)
        environ = {"SERVER_SOFTWARE": "test", OFFER: client, "PATH_INFO": "/events"}
        stream = EventStream(subscription, environ, options=options, user_stream=user_stream)
        client.head = b"".join(stream)
        stream.close()
        assert statistics().handed_off
        if settle:
            turn()
        return client

    yield handed
    for client in clients:
        client.socket.close()
    turn()
    assert statistics().open == 0


def publish(hub, first, count=1, channel="a", size=0, **arguments):
    for number in range(first, first + count):
        hub.publish(channel, str(number).zfill(size or 1), **arguments)


def test_events_arrive(hub, handed, turn):
    """The request ends, and everybody gets every event, framed as the response was."""
    clients = [handed(), handed(), handed(client=Client(chunked=False)), handed("b", "a")]
    assert b"event: stream-open\n" in clients[0].head
    assert (statistics().open, statistics().handed_off) == (4, 4)
    publish(hub, 0, 5)
    turn()
    for client in clients:
        assert client.numbers() == list(range(5))
    # Events that arrive together are one chunk.
    assert clients[0].raw.count(b"\r\n") == 2
    publish(hub, 5)
    publish(hub, 6, channel="b")
    turn()
    assert [client.numbers()[5:] for client in clients] == [[5], [5], [5], [5, 6]]
    ids = [Position.parse(event.id) for event in clients[3].read()]
    assert ids == sorted(ids)


def test_client_leaves(hub, handed, turn, caplog):
    """A disconnect is noticed at once, and nothing is left."""
    caplog.set_level("INFO", "sse_sync")
    client, other = handed(), handed()
    publish(hub, 0)
    turn()
    client.socket.close()
    turn()
    assert (statistics().open, statistics().closed) == (1, {CloseReason.CLIENT_GONE: 1})
    assert "event stream /events ended: client gone, after 0.0 s, 2 events" in caplog.text
    other.socket.close()
    turn()
    assert statistics().open == 0
    assert hub.statistics().subscriptions == 0
    assert hub.dispatcher.shared == {}
    # The next one is written to by a fan-out of its own.
    client = handed()
    publish(hub, 7)
    turn()
    assert client.numbers() == [7]


def test_client_that_is_found_gone_when_it_is_written_to(hub, handed, turn):
    """A client found gone at a write disturbs nobody."""
    client, other = handed(), handed()
    publish(hub, 0)
    turn()
    client.socket.close()
    publish(hub, 1)
    turn()
    assert other.numbers() == [0, 1]
    assert statistics().closed == {CloseReason.CLIENT_GONE: 1}


@pytest.mark.parametrize(
    ("refusal", "filter", "on_close"),
    [
        ("something has changed what was sent", None, None),
        ("", lambda event, key, meta: True, None),
        ("", None, lambda reason: None),
    ],
)
def test_stays_with_its_request(hub, runtime, refusal, filter, on_close):
    """A stream that cannot be handed off works like any other."""
    subscription = Subscription(hub, ("a",), filter=filter)
    with Client(refusal=refusal) as client:
        environ = {"SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(subscription, environ, options=OPTIONS, on_close=on_close)
        assert next(stream).startswith(b":\nretry: 1000")
        assert b"stream-open" in next(stream)
        runtime.reactor.call_at(runtime.now + 1, lambda now: publish(hub, 7))
        assert b"data: 7" in next(stream)
        assert statistics().handed_off == 0
        stream.close()


@pytest.mark.parametrize("received", [False, True])
@pytest.mark.parametrize("filter", [None, lambda event, key, meta: True])
def test_who_stays_is_watched(hub, runtime, handed, received, filter):
    """The disconnect of a stream that kept its request is noticed."""
    if received:
        handed()
    ours, theirs = socket.socketpair()
    with ours, Client(refusal="no") as client:
        environ = {"gunicorn.socket": ours, "SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(Subscription(hub, ("a",), filter=filter), environ, options=OPTIONS)
        assert b"stream-open" in next(stream) + (b"" if received else next(stream))
        runtime.reactor.call_at(runtime.now + 1, lambda now: theirs.close())
        assert list(stream) == []
        stream.close()
    assert statistics().closed[CloseReason.CLIENT_GONE] == 1


def test_longest_reconnection_time(hub, handed, turn):
    """A stream ends properly, whatever the reconnection time."""
    longest = 2**31 - 1
    options = Options(heartbeat=None, retry=longest, retry_stopping=longest, retry_failed=longest)
    for reason in (CloseReason.SERVER_STOPPING, CloseReason.DISMISSED, CloseReason.FAILED):
        client = handed(options=options)
        registry().end_all(reason)
        turn()
        client.read()
        assert client.has_ended
        assert str(longest).encode() in client.body


def test_no_room_for_those_that_stay(hub, runtime, monkeypatch):
    """A stream that unexpectedly keeps its request must not fill the server."""
    monkeypatch.setattr("sse_sync.streams.admission.Admission.is_over", lambda *arguments: True)
    with Client(refusal="no") as client:
        environ = {"SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
        *_, last = stream
        assert int(last.split()[-1]) >= 30_000
        stream.close()
    assert statistics().open == 0
    assert statistics().closed == {CloseReason.NO_ROOM: 1}


def test_nothing_is_lost_while_it_is_handed_off(hub, handed, turn):
    """Events during the hand-off arrive, once and in order."""
    handed()
    client = Client()
    client.on_take = lambda: publish(hub, 0, 3)
    handed(client=client, settle=False)
    publish(hub, 3, 3)
    turn(1)
    publish(hub, 6, 3)
    turn()
    publish(hub, 9)
    turn()
    assert client.numbers() == list(range(10))


@pytest.mark.parametrize("seed", range(EXAMPLES // 2))
def test_at_random(hub, handed, turn, runtime, seed):
    """Clients that join at any time and read at any speed get everything once and in order."""
    chance = random.Random(seed)
    published, clients = 0, []
    for _ in range(120):
        what = chance.choice(["come", "publish", "publish", "read", "turn", "time"])
        if what == "come" and len(clients) < 12:
            client = Client(chunked=chance.random() < 0.7, buffer=4096)
            if chance.random() < 0.5:
                client.on_take = partial(publish, hub, published, 2, size=300)
                clients.append((client, published))
                published += 2
            else:
                clients.append((client, published))
            handed(client=client, settle=False)
        elif what == "publish":
            count = chance.randint(1, 30)
            publish(hub, published, count, size=300)
            published += count
        elif what == "read" and clients:
            chance.choice(clients)[0].pull(chance.randint(1, 20_000))
        elif what == "turn":
            turn(chance.randint(1, 3))
        elif what == "time":
            runtime.now += 0.2
    for _ in range(300):
        turn(2)
        for client, _ in clients:
            client.pull()
    for client, began in clients:
        assert client.numbers() == list(range(began, published))


def test_slow_client(hub, handed, turn):
    """It delays nobody; when its mailbox is full, it gets the mailbox, and ends."""
    slow, fast = handed(client=Client(buffer=4096), max_events=20), handed(max_events=20)
    publish(hub, 0)
    turn()
    for first in range(1, 101, 10):
        publish(hub, first, 10, size=2000)
        turn()
        fast.pull()
    assert fast.numbers() == list(range(101))
    for _ in range(200):
        slow.pull()
        turn(2)
    got = slow.numbers()
    assert got == list(range(len(got)))
    assert 20 <= len(got) < 101
    assert slow.has_ended
    assert slow.raw.endswith(b"0\r\n\r\n")
    assert statistics().closed == {CloseReason.OVERFLOWED: 1}


@pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.LATEST])
def test_slow_client_that_drops(hub, handed, turn, overflow):
    """It stays, and gets the latest events."""
    slow = handed(client=Client(buffer=4096), max_events=5, overflow=overflow)
    publish(hub, 0)
    turn()
    for number in range(1, 100):
        hub.publish("a", str(number).zfill(2000), key=str(number % 3))
        turn(2)
    for _ in range(50):
        slow.pull()
        turn(2)
    got = slow.numbers()
    assert got == sorted(set(got))
    assert got[-1] == 99
    assert len(got) < 100
    publish(hub, 100)
    turn()
    assert slow.numbers()[-1] == 100
    assert statistics().open == 1


def test_client_that_does_not_read(hub, handed, turn, runtime):
    """It is cut off after the write timeout."""
    client = handed(client=Client(buffer=4096), options=OPTIONS.replace({"write_timeout": 5.0}))
    publish(hub, 0, 50, size=2000)
    turn()
    runtime.advance(4.9)
    assert statistics().open == 1
    runtime.advance(0.2)
    assert statistics().closed == {CloseReason.CLIENT_GONE: 1}
    client.pull()
    assert client.raw
    assert client.has_ended


def test_heartbeat(hub, handed, turn, runtime):
    """Everybody gets a comment after a silence, and none after an event."""
    options = OPTIONS.replace({"heartbeat": 15.0})
    clients = [handed(options=options)]
    runtime.advance(14.5)
    clients.append(handed(options=options))
    runtime.advance(1)
    turn()
    for client in clients:
        client.read()
        assert client.body == b":\n"
    runtime.advance(10)
    publish(hub, 0)
    turn()
    runtime.advance(14.9)
    turn()
    for client in clients:
        assert client.numbers() == [0]
        assert client.body.count(b":\n") == 1
    runtime.advance(0.2)
    turn()
    for client in clients:
        client.read()
        assert client.body.count(b":\n") == 2


def test_lifetime(handed, runtime, turn):
    """It ends after its lifetime, so that the client reconnects."""
    client = handed(options=OPTIONS.replace({"lifetime": 100.0}))
    runtime.advance(79)
    turn()
    assert statistics().open == 1
    runtime.advance(21.5)
    turn()
    client.read()
    assert (client.raw, client.has_ended) == (b"0\r\n\r\n", True)
    assert statistics().closed == {CloseReason.LIFETIME_OVER: 1}


@pytest.mark.parametrize("for_good", [True, False])
def test_disconnect(hub, handed, turn, for_good):
    """It ends with what the page is told, and nobody else does."""
    ann = handed(user_stream=hub.users.expect(user="ann", channels=("a",)))
    bob = handed(user_stream=hub.users.expect(user="bob", channels=("a",)))
    hub.disconnect(user="ann", reason="bye", for_good=for_good)
    publish(hub, 0)
    turn()
    *_, last = ann.read()
    assert (last.event, last.data) == (
        "stream-end" if for_good else "stream-disconnect",
        "bye",
    )
    assert (last.id == END_ID) is for_good
    assert ann.has_ended
    assert bob.numbers() == [0]
    assert statistics().closed == {CloseReason.DISMISSED: 1}
    assert len(hub.users._open) == 1


def test_disconnect_while_it_is_handed_off(hub, handed, turn):
    """A disconnect during the hand-off is not missed."""
    client = Client()
    client.on_take = lambda: hub.disconnect(user="ann")
    handed(client=client, user_stream=hub.users.expect(user="ann", channels=("a",)))
    assert [event.event for event in client.read()] == ["stream-disconnect"]


def test_presence(hub, handed, turn, runtime):
    """A user is present as long as the connection is."""
    ann = Presence("ann", grace=0.0)
    client = handed(user_stream=hub.users.expect(user="ann", channels=("a",), presence=ann))
    assert [present.user for present in hub.present("a")] == ["ann"]
    client.socket.close()
    turn()
    runtime.advance(1)
    assert hub.present("a") == []


def test_server_stops(hub, handed, turn, runtime):
    """Everybody is told when to reconnect; who does not read is dropped after a second."""
    clients = [handed() for _ in range(20)]
    stuck = handed(client=Client(buffer=4096))
    publish(hub, 0, 20, size=2000)
    turn()
    from sse_sync.streams.registry import registry

    registry().end_all(CloseReason.SERVER_STOPPING)
    turn()
    times = set()
    for client in clients:
        client.read()
        assert client.has_ended
        times.add(int(client.body.split(b"retry: ")[-1]))
    assert len(times) > 10
    assert all(2000 <= time <= 4000 for time in times)
    assert statistics().open == 1
    runtime.advance(1.1)
    turn()
    assert statistics().open == 0
    stuck.socket.close()


class Lossy(MemoryBroker):
    """A broker that can pretend to have lost events."""

    epoch = None
    away = False

    def subscribe(self, channels):
        if self.away:
            raise BrokerUnavailable("test", "away")
        position = super().subscribe(channels)
        return position if self.epoch is None else Position(self.epoch, position.number)


class TestInterruption:
    """What happens when the process may have missed something."""

    @pytest.fixture
    def broker(self, runtime):
        return Lossy(now=lambda: runtime.now)

    def miss(self, hub, first, count):
        """Publish an event that the process does not receive."""
        receiver, hub._broker._receiver = hub._broker._receiver, None
        publish(hub, first, count)
        hub._broker._receiver = receiver

    def test_resumes(self, hub, handed, turn):
        """Everybody gets the missed events, in order and once."""
        clients = [handed(), handed()]
        publish(hub, 0, 2)
        turn()
        self.miss(hub, 2, 3)
        hub.dispatcher.interrupted()
        publish(hub, 5, 2)
        turn()
        publish(hub, 7)
        turn()
        for client in clients:
            assert client.numbers() == list(range(8))

    def test_who_is_behind_resumes(self, hub, handed, turn):
        """So does a client that lags."""
        slow = handed(client=Client(buffer=4096))
        publish(hub, 0, 10, size=2000)
        turn()
        self.miss(hub, 10, 3)
        hub.dispatcher.interrupted()
        turn()
        publish(hub, 13)
        for _ in range(30):
            slow.pull()
            turn(2)
        assert slow.numbers() == list(range(14))

    def test_reset(self, hub, broker, handed, turn):
        """If the history is incomplete, everybody is reset."""
        clients = [handed(), handed()]
        publish(hub, 0)
        turn()
        broker.epoch = "another"
        hub.dispatcher.interrupted()
        turn()
        for client in clients:
            first, reset = client.read()
            assert (first.data, reset.event) == ("0", "stream-reset")
            assert reset.id.startswith("another-")
            assert not client.has_ended

    def test_reset_with_a_snapshot(self, hub, broker, handed, turn):
        """A new snapshot needs a request, so the client reconnects."""
        client = handed(snapshot=lambda: [ServerSentEvent("state")])
        publish(hub, 0)
        turn()
        broker.epoch = "another"
        hub.dispatcher.interrupted()
        publish(hub, 1)
        turn()
        assert client.numbers() == [0]
        assert client.has_ended
        assert b"retry: 1" in client.body
        assert statistics().closed == {CloseReason.INTERRUPTED: 1}

    def test_broker_is_away(self, hub, broker, handed, turn):
        """The client gets an error, and reconnects."""
        client = handed()
        publish(hub, 0)
        turn()
        broker.away = True
        hub.dispatcher.interrupted()
        turn()
        assert [event.event for event in client.read()] == [None, "stream-error"]
        assert client.has_ended
        assert statistics().closed == {CloseReason.FAILED: 1}


def test_degraded(hub, handed, turn):
    """On request, clients are told when no events arrive."""
    told, untold = handed(tell_degraded=True), handed()
    publish(hub, 0)
    turn()
    for problem in ("away", None):
        hub.dispatcher.degraded(problem)
        turn()
    assert [(e.event, e.data) for e in told.read()[1:]] == [
        ("stream-degraded", "true"),
        ("stream-degraded", "false"),
    ]
    assert untold.numbers() == [0]
    assert len(untold.read()) == 1


def test_others_get_their_turn(hub, handed, runtime, turn):
    """A large fan-out is done in parts; in between, the reactor does everything else."""
    clients = [handed(settle=False) for _ in range(200)]
    publish(hub, 0)
    turn()
    now = iter(range(10**9))
    runtime.reactor.clock = lambda: next(now) * 0.001
    publish(hub, 1)
    looks = []
    runtime.reactor.call_soon(lambda: looks.append(sum(len(c.numbers()) == 2 for c in clients)))
    for _ in range(3):
        runtime.reactor.poll()
        looks.append(sum(len(c.numbers()) == 2 for c in clients))
    assert 0 < looks[0] < 200
    runtime.reactor.clock = lambda: runtime.now
    turn()
    assert all(client.numbers() == [0, 1] for client in clients)


def test_statistics(hub, handed, turn):
    """Statistics count a fan-out's clients."""
    for _ in range(3):
        handed()
    publish(hub, 0)
    turn()
    figures = hub.statistics()
    assert (figures.channels, figures.subscriptions, figures.delivered) == (1, 3, 3)


def test_who_ends_it_meanwhile(hub, runtime, turn):
    """A stream that is ended during the hand-off ends."""
    client = Client()
    environ = {"SERVER_SOFTWARE": "test", OFFER: client}
    stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
    client.on_take = lambda: stream.end_with(End(CloseReason.SERVER_STOPPING))
    list(stream)
    stream.close()
    turn()
    client.read()
    assert b"retry: " in client.body
    assert statistics().open == 0
    client.socket.close()


def test_namespace_is_not_kept(hub, handed):
    """Nothing of the request is kept alive."""
    import gc
    import weakref

    def snapshot():
        return ["state"]

    handed(snapshot=snapshot)
    reference = weakref.ref(snapshot)
    del snapshot
    gc.collect()
    assert reference() is None


# Around the moment of hand-off.


def members(hub):
    (fanout,) = hub.dispatcher.shared.values()
    return list(fanout._recipients)


def hold_begin(member):
    """Take the job that begins with a connection out of the reactor, and return it."""
    jobs = member._reactor._jobs
    (job,) = [job for job in jobs if getattr(job, "func", None) == member.begin]
    jobs.remove(job)
    return job


def test_fanout_that_is_catching_up(hub, broker, handed, turn):
    """A client handed off during a catch-up gets nothing twice."""
    first = handed()
    publish(hub, 0, 3)
    turn()
    broker._subscribed.clear()
    publish(hub, 3, 2)
    hub.dispatcher.interrupted()
    late = handed(settle=False)
    turn()
    publish(hub, 5)
    turn()
    assert first.numbers() == list(range(6))
    assert late.numbers() == [5]
    publish(hub, 6)
    turn()
    assert late.numbers() == [5, 6]


def test_history_that_is_ahead_of_the_process(hub, broker, handed, turn):
    """An event that the client already got from the history is not repeated."""
    other = handed()
    publish(hub, 0)
    turn()
    at = hub.position()
    broker._subscribed.clear()
    publish(hub, 1, 2)
    client = handed(last_event_id=str(at))
    assert b"data: 1\n" in client.head
    hub.dispatcher.receive(hub.history(("a",), at).messages)
    turn()
    assert client.numbers() == []
    broker._subscribed.add("a")
    publish(hub, 3, 2)
    turn()
    assert client.numbers() == [3, 4]
    assert other.numbers() == list(range(5))


def test_history_that_the_process_receives_during_the_hand_off(hub, broker, handed, turn):
    """What the history gave is not sent again when the process receives it just then."""
    other = handed()
    publish(hub, 0)
    turn()
    at = hub.position()
    broker._subscribed.clear()
    publish(hub, 1, 2)
    client = Client()
    client.on_take = lambda: hub.dispatcher.receive(hub.history(("a",), at).messages)
    handed(client=client, last_event_id=str(at))
    assert b"data: 2\n" in client.head
    assert client.numbers() == []
    broker._subscribed.add("a")
    publish(hub, 3)
    turn()
    assert client.numbers() == [3]
    assert other.numbers() == [0, 1, 2, 3]


@pytest.fixture
def ahead(hub, broker, handed, turn, monkeypatch):
    """A fan-out that has resumed from the history; returns the event that its process lacks."""
    other = handed()
    publish(hub, 0)
    turn()
    history, found = hub.history, []

    def with_another(*arguments):
        # Published after the process subscribed again, and not received yet.
        broker._subscribed.clear()
        publish(hub, 1)
        found.append(history(*arguments))
        return found[-1]

    with monkeypatch.context() as patch:
        patch.setattr(hub, "history", with_another)
        hub.dispatcher.interrupted()
        turn()
    assert other.numbers() == [0, 1]
    broker._subscribed.add("a")
    return found[-1].messages[-1:]


def test_joining_a_fanout_that_is_ahead(hub, handed, turn, ahead, monkeypatch):
    """Whoever started before an event that the fan-out has already sent waits for it."""
    monkeypatch.setattr("time.sleep", lambda seconds: hub.dispatcher.receive(ahead))
    client = handed()
    assert client.numbers() == [1]
    publish(hub, 2)
    turn()
    assert client.numbers() == [1, 2]


def test_fanout_that_stays_ahead(hub, ahead, monkeypatch, turn):
    """A stream stays with its request where what it lacks does not come, and loses nothing."""
    monkeypatch.setattr("sse_sync.channels.dispatcher.DELIVERY_PATIENCE", 0)
    with Client() as client:
        environ = {"SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
        assert b"stream-open" in next(stream)
        monkeypatch.setattr(
            "sse_sync.channels.subscription.ChannelFeed.wait",
            lambda self: hub.dispatcher.receive(ahead),
        )
        assert next(stream).endswith(b"data: 1\n\n")
        stream.close()
    assert statistics().handed_off == 1


def test_event_while_a_fanout_opens(hub, handed, turn, monkeypatch):
    """Another thread publishes between the subscription and what follows it."""
    add = hub.dispatcher.add

    def adding(subscriber, channels):
        here = add(subscriber, channels)
        if isinstance(subscriber, Fanout):
            publish(hub, 7)
        return here

    monkeypatch.setattr(hub.dispatcher, "add", adding)
    client = handed()
    publish(hub, 8)
    turn()
    assert client.numbers() == [7, 8]


def test_event_that_the_feed_gets_first(hub, handed, turn, monkeypatch):
    """The feed sends an event before the fan-out has it."""
    client = Client()
    environ = {"SERVER_SOFTWARE": "test", OFFER: client}
    stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
    sent = [next(stream), next(stream)]
    handed()
    put, there, goes_on = Fanout.put, threading.Event(), threading.Event()

    def slow(self, message):
        there.set()
        assert goes_on.wait(5)
        put(self, message)

    monkeypatch.setattr(Fanout, "put", slow)
    publisher = threading.Thread(target=publish, args=(hub, 1))
    publisher.start()
    assert there.wait(5)
    sent.append(next(stream))
    threading.Timer(0.1, goes_on.set).start()
    sent += stream
    stream.close()
    publisher.join(5)
    turn()
    assert b"".join(sent).count(b"data: 1\n") == 1
    assert client.numbers() == []
    client.socket.close()


def test_mailbox_that_overflows_before_it_begins(hub, handed, turn):
    """Nothing is dropped silently."""
    handed(max_bytes=400)
    client = Client()
    client.on_take = lambda: publish(hub, 0)
    handed(client=client, max_bytes=400, settle=False)
    begin = hold_begin(members(hub)[-1])
    publish(hub, 1)
    publish(hub, 2, size=600)
    turn()
    members(hub)[-1]._reactor.call_soon(begin)
    turn()
    publish(hub, 3)
    turn()
    assert client.numbers() == [0, 1]
    assert client.has_ended


def test_socket_that_is_full_from_the_beginning(hub, handed, turn):
    """Its client has as much time as any other."""
    client = Client(buffer=1)
    with contextlib.suppress(BlockingIOError):
        while True:
            client.ours.send(b"x" * 4096)
    handed(client=client, tell_degraded=True, settle=False)
    begin = hold_begin(members(hub)[-1])
    hub.dispatcher.degraded("away")
    turn()
    members(hub)[-1]._reactor.call_soon(begin)
    turn()
    assert statistics().open == 1


def test_slow_client_that_reads_all_the_time(hub, handed, turn, runtime):
    """Each part of its pending bytes has its own deadline."""
    client = handed(client=Client(buffer=4096))
    publish(hub, 0, 900, size=1000)
    turn()
    for _ in range(60):
        runtime.now += 1
        for _ in range(8):
            client.pull(4000)
            turn(2)
    assert client.numbers() == list(range(900))
    assert statistics().open == 1


def test_application_ends_it(hub, handed, turn):
    """The holder of the response can still end the stream."""
    for reconnect in (True, False):
        client = Client()
        environ = {"SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
        list(stream)
        stream.close()
        turn()
        stream.end(reconnect=reconnect)
        turn()
        assert [event.event for event in client.read()] == ([] if reconnect else ["stream-end"])
        assert client.has_ended
        client.socket.close()
    assert statistics().closed == {CloseReason.CLOSED: 2}


def test_history_that_cannot_be_read(hub, handed, turn, monkeypatch):
    """If a catch-up fails, its clients are not left without events."""
    client = handed()
    publish(hub, 0)
    turn()
    with monkeypatch.context() as patch:
        patch.setattr(hub, "history", lambda *arguments: 1 / 0)
        hub.dispatcher.interrupted()
        turn()
    assert [event.event for event in client.read()] == [None, "stream-error"]
    assert client.has_ended
    assert hub.dispatcher.shared == {}


def test_killed_while_it_is_handed_off(hub, handed, turn, monkeypatch):
    """Nothing is left of the connection."""
    keep = handed()
    client = Client()
    environ = {"SERVER_SOFTWARE": "test", OFFER: client}
    stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(HandoffConnection, "join", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(stream)
    stream.close()
    turn()
    client.read()
    assert client.has_ended
    client.socket.close()
    assert statistics().open == 1
    keep.socket.close()
    turn()
    assert hub.dispatcher.shared == {}


def test_no_more_descriptors(hub, runtime, turn):
    """The stream keeps its request, and nothing is left of the fan-out."""

    def fails(let_go):
        raise OSError(24, "Too many open files")

    with Client() as client:
        client.take = fails
        environ = {"SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
        next(stream)
        next(stream)
        runtime.reactor.call_at(runtime.now + 1, lambda now: publish(hub, 7))
        assert b"data: 7" in next(stream)
        assert hub.dispatcher.shared == {}
        stream.close()


def test_goodbyes_of_many(hub, handed, turn, runtime):
    """The reactor writes some of them in each turn."""
    for _ in range(300):
        handed(settle=False, user_stream=hub.users.expect(channels=("a",)))
    turn()
    now = iter(range(10**9))
    runtime.reactor.clock = lambda: next(now) * 0.0001
    hub.disconnect(channel="a")
    seen = []
    for _ in range(5):
        runtime.reactor.poll()
        seen.append(statistics().open)
    runtime.reactor.clock = lambda: runtime.now
    assert 0 < seen[0] < 300
    assert seen == sorted(seen, reverse=True)
    turn(1000)
    assert statistics().open == 0
