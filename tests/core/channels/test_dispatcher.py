"""From the broker to the subscribers of a process."""

import threading

import pytest

from sse_sync.brokers.base import Message, Position
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.dispatcher import Dispatcher, degraded_event
from sse_sync.exceptions import BrokerUnavailable
from sse_sync.parser import EventStreamParser
from sse_sync.testing import read_events
from tests.core.channels.reading import events, opened
from tests.waiting import wait_for


class Recording(MemoryBroker):
    """A broker that shows which channels it is subscribed to, and whom it gives their events."""

    def __init__(self):
        super().__init__()
        self.channels = set()
        self.requests = []

    def start(self, receiver):
        super().start(receiver)
        self.receiver = receiver

    def subscribe(self, channels):
        self.channels.update(channels)
        self.requests.append(sorted(channels))
        return super().subscribe(channels)

    def unsubscribe(self, channels):
        self.channels.difference_update(channels)
        super().unsubscribe(channels)


class Slow(Recording):
    """A broker that subscribes once it is allowed to."""

    def __init__(self):
        super().__init__()
        self.was_asked, self.goes_on = threading.Event(), threading.Event()

    def subscribe(self, channels):
        self.was_asked.set()
        assert self.goes_on.wait(10)
        return super().subscribe(channels)


class Subscriber:
    """What a dispatcher gives its subscriber."""

    clients = 1

    def __init__(self):
        self.got = []

    def put(self, message):
        self.got.append(message.position.number)

    def interrupted(self):
        self.got.append("interrupted")

    def degraded(self, problem):
        self.got.append(problem)


def message(number, channel="a", epoch="e"):
    return Message(channel, Position(epoch, number), b"data: x\n\n")


@pytest.fixture
def broker():
    return Recording()


@pytest.fixture
def dispatcher(broker):
    return made(broker)


def made(broker):
    """Return a broker's dispatcher."""
    dispatcher = Dispatcher(broker, lambda: None, lambda channels: None)
    broker.start(dispatcher)
    return dispatcher


def test_who_gets_what(dispatcher):
    """An event is for those who subscribe to its channel, until they leave it."""
    one, both = Subscriber(), Subscriber()
    dispatcher.add(one, ("a",))
    dispatcher.add(both, ("a", "b"))
    assert sorted(dispatcher.counts()) == [1, 2]
    dispatcher.receive([message(1), message(2, "b"), message(3, "c")])
    dispatcher.remove(one, ("a",))
    dispatcher.remove(one, ("a",))
    dispatcher.receive([message(4)])
    assert (one.got, both.got) == ([1], [1, 2, 4])
    assert (dispatcher.figures.received, dispatcher.figures.delivered) == (4, 4)
    assert dispatcher.counts() == [1, 1]


def test_subscribed_once(dispatcher, broker):
    """The broker is asked for what the process does not receive yet, and for nothing else."""
    assert not dispatcher.receives(("a",))
    dispatcher.add(Subscriber(), ("a", "b"))
    dispatcher.add(Subscriber(), ("b",))
    dispatcher.add(Subscriber(), ("c", "b"))
    assert broker.requests == [["a", "b"], ["c"]]
    assert dispatcher.receives(("a", "b", "c"))
    assert not dispatcher.receives(("a", "d"))


def test_who_stands_for_nobody(dispatcher):
    """A subscriber without clients counts for none."""
    nobody = Subscriber()
    nobody.clients = 0
    dispatcher.add(nobody, ("a",))
    assert not dispatcher.has_subscribers("a")
    assert dispatcher.counts() == []
    dispatcher.add(Subscriber(), ("a",))
    assert dispatcher.has_subscribers("a")
    assert not dispatcher.has_subscribers("b")


def test_where_a_subscriber_starts(dispatcher, broker):
    """It gets everything after the latest event that the process has received."""
    first = dispatcher.add(Subscriber(), ("a",))
    assert first == broker.position()
    later = message(first.number + 5, epoch=first.epoch)
    dispatcher.receive([later])
    assert dispatcher.add(Subscriber(), ("a",)) == later.position
    reached = Position(first.epoch, first.number + 9)
    dispatcher.reached(reached)
    assert dispatcher.add(Subscriber(), ("a",)) == reached
    dispatcher.reached(Position("another", first.number + 20))
    dispatcher.reached(Position(first.epoch, first.number + 7))
    assert dispatcher.add(Subscriber(), ("a",)) == reached


def test_interrupted(dispatcher, broker):
    """Everybody is told once, however many channels they have, and the broker is asked again."""
    both, nobody = Subscriber(), Subscriber()
    dispatcher.add(both, ("a", "b"))
    dispatcher.add(nobody, ("a",))
    dispatcher.remove(nobody, ("a",))
    dispatcher.interrupted()
    assert (both.got, nobody.got) == (["interrupted"], [])
    assert dispatcher.interruptions == 1
    assert not dispatcher.receives(("a",))
    dispatcher.add(both, ("a", "b"))
    assert broker.requests == [["a", "b"]] * 2


def test_waiting_for_a_delivery(dispatcher, monkeypatch):
    """A position is waited for until everybody was given what came before it, but not for ever."""
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            dispatcher.receive([message(5)])

    monkeypatch.setattr("time.sleep", sleep)
    assert dispatcher.wait_until_given(5)
    assert len(slept) == 3
    assert dispatcher.wait_until_given(4)
    assert len(slept) == 3
    monkeypatch.setattr("sse_sync.channels.dispatcher.DELIVERY_PATIENCE", 0)
    assert not dispatcher.wait_until_given(6)


@pytest.mark.parametrize(("degraded", "text"), [(True, "true"), (False, "false")])
def test_degraded_event(degraded, text):
    """What a client is told does not change its position."""
    parser = EventStreamParser()
    (event,) = parser.feed(degraded_event(degraded))
    assert (event.event, event.data) == ("stream-degraded", text)
    assert parser.last_event_id == ""


def test_only_changes_are_told(dispatcher):
    """A subscriber hears when trouble begins and when it ends, not how it goes on."""
    subscriber = Subscriber()
    dispatcher.add(subscriber, ("a",))
    for problem in (None, "gone", "still gone", None, None):
        dispatcher.degraded(problem)
    assert subscriber.got == ["gone", None]


class Broken(MemoryBroker):
    """A broker that cannot be reached."""

    def subscribe(self, channels):
        raise BrokerUnavailable("broken://", "it is broken")


def test_broker_is_away(make_hub, runtime, caplog):
    """Without its broker a stream tells its client to come back."""
    hub = make_hub(Broken())
    stream = opened(hub)
    (event,) = read_events(stream)
    assert event.event == "stream-error"
    assert (
        "cannot subscribe to a, ending the stream: broken:// is unavailable: it is broken"
        in caplog.text
    )
    assert not hub.dispatcher.has_subscribers("a")


def test_subscriber_that_fails(dispatcher, caplog):
    """A subscriber that fails costs the others nothing."""

    class Broken(Subscriber):
        def put(self, *arguments):
            raise AttributeError("no hub any more")

        interrupted = degraded = put

    fine = Subscriber()
    for subscriber in (Broken(), fine, Broken()):
        dispatcher.add(subscriber, ("a",))
    dispatcher.receive([message(1), message(2)])
    dispatcher.degraded("gone")
    dispatcher.interrupted()
    assert fine.got == [1, 2, "gone", "interrupted"]
    assert "a subscriber failed" in caplog.text


def test_interruption_during_a_start(make_hub, runtime):
    """An answer from before an interruption is not trusted after it."""

    class Interrupting(Recording):
        def subscribe(self, channels):
            since = super().subscribe(channels)
            if len(self.requests) == 1:
                self.receiver.interrupted()
            return since

    broker = Interrupting()
    stream = opened(make_hub(broker))
    # The interruption was reported while it started, so it starts again.
    assert {event.event for event in events(stream, 1)} <= {"stream-open", "stream-reset"}
    assert len(broker.requests) >= 2
    stream.close()


def test_broker_that_hangs(monkeypatch):
    """Waiting for others who wait for the broker is bounded."""
    monkeypatch.setattr("sse_sync.channels.dispatcher.PATIENCE", 0.01)
    broker, late = Slow(), Subscriber()
    dispatcher = made(broker)
    first = threading.Thread(target=dispatcher.add, args=(Subscriber(), ("a",)))
    first.start()
    assert broker.was_asked.wait(10)
    with pytest.raises(BrokerUnavailable, match="timed out while others subscribed"):
        dispatcher.add(late, ("b",))
    broker.goes_on.set()
    first.join(10)
    dispatcher.receive([message(1), message(2, "b")])
    assert late.got == []


def test_one_asks_for_all(monkeypatch):
    """Who still waits for the lock when another has asked for all need not ask."""
    monkeypatch.setattr("sse_sync.channels.dispatcher.PATIENCE", 0.01)
    dispatcher, late = made(Recording()), Subscriber()
    asking = dispatcher._asking

    class Busy:
        """A lock that others are always quicker to take."""

        def acquire(self, timeout):
            monkeypatch.setattr(dispatcher, "_asking", asking)
            dispatcher.add(Subscriber(), ("a",))
            return False

    monkeypatch.setattr(dispatcher, "_asking", Busy())
    dispatcher.add(late, ("b",))
    dispatcher.receive([message(1, "b")])
    assert late.got == [1]
    assert [set(channels) for channels in dispatcher._broker.requests] == [{"a", "b"}]


def test_degraded(hub, caplog):
    """A broker's trouble is logged once, and so is its end."""
    hub.dispatcher.degraded("gone")
    hub.dispatcher.degraded("still gone")
    assert hub.problem == "still gone"
    hub.dispatcher.degraded(None)
    hub.dispatcher.degraded(None)
    assert caplog.messages == [
        "no events are arriving, reconnecting: gone",
        "events are arriving again",
    ]


def test_idle_channels_are_given_back(dispatcher, broker, monkeypatch):
    """Channels without subscribers do not accumulate, and can be subscribed to again."""
    monkeypatch.setattr("sse_sync.channels.dispatcher.IDLE_CHANNELS", 8)
    for number in range(32):
        subscriber, channels = Subscriber(), (f"user-{number}",)
        dispatcher.add(subscriber, channels)
        dispatcher.remove(subscriber, channels)
    assert 8 <= len(broker.channels) <= 9
    assert "user-1" not in broker.channels
    dispatcher.add(subscriber, ("user-1",))
    dispatcher.receive([message(1, "user-1")])
    assert subscriber.got == [1]


def test_review(dispatcher, broker):
    """Channels unwanted in two reviews in a row are unsubscribed, and can be subscribed again."""
    one, other = Subscriber(), Subscriber()
    dispatcher.add(one, ("a", "b"))
    dispatcher.add(other, ("b",))
    dispatcher.remove(one, ("a", "b"))
    dispatcher.review()
    assert broker.channels == {"a", "b"}
    dispatcher.review()
    assert broker.channels == {"b"}
    dispatcher.review()
    dispatcher.add(one, ("a",))
    dispatcher.receive([message(1)])
    assert one.got == [1]


def test_review_of_a_channel_that_is_wanted_again(dispatcher, broker):
    """A channel that has had a subscriber between two reviews is kept."""
    one = Subscriber()
    for _ in range(3):
        dispatcher.add(one, ("a",))
        dispatcher.remove(one, ("a",))
        dispatcher.review()
        dispatcher.add(one, ("a",))
        dispatcher.review()
        dispatcher.remove(one, ("a",))
    assert broker.requests == [["a"]]
    assert broker.channels == {"a"}


def test_review_while_somebody_subscribes():
    """A review does not wait for who waits for the broker, which may wait for the review."""
    broker = Slow()
    dispatcher = made(broker)
    first = threading.Thread(target=dispatcher.add, args=(Subscriber(), ("a",)))
    first.start()
    assert broker.was_asked.wait(10)
    dispatcher.review()
    broker.goes_on.set()
    first.join(10)
    assert dispatcher.receives(("a",))


def test_subscriber_that_is_removed_while_it_waits():
    """It neither waits for ever nor keeps its process busy."""
    broker = Slow()
    dispatcher = made(broker)
    one, other = Subscriber(), Subscriber()
    threads = [
        threading.Thread(target=dispatcher.add, args=(who, (name,)), daemon=True)
        for who, name in ((one, "a"), (other, "b"))
    ]
    threads[0].start()
    assert broker.was_asked.wait(10)
    threads[1].start()
    wait_for(lambda: "b" in dispatcher._wanted, "the other one to wait")
    dispatcher.remove(other, ("b",))
    broker.goes_on.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
