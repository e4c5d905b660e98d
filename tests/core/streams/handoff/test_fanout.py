"""One subscriber for many connections: what it writes, and how it resumes."""

import itertools
import random
from functools import partial

import pytest

from sse_sync import CloseReason, ServerSentEvent, statistics
from sse_sync.brokers.base import Position
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.closing import End
from sse_sync.exceptions import BrokerUnavailable
from sse_sync.streams.handoff.fanout import Fanout
from tests.core.examples import EXAMPLES
from tests.core.streams.handoff.clients import (
    OPTIONS,
    Client,
    logged,
    publish,
    received,
    settle,
)


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
    settle(turn, [client for client, _ in clients])
    for client, began in clients:
        assert client.numbers() == list(range(began, published))


@pytest.mark.parametrize("seed", range(EXAMPLES // 2))
def test_ends_at_random(hub, handed, turn, monkeypatch, caplog, seed):
    """A client whose stream is ended for good has everything from before that, and no more."""
    caplog.set_level("INFO", "sse_sync")
    # The reactor writes one client's batch in each turn.
    monkeypatch.setattr("sse_sync.streams.handoff.fanout.SLICE", 0)
    monkeypatch.setattr("sse_sync.streams.handoff.fanout.LOOK_EVERY", 1)
    chance = random.Random(seed)
    published, open_, ended = 0, [], []

    def end(at):
        client, connection, began = open_.pop(at)
        connection.end_with(End(CloseReason.CLOSED, final=True))
        ended.append((client, range(began, published)))

    for _ in range(150):
        what = chance.choice(["come", "publish", "publish", "read", "turn", "end"])
        if what == "come" and len(open_) < 12:
            client = Client(chunked=True, buffer=4096)
            handed(client=client, settle=chance.random() < 0.2)
            open_.append((client, members(hub)[-1], published))
        elif what == "publish":
            count = chance.randint(1, 10)
            publish(hub, published, count, size=300)
            published += count
        elif what == "read" and open_:
            chance.choice(open_)[0].pull(chance.randint(1, 20_000))
        elif what == "turn":
            turn(chance.randint(1, 3))
        elif what == "end" and open_:
            end(chance.randrange(len(open_)))
    while open_:
        end(0)
    for _ in range(300):
        turn(2)
        for client, _ in ended:
            client.pull()
    for client, expected in ended:
        assert client.numbers() == [*expected]
        assert client.read()[-1].event == "stream-end"
        assert client.has_ended
    assert logged(caplog) == sorted(received(client) for client, _ in ended)


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


def test_position(hub, handed, turn, runtime):
    """Clients that get little of a busy channel are told their position, in order."""
    few, plain = handed(match={"tenant": 7}), handed(match={"tenant": 7}, plain=True)
    patient = OPTIONS.replace({"write_timeout": None})
    slow = handed(client=Client(buffer=4096), match={"tenant": 7}, options=patient)
    for number in range(40):
        runtime.advance(5)
        hub.publish("a", "other", meta={"tenant": 8})
        if number % 10 == 8:
            hub.publish("a", "x" * 2000, meta={"tenant": 7})
        turn()
    settle(turn, [slow])
    told = few.read()
    assert slow.read() == told
    assert [event.event for event in told if event.data] == [None] * 4
    assert {event.event for event in told if not event.data} == {"stream-position"}
    numbers = [Position.parse(event.id).number for event in told]
    assert all(0 < later - number <= 20e6 for number, later in itertools.pairwise(numbers))
    assert hub.position().number - numbers[-1] < 15e6
    # Not more often than needed.
    assert len(told) <= 4 + 40 * 5 // 15
    assert [event.event for event in plain.read()] == [None] * 4


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

    @pytest.mark.parametrize("final", [True, False])
    def test_end_while_it_catches_up(self, hub, handed, turn, final):
        """The client lacks events, so it comes back for them."""
        client = handed()
        publish(hub, 0)
        turn()
        self.miss(hub, 1, 1)
        hub.dispatcher.interrupted()
        members(hub)[0].end_with(End(CloseReason.CLOSED, final))
        turn()
        assert client.has_ended or client.numbers() in ([0], [0, 1])
        assert "stream-end" not in [event.event for event in client.read()]
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


def test_sender(hub, handed, turn, caplog):
    """Clients share a fan-out whoever they are, and none gets its own events."""
    caplog.set_level("INFO", "sse_sync")
    ann, bob, nobody = handed(sender="ann"), handed(sender="bob"), handed()
    assert len(hub.dispatcher.shared) == 1
    publish(hub, 0, 2)
    publish(hub, 2, sender="ann")
    publish(hub, 3, 2)
    publish(hub, 5, sender="bob")
    publish(hub, 6, sender="somebody else")
    turn()
    assert ann.numbers() == [0, 1, 3, 4, 5, 6]
    assert bob.numbers() == [0, 1, 2, 3, 4, 6]
    assert nobody.numbers() == list(range(7))
    # Events that everybody gets are still written together.
    assert nobody.raw.count(b"\r\n") == 2 * 5
    expected = sorted(map(received, (ann, bob, nobody)))
    for client in (ann, bob, nobody):
        client.socket.close()
    turn()
    assert logged(caplog) == expected


def test_sender_that_is_slow(hub, handed, turn):
    """Nor does a client get them that has yet to read others."""
    ann, bob = (handed(client=Client(buffer=4096), sender=name) for name in ("ann", "bob"))
    for number in range(40):
        publish(hub, number, size=2000, sender=(None, "ann", "bob")[number % 3])
        turn(1)
    for _ in range(200):
        turn(2)
        ann.pull(5000)
        bob.pull(5000)
    assert ann.numbers() == [number for number in range(40) if number % 3 != 1]
    assert bob.numbers() == [number for number in range(40) if number % 3 != 2]


def test_sender_during_a_hand_off(hub, handed, turn):
    """Nor one that is being handed off."""
    other, client = handed(), Client()
    client.on_take = lambda: [publish(hub, n, sender="ann" if n % 2 else None) for n in range(6)]
    handed(client=client, sender="ann")
    publish(hub, 6)
    publish(hub, 7, sender="ann")
    turn()
    assert client.numbers() == [0, 2, 4, 6]
    assert other.numbers() == list(range(8))


def hand_off_many(hub, handed, turn):
    user_streams = [hub.users.expect(user="ann", channels=("a",)) for _ in range(200)]
    clients = [handed(settle=False, user_stream=each) for each in user_streams]
    publish(hub, 0)
    turn()
    return clients


def write_to_some(hub, runtime, number):
    """Publish an event, and stop in the middle of writing it."""
    now = iter(range(10**9))
    runtime.reactor.clock = lambda: next(now) * 0.001
    publish(hub, number)
    runtime.reactor.poll()
    runtime.reactor.clock = lambda: runtime.now
    assert [fanout.batch for fanout in hub.dispatcher.shared.values()] != [None]


def end_all(hub):
    for connection in members(hub):
        connection.end_with(End(CloseReason.CLOSED, final=True))


def members(hub):
    (fanout,) = hub.dispatcher.shared.values()
    return list(fanout._recipients)


@pytest.mark.parametrize(
    "end", [end_all, partial(Hub.disconnect, channel="a", for_good=True)], ids=["end", "disconnect"]
)
def test_end_in_the_middle_of_a_batch(hub, handed, runtime, turn, caplog, end):
    """Each client gets what was published before the end, whoever was being written to then."""
    caplog.set_level("INFO", "sse_sync")
    clients = hand_off_many(hub, handed, turn)
    write_to_some(hub, runtime, 1)
    assert 0 < sum(len(client.numbers()) == 2 for client in clients) < 200
    publish(hub, 2)
    end(hub)
    publish(hub, 3)
    turn()
    for client in clients:
        events = client.read()
        assert [event.data for event in events[:-1]] == ["0", "1", "2"]
        assert events[-1].event == "stream-end"
        assert client.has_ended
    assert statistics().open == 0
    assert logged(caplog) == sorted(map(received, clients))


def test_end_in_the_middle_of_a_batch_for_a_slow_client(hub, handed, runtime, turn):
    """So does one that has yet to read what came before."""
    clients = hand_off_many(hub, handed, turn)
    slow = handed(client=Client(buffer=4096))
    publish(hub, 1, 20, size=2000)
    turn()
    write_to_some(hub, runtime, 21)
    end_all(hub)
    for _ in range(30):
        turn(2)
        slow.pull()
    assert [int(event.data or 0) for event in slow.read()] == [*range(1, 22), 0]
    assert slow.has_ended
    assert clients[-1].read()[-1].event == "stream-end"


def test_end_before_anything_was_written(hub, handed, turn):
    """An event and the end may wait for the same turn of the reactor."""
    client = handed()
    (connection,) = members(hub)
    publish(hub, 0)
    connection.end_with(End(CloseReason.CLOSED, final=True))
    publish(hub, 1)
    turn()
    assert [event.data for event in client.read()] == ["0", ""]
    assert client.has_ended


def test_goodbye_that_fails(hub, handed, turn, monkeypatch):
    """A connection that cannot say its last words does not cost the others an event."""
    one, other = handed(), handed()
    failing = members(hub)[0]
    monkeypatch.setattr(type(failing), "_say", lambda *arguments: 1 / 0)
    failing.end_with(End(CloseReason.CLOSED, final=True))
    publish(hub, 0)
    turn()
    assert other.numbers() == [0]
    one.read()
    assert one.has_ended
    assert statistics().open == 1
