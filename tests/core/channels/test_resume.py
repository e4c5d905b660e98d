"""Where a client starts: it resumes, or it is reset."""

import contextvars

import pytest

from sse_sync import ServerSentEvent
from sse_sync.brokers.base import History, Position
from sse_sync.brokers.memory import MemoryBroker
from tests.core.channels.reading import data, events, lose_everything, opened

variable = contextvars.ContextVar("variable", default="")


def test_resume(hub, environ):
    """A reconnecting client gets what it missed, once, and then new events."""
    last = hub.publish("a", "seen")
    hub.publish("a", "missed 1")
    hub.publish("b", "missed 2")
    stream = opened(hub, "a", "b", environ=environ, last_event_id=last)
    assert data(stream, 2) == ["missed 1", "missed 2"]
    hub.publish("b", "new")
    assert data(stream, 1) == ["new"]
    stream.close()


def test_nothing_missed(hub, environ):
    """A client that missed nothing gets only new events."""
    last = hub.publish("a", "seen")
    stream = opened(hub, environ=environ, last_event_id=last)
    new = hub.publish("a", "new")
    assert events(stream, 1) == [ServerSentEvent("new", id=new)]
    stream.close()


@pytest.mark.parametrize(
    "last", ["rubbish", "other-1", "", "\x00", "x" * 500, "sse-sync.end", "1-zzzzzzzzzzzz"]
)
def test_reset(hub, environ, last):
    """A client with an unknown position has to reload its state."""
    hub.publish("a", "before")
    stream = opened(hub, environ=environ, last_event_id=last)
    (reset,) = events(stream, 1)
    assert (reset.event, reset.data) == ("stream-reset", "")
    new = hub.publish("a", "new")
    assert events(stream, 1) == [ServerSentEvent("new", id=new)]
    # The position that came with the reset resumes.
    again = opened(hub, environ=environ, last_event_id=reset.id)
    assert events(again, 1) == [ServerSentEvent("new", id=new)]
    stream.close()
    again.close()


def test_position_of_stream_open_resumes(hub, environ):
    """A client that received only its position misses nothing."""
    stream = opened(hub, environ=environ)
    (first,) = events(stream, 1)
    stream.close()
    hub.publish("a", "missed")
    stream = opened(hub, environ=environ, last_event_id=first.id)
    assert data(stream, 1) == ["missed"]
    stream.close()


def test_trimmed_history(make_hub, environ):
    """If the history does not go back far enough, none of it is sent."""
    hub = make_hub(MemoryBroker(history=2))
    last = hub.publish("a", "seen")
    for number in range(5):
        hub.publish("a", str(number))
    stream = opened(hub, environ=environ, last_event_id=last)
    assert [event.event for event in events(stream, 1)] == ["stream-reset"]
    stream.close()


def test_replay_while_events_are_published(make_hub, runtime):
    """Events published between registering and reading the history arrive once and in order."""
    broker = MemoryBroker()
    hub = make_hub(broker)
    last = hub.publish("a", "seen")
    hub.publish("a", "1")
    history = broker.history

    def busy_history(channels, after, limit=None):
        hub.publish("a", "2")
        found = history(channels, after, limit)
        hub.publish("a", "3")
        return found

    broker.history = busy_history
    stream = opened(hub, last_event_id=last)
    assert data(stream, 3) == ["1", "2", "3"]
    stream.close()


@pytest.mark.parametrize("accepts", [None, lambda event, key, meta: bool(variable.get())])
def test_interruption(hub, runtime, accepts):
    """If the broker cannot tell what is missing, every client is reset."""
    variable.set("the view's")
    stream = opened(hub, filter=accepts, snapshot=lambda: [variable.get()])
    variable.set("elsewhere")
    assert data(stream, 2) == ["", "the view's"]
    lose_everything(hub)
    reset, state = events(stream, 2)
    assert (reset.event, state.data) == ("stream-reset", "the view's")
    hub.publish("a", "x")
    assert data(stream, 1) == ["x"]
    stream.close()


def test_interruption_that_missed_nothing(make_hub, runtime):
    """A client whose history is complete is not reset, and gets what it missed."""
    broker = MemoryBroker()
    hub = make_hub(broker)
    stream = opened(hub)
    events(stream, 1)
    hub.publish("a", "1")
    # As after a broken connection: the process does not receive the second event.
    broker._receiver, receiver = None, broker._receiver
    hub.publish("a", "2")
    broker._receiver = receiver
    hub.dispatcher.interrupted()
    assert data(stream, 2) == ["1", "2"]
    hub.publish("a", "3")
    assert data(stream, 1) == ["3"]
    stream.close()


def test_reset_before_the_process_knows(make_hub, runtime):
    """A client that reconnects to a new epoch is reset once, even before the process knows."""
    broker = MemoryBroker()
    hub = make_hub(broker)
    first = opened(hub)
    (begun,) = events(first, 1)
    hub.publish("a", "1")
    broker._epoch += "x"
    stream = opened(hub, last_event_id=begun.id)
    (reset,) = events(stream, 1)
    assert reset.event == "stream-reset"
    assert Position.parse(reset.id) == broker.position()
    hub.dispatcher.interrupted()
    hub.publish("a", "2")
    assert [(event.event, event.data) for event in events(stream, 1)] == [(None, "2")]
    stream.close()
    first.close()


def test_event_of_a_new_epoch_before_its_interruption(make_hub, runtime):
    """A client gets no position of a new epoch before its reset."""
    broker = MemoryBroker()
    hub = make_hub(broker)
    stream = opened(hub)
    events(stream, 1)
    broker._epoch = "new"
    hub.publish("a", "x")
    (reset,) = events(stream, 1)
    assert reset.event == "stream-reset"
    assert reset.id.startswith("new-")
    hub.publish("a", "y")
    assert data(stream, 1) == ["y"]
    stream.close()


def test_history_is_asked_for_once_registered(make_hub, runtime):
    """The order that makes a replay complete."""
    seen = []

    class Noting(MemoryBroker):
        def subscribe(self, channels):
            seen.append("subscribe")
            return super().subscribe(channels)

        def history(self, channels, after, limit=None):
            seen.append("history")
            return History([], True)

    hub = make_hub(Noting())
    stream = opened(hub, last_event_id=str(Position("a", 1)))
    stream._start(stream._feed)
    assert seen == ["subscribe", "history"]
    stream.close()


def test_long_replay(make_hub, environ):
    """A client that missed much gets it in parts of bounded size."""
    hub = make_hub()
    last = hub.publish("a", "seen")
    expected = [str(number).ljust(1000, ".") for number in range(500)]
    for text in expected:
        hub.publish("a", text, key="odd" if text[0] in "13579" else "even")
    stream = opened(hub, environ=environ, last_event_id=last, max_bytes=10_000)
    got = []
    while len(got) < 500:
        got += data(stream, 5)
        assert sum(len(chunk) for chunk in feed_of(stream)._ready) <= 12_000
        # Later events do not fit into the mailbox, but still arrive at the end.
        if len(expected) < 600:
            expected.append(f"new {len(expected)}".ljust(1000, "."))
            hub.publish("a", expected[-1], key="odd")
    got += data(stream, len(expected) - 500)
    assert got == expected
    stream.close()


def feed_of(stream):
    return stream._feed


def test_long_replay_with_a_filter(make_hub, environ):
    """If the filter drops all of a part, the next part is read."""
    hub = make_hub()
    last = hub.publish("a", "seen")
    for number in range(500):
        hub.publish("a", str(number).ljust(1000, "."), key=str(number))
    stream = opened(
        hub,
        environ=environ,
        last_event_id=last,
        max_bytes=10_000,
        filter=lambda event, key, meta: key in ("7", "499", "live"),
    )
    assert [text.rstrip(".") for text in data(stream, 2)] == ["7", "499"]
    hub.publish("a", "live", key="live")
    assert data(stream, 1) == ["live"]
    stream.close()


def test_history_is_lost_during_a_long_replay(make_hub, runtime):
    """If the rest was dropped meanwhile, the client has to reload its state."""
    hub = make_hub(MemoryBroker(history=50))
    last = hub.publish("a", "seen")
    for number in range(40):
        hub.publish("a", str(number).ljust(1000, "."))
    stream = opened(hub, last_event_id=last, max_bytes=5_000)
    assert len(data(stream, 5)) == 5
    for number in range(60):
        hub.publish("a", str(number))
    assert [event.event for event in events(stream, 1)] == ["stream-reset"]
    hub.publish("a", "new")
    assert data(stream, 1) == ["new"]
    stream.close()
