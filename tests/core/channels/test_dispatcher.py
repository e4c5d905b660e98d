"""From the broker to the subscribers of a process."""

import threading

from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.dispatcher import Dispatcher
from sse_sync.exceptions import BrokerUnavailable
from sse_sync.testing import read_events
from tests.core.channels.reading import data, events, lose_everything, opened
from tests.waiting import wait_for


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
    assert hub.dispatcher._subscribers == {"a": {}}


def test_subscriber_that_fails(hub, runtime, caplog):
    """A subscriber that fails costs the others nothing."""
    broken, fine = opened(hub), opened(hub)
    for stream in (broken, fine):
        events(stream, 1)

    def fail(*args):
        raise AttributeError("no hub any more")

    broken._feed.put = broken._feed.interrupted = fail
    hub.publish("a", "x")
    assert data(fine, 1) == ["x"]
    lose_everything(hub)
    assert [event.event for event in events(fine, 1)] == ["stream-reset"]
    assert "a subscriber failed" in caplog.text
    fine.close()
    broken.close()


def test_interruption_during_a_start(make_hub, runtime):
    """An answer from before an interruption is not trusted after it."""
    asked = []

    class Interrupting(MemoryBroker):
        def subscribe(self, channels):
            since = super().subscribe(channels)
            asked.append(since)
            if len(asked) == 1:
                self._receiver.interrupted()
            return since

    stream = opened(make_hub(Interrupting()))
    # The interruption was reported while it started, so it starts again.
    assert {event.event for event in events(stream, 1)} <= {"stream-open", "stream-reset"}
    assert len(asked) >= 2
    stream.close()


def test_broker_that_hangs(make_hub, monkeypatch, runtime):
    """Waiting for others who wait for the broker is bounded."""
    monkeypatch.setattr("sse_sync.channels.dispatcher.PATIENCE", 0.05)
    hub = make_hub()
    hub.dispatcher._asking.acquire()
    stream = opened(hub)
    assert [event.event for event in read_events(stream)] == ["stream-error"]
    hub.dispatcher._asking.release()


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


def test_idle_channels_are_given_back(hub, runtime, monkeypatch):
    """Channels without subscribers do not accumulate."""
    monkeypatch.setattr("sse_sync.channels.dispatcher.IDLE_CHANNELS", 8)
    for number in range(32):
        stream = opened(hub, f"user-{number}")
        next(stream)
        stream.close()
    assert len(hub.dispatcher._subscribers) <= 9
    assert len(hub._broker._subscribed) <= 9
    stream = opened(hub, "user-1")
    events(stream, 1)
    hub.publish("user-1", "x")
    assert data(stream, 1) == ["x"]
    stream.close()


def test_review(make_hub, runtime):
    """Channels unwanted in two reviews in a row are unsubscribed, and can be subscribed again."""
    broker = MemoryBroker()
    hub = make_hub(broker)
    stream, other = opened(hub, "a", "b"), opened(hub, "b")
    next(stream)
    next(other)
    stream.close()
    hub.dispatcher.review()
    assert broker._subscribed == {"a", "b"}
    hub.dispatcher.review()
    assert broker._subscribed == {"b"}
    hub.dispatcher.review()
    again = opened(hub, "a")
    events(again, 1)
    hub.publish("a", "x")
    assert data(again, 1) == ["x"]
    with hub.dispatcher._asking:
        hub.dispatcher.review()  # It does not wait for who waits for it.
    again.close()
    other.close()


def test_subscriber_that_is_removed_while_it_waits():
    """It neither waits for ever nor keeps its process busy."""
    inside, goes_on = threading.Event(), threading.Event()

    class Slow(MemoryBroker):
        def subscribe(self, channels):
            inside.set()
            assert goes_on.wait(10)
            return super().subscribe(channels)

    class Nobody:
        clients = 1

        def put(self, message):
            """Take an event."""

        interrupted = degraded = put

    broker = Slow()
    dispatch = Dispatcher(broker, lambda: None, lambda channels: None)
    broker.start(dispatch)
    one, other = Nobody(), Nobody()
    threads = [
        threading.Thread(target=dispatch.add, args=(who, (name,)), daemon=True)
        for who, name in ((one, "a"), (other, "b"))
    ]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    wait_for(lambda: "b" in dispatch._wanted, "the other one to wait")
    dispatch.remove(other, ("b",))
    goes_on.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
