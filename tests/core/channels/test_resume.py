"""Where a client starts: it resumes, or it is reset."""

import contextvars

import pytest

from sse_sync import ServerSentEvent
from sse_sync.brokers.base import NO_FLOORS, History, Message, Position
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.resume import ChannelReader
from tests.core.channels.reading import Broker, data, events, opened

variable = contextvars.ContextVar("variable", default="")


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def hub(make_hub, broker):
    return make_hub(broker)


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

    def busy_history(channels, after, limit=None, floors=NO_FLOORS):
        hub.publish("a", "2")
        found = history(channels, after, limit, floors)
        hub.publish("a", "3")
        return found

    broker.history = busy_history
    stream = opened(hub, last_event_id=last)
    assert data(stream, 3) == ["1", "2", "3"]
    stream.close()


@pytest.mark.parametrize("accepts", [None, lambda event, key, meta: bool(variable.get())])
def test_interruption(hub, broker, runtime, accepts):
    """If the broker cannot tell what is missing, every client is reset."""
    variable.set("the view's")
    stream = opened(hub, filter=accepts, snapshot=lambda: [variable.get()])
    variable.set("elsewhere")
    assert data(stream, 2) == ["", "the view's"]
    broker.begin_epoch()
    hub.dispatcher.interrupted()
    reset, state = events(stream, 2)
    assert (reset.event, state.data) == ("stream-reset", "the view's")
    hub.publish("a", "x")
    assert data(stream, 1) == ["x"]
    stream.close()


def test_interruption_that_missed_nothing(hub, broker, runtime):
    """A client whose history is complete is not reset, and gets what it missed."""
    stream = opened(hub)
    events(stream, 1)
    hub.publish("a", "1")
    # As after a broken connection: the process does not receive the second event.
    broker.is_connected = False
    hub.publish("a", "2")
    broker.is_connected = True
    hub.dispatcher.interrupted()
    assert data(stream, 2) == ["1", "2"]
    hub.publish("a", "3")
    assert data(stream, 1) == ["3"]
    stream.close()


def test_reset_before_the_process_knows(hub, broker, runtime):
    """A client that reconnects to a new epoch is reset once, even before the process knows."""
    first = opened(hub)
    (begun,) = events(first, 1)
    hub.publish("a", "1")
    broker.begin_epoch()
    stream = opened(hub, last_event_id=begun.id)
    (reset,) = events(stream, 1)
    assert reset.event == "stream-reset"
    assert Position.parse(reset.id) == broker.position()
    hub.dispatcher.interrupted()
    hub.publish("a", "2")
    assert [(event.event, event.data) for event in events(stream, 1)] == [(None, "2")]
    stream.close()
    first.close()


def test_event_of_a_new_epoch_before_its_interruption(hub, broker, runtime):
    """A client gets no position of a new epoch before its reset."""
    stream = opened(hub)
    events(stream, 1)
    broker.begin_epoch("new")
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

        def history(self, channels, after, limit=None, floors=NO_FLOORS):
            seen.append("history")
            return super().history(channels, after, limit, floors)

    hub = make_hub(Noting())
    last = hub.publish("a", "seen")
    hub.publish("a", "missed")
    stream = opened(hub, last_event_id=last)
    assert data(stream, 1) == ["missed"]
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
    return stream._run.feed


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


class World:
    """What a reader sees of a hub: its dispatcher, and what its broker answers."""

    def __init__(self):
        self.interruptions = 0
        self.here = Position("e", 10)
        self.known = History([], True)
        self.asked = []

    @property
    def dispatcher(self):
        return self

    def add(self, subscriber, channels):
        self.asked.append(("add", subscriber, channels))
        return self.here

    def remove(self, subscriber, channels):
        self.asked.append(("remove", subscriber, channels))

    def history(self, channels, after, limit=None, floors=NO_FLOORS):
        self.asked.append((channels, after, limit))
        return self.known

    def position(self):
        return Position("another", 1)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def reader(world):
    return ChannelReader(world, ("a",))


def messages(*numbers, epoch="e"):
    return [Message("a", Position(epoch, number), b"x") for number in numbers]


def followed(reader, *numbers, epoch="e"):
    return [m.position.number for m in reader.follow(messages(*numbers, epoch=epoch))]


def test_reader_registers(reader, world):
    """Registering moves nothing, so that what is missing can be read after it."""
    assert reader.start("me") == world.here
    assert reader.seen.number == 0
    reader.stop("me")
    assert world.asked == [("add", "me", ("a",)), ("remove", "me", ("a",))]


def test_reader_skips_what_it_has_seen(reader):
    """Whatever comes twice, from the history and to the mailbox, is followed once."""
    reader.seen = Position("e", 5)
    assert followed(reader, 4, 5, 6, 7) == [6, 7]
    assert followed(reader, 6, 7, 8) == [8]
    assert followed(reader) == []
    assert reader.seen == Position("e", 8)


def test_reader_stops_at_another_epoch(reader):
    """Nothing of a new epoch is followed before the reader has started again."""
    reader.seen = Position("e", 5)
    new = [*messages(6), *messages(7, epoch="f"), *messages(8)]
    assert [m.position.number for m in reader.follow(new)] == [6]
    assert reader.seen == Position("e", 6)
    assert reader.has_missed
    reader.start("me")
    assert not reader.has_missed


def test_reader_ignores_an_old_epoch(reader):
    """What comes late from an earlier epoch, below the reader's position, changes nothing."""
    reader.seen = Position("f", 50)
    assert followed(reader, 49, epoch="e") == []
    assert not reader.has_missed


@pytest.mark.parametrize("complete", [True, False])
def test_reader_reads(reader, world, complete):
    """A history is used whole, or not at all."""
    world.known = History(messages(6, 7), complete)
    found = reader.read(Position("e", 5), 1000)
    assert found == (world.known.messages if complete else None)
    assert world.asked == [(("a",), Position("e", 5), 1000)]
    assert reader.seen.number == 0


@pytest.mark.parametrize(
    ("seen", "then"),
    [
        (Position("e", 5), Position("e", 10)),
        (Position("e", 12), Position("e", 12)),
        (Position("f", 5), Position("f", 5)),
    ],
)
def test_reader_has_caught_up(reader, seen, then):
    """After all of the history the reader stands where it has registered, or later."""
    reader.start("me")
    reader.seen = seen
    reader.caught_up()
    assert reader.seen == then


def test_reader_is_current(reader, world):
    """A reader knows of an interruption before its subscriber is told."""
    assert not reader.is_current
    reader.start("me")
    assert reader.is_current
    world.interruptions += 1
    assert not reader.is_current
    reader.start("me")
    reader.has_missed = True
    assert not reader.is_current


def test_reader_starts_anew(reader):
    """Where its own position is of no use the broker is asked, not the process."""
    reader.start("me")
    assert reader.present() == Position("another", 1)
