"""Channels: subscribe, publish, resume, reset, overflow."""

import contextvars
import threading

import pytest

from sse_sync import (
    CloseReason,
    ConfigurationError,
    EventError,
    EventStream,
    Overflow,
    ServerSentEvent,
    listen,
    statistics,
)
from sse_sync.brokers.base import History, Position
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.app import AppHub, connect, make_broker
from sse_sync.channels.dispatcher import Dispatcher
from sse_sync.channels.hub import Hub
from sse_sync.channels.subscription import Subscription
from sse_sync.exceptions import BrokerUnavailable
from sse_sync.settings import Options
from sse_sync.streams.hooks import Hooks
from sse_sync.testing import read_events
from tests.core.children import in_child
from tests.waiting import wait_for

variable = contextvars.ContextVar("variable", default="")
SERVED = {"SERVER_SOFTWARE": "test"}


@pytest.fixture
def hub():
    hub = Hub(MemoryBroker())
    yield hub
    hub.close()


@pytest.fixture(params=[{}, SERVED], ids=["inline", "beside"])
def environ(request, runtime):
    """In a test client, and on a server."""
    return request.param


def opened(hub, *channels, environ=SERVED, on_close=None, options=None, **arguments):
    """A stream that is open and has registered; its first bytes have been read."""
    subscription = Subscription(hub, channels or ("a",), **arguments)
    stream = EventStream(subscription, dict(environ), on_close=on_close, options=options)
    read_events(stream, 0)
    return stream


def events(stream, limit):
    return read_events(stream, limit)


def lose_everything(hub):
    """The store starts a new epoch, and the broker notices."""
    hub._broker._epoch += "x"
    hub.dispatcher.interrupted()


def data(stream, limit):
    return [event.data for event in events(stream, limit)]


@pytest.mark.parametrize(
    ("arguments", "at_once"),
    [
        ({}, True),
        ({"last_event_id": "x"}, False),
        ({"snapshot": lambda: ["state"]}, False),
    ],
)
def test_first_bytes(hub, runtime, arguments, at_once):
    """They include the first event if that needs no query, and never wait for it."""

    def first_bytes():
        stream = EventStream(Subscription(hub, ("a",), **arguments), dict(SERVED))
        chunk = next(stream)
        streams.append(stream)
        assert chunk.startswith(b":\nretry: ")
        return chunk

    streams = []
    assert b"event" not in first_bytes()  # The channel is not received yet.
    assert b"event: stream-" in next(streams[0])
    assert (b"event: stream-open" in first_bytes()) == at_once
    for stream in streams:
        stream.close()


def test_publish_and_subscribe(hub, environ):
    """A new client gets its position first, and every event from then on."""
    hub.publish("a", "before")
    stream = opened(hub, "a", "b", environ=environ)
    (first,) = events(stream, 1)
    assert (first.event, first.data) == ("stream-open", "")
    one = hub.publish("a", {"n": 1}, event="created")
    hub.publish("c", "elsewhere")
    two = hub.publish("b", "two\nlines")
    assert events(stream, 2) == [
        ServerSentEvent('{"n": 1}', event="created", id=one),
        ServerSentEvent("two\nlines", id=two),
    ]
    stream.close()
    assert hub.dispatcher._subscribers == {"a": {}, "b": {}}


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


def test_trimmed_history(environ):
    """If the history does not go back far enough, none of it is sent."""
    hub = Hub(MemoryBroker(history=2))
    last = hub.publish("a", "seen")
    for number in range(5):
        hub.publish("a", str(number))
    stream = opened(hub, environ=environ, last_event_id=last)
    assert [event.event for event in events(stream, 1)] == ["stream-reset"]
    stream.close()


def test_replay_while_events_are_published(runtime):
    """Events published between registering and reading the history arrive once and in order."""
    broker = MemoryBroker()
    hub = Hub(broker)
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


def test_filter(hub, environ):
    """A filter gets type, key and meta, and decides for one client."""
    seen = []

    def only_mine(event, key, meta):
        seen.append((event, key, dict(meta)))
        return meta.get("user") == 7

    stream = opened(hub, environ=environ, filter=only_mine)
    events(stream, 1)
    hub.publish("a", "no", event="e", key="k", meta={"user": 1})
    hub.publish("a", "no")
    hub.publish("a", "yes", meta={"user": 7})
    assert data(stream, 1) == ["yes"]
    assert seen == [("e", "k", {"user": 1}), (None, None, {}), (None, None, {"user": 7})]
    stream.close()


def test_failing_filter(hub, environ, caplog):
    """A filter that fails ends its stream, and no other."""

    def fail(event, key, meta):
        raise ZeroDivisionError("secret")

    stream = opened(hub, environ=environ, filter=fail)
    other = opened(hub, environ=environ)
    events(stream, 1)
    events(other, 1)
    hub.publish("a", "x")
    assert [event.event for event in read_events(stream)] == ["stream-error"]
    assert data(other, 1) == ["x"]
    other.close()
    assert "ZeroDivisionError" in caplog.text


def test_snapshot(hub, environ):
    """State comes first, then what happened since; a client that resumes gets no state."""

    def snapshot():
        hub.publish("a", "while the state is read")
        return ["state", ServerSentEvent({"n": 1}, event="state")]

    stream = opened(hub, environ=environ, snapshot=snapshot)
    opening, *rest = events(stream, 4)
    assert opening.event == "stream-open"
    assert [event.data for event in rest] == ["state", '{"n": 1}', "while the state is read"]
    stream.close()
    stream = opened(hub, environ=environ, snapshot=snapshot, last_event_id=rest[-1].id)
    hub.publish("a", "new")
    assert data(stream, 1) == ["new"]
    stream.close()


def test_slow_client_is_disconnected(hub, runtime):
    """A slow client gets what fits, and the rest after reconnecting."""
    seen = []
    stream = opened(hub, max_events=3, on_close=seen.append)
    events(stream, 1)
    for number in range(10):
        hub.publish("a", str(number))
    got = read_events(stream)
    assert [event.data for event in got] == ["0", "1", "2"]
    stream.close()
    assert seen == [CloseReason.OVERFLOWED]
    again = opened(hub, last_event_id=got[-1].id)
    assert data(again, 7) == [str(number) for number in range(3, 10)]
    again.close()


def test_other_policies(hub, runtime):
    """A slow client may instead get only the latest events."""
    oldest = opened(hub, max_events=3, overflow=Overflow.DROP_OLDEST)
    latest = opened(hub, overflow=Overflow.LATEST)
    for stream in (oldest, latest):
        events(stream, 1)
    for number in range(10):
        hub.publish("a", str(number), key="k")
    assert data(oldest, 3) == ["7", "8", "9"]
    assert data(latest, 1) == ["9"]
    oldest.close()
    latest.close()


def test_many_events_in_one_chunk(hub, runtime):
    """Events that arrive together are written together, up to a limit."""
    stream = opened(hub)
    events(stream, 1)
    for number in range(100):
        hub.publish("a", f"{number}")
    assert next(stream).count(b"\n\n") == 100
    for _ in range(10):
        hub.publish("a", "x" * 4000)
    assert next(stream).count(b"\n\n") == 8
    events(stream, 2)
    for _ in range(2):
        hub.publish("a", "x" * 5000)
    assert next(stream).count(b"\n\n") == 1
    stream.close()


def test_one_stuck_client(hub, runtime):
    """A client that reads nothing delays nobody."""
    stuck = opened(hub)
    streams = [opened(hub) for _ in range(3)]
    for stream in streams:
        events(stream, 1)
    for number in range(20):
        hub.publish("a", str(number))
        assert [data(stream, 1) for stream in streams] == [[str(number)]] * 3
    for stream in [stuck, *streams]:
        stream.close()


def test_heartbeats_and_end(hub, runtime):
    """A quiet channel has heartbeats, and the application may end a stream for good."""
    stream = opened(hub, options=Options(heartbeat=15))
    events(stream, 1)
    assert next(stream) == b":\n\n"
    assert runtime.now == 1015
    runtime.reactor.call_at(runtime.now + 1, lambda now: stream.end())
    assert b"stream-end" in next(stream)
    stream.close()


def test_published_from_another_thread(hub, threads):
    """A publisher in another thread wakes the stream."""
    stream = opened(hub)
    events(stream, 1)
    thread = threading.Timer(0.01, hub.publish, ["a", "x"])
    thread.start()
    assert data(stream, 1) == ["x"]
    thread.join(10)
    stream.close()


def test_teardown_of_a_channel_stream(hub, environ):
    """Hooks run once, and nothing lingers."""
    seen = []
    subscription = Subscription(hub, ("a",))
    stream = EventStream(
        subscription,
        dict(environ),
        on_close=lambda reason: seen.append(reason.name),
        hooks=Hooks(
            before=lambda: seen.append("before"),
            after_source=lambda: seen.append("after_source"),
            after=lambda error: seen.append("after"),
        ),
    )
    next(stream)
    next(stream)
    stream.close()
    stream.close()
    expected = ["before", "before", "after_source", "CLIENT_GONE", "after"]
    assert seen == (expected if environ else ["CLIENT_GONE", "after"])
    assert (statistics().open, statistics().lingering) == (0, 0)


class Broken(MemoryBroker):
    """A broker that cannot be reached."""

    def subscribe(self, channels):
        raise BrokerUnavailable("broken://", "it is broken")


def test_broker_is_away(runtime, caplog):
    """Without its broker a stream tells its client to come back."""
    hub = Hub(Broken())
    stream = opened(hub)
    (event,) = read_events(stream)
    assert event.event == "stream-error"
    assert (
        "cannot subscribe to a, ending the stream: broken:// is unavailable: it is broken"
        in caplog.text
    )
    assert hub.dispatcher._subscribers == {"a": {}}


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


def test_interruption_that_missed_nothing(runtime):
    """A client whose history is complete is not reset, and gets what it missed."""
    broker = MemoryBroker()
    hub = Hub(broker)
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


def test_reset_before_the_process_knows(runtime):
    """A client that reconnects to a new epoch is reset once, even before the process knows."""
    broker = MemoryBroker()
    hub = Hub(broker)
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


def test_event_of_a_new_epoch_before_its_interruption(runtime):
    """A client gets no position of a new epoch before its reset."""
    broker = MemoryBroker()
    hub = Hub(broker)
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


def test_interruption_during_a_start(runtime):
    """An answer from before an interruption is not trusted after it."""
    asked = []

    class Interrupting(MemoryBroker):
        def subscribe(self, channels):
            since = super().subscribe(channels)
            asked.append(since)
            if len(asked) == 1:
                self._receiver.interrupted()
            return since

    stream = opened(Hub(Interrupting()))
    # The interruption was reported while it started, so it starts again.
    assert {event.event for event in events(stream, 1)} <= {"stream-open", "stream-reset"}
    assert len(asked) >= 2
    stream.close()


def test_broker_that_hangs(monkeypatch, runtime):
    """Waiting for others who wait for the broker is bounded."""
    monkeypatch.setattr("sse_sync.channels.dispatcher.PATIENCE", 0.05)
    hub = Hub(MemoryBroker())
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


def test_history_is_asked_for_once_registered(runtime):
    """The order that makes a replay complete."""
    seen = []

    class Noting(MemoryBroker):
        def subscribe(self, channels):
            seen.append("subscribe")
            return super().subscribe(channels)

        def history(self, channels, after, limit=None):
            seen.append("history")
            return History([], True)

    hub = Hub(Noting())
    stream = opened(hub, last_event_id=str(Position("a", 1)))
    stream._start(stream._feed)
    assert seen == ["subscribe", "history"]
    stream.close()


@pytest.mark.parametrize("channel", ["", "x" * 201, "a\nb", "a\0", 5, None, b"a"])
def test_channel_names(hub, channel):
    """A channel's name is short printable text."""
    with pytest.raises(ConfigurationError, match="channel must"):
        Subscription(hub, (channel,))


def test_no_channels(hub):
    """A subscription without channels is an error."""
    with pytest.raises(ConfigurationError, match="at least one channel"):
        Subscription(hub, ())


def test_unsendable(hub):
    """Data that cannot be sent is refused when published."""
    with pytest.raises(EventError, match="neither text nor"):
        hub.publish("a", object())
    with pytest.raises(EventError, match="line break"):
        hub.publish("a", "x", event="a\nb")


def test_fork(runtime):
    """In a child the hub starts afresh, without its parent's subscribers, locks or history."""
    hub = AppHub(Options()).hub()
    stream = opened(hub)
    next(stream)
    hub.publish("a", "x")
    epoch = hub.position().epoch

    def child():
        own = opened(hub)
        told = f"{hub.statistics().subscriptions} {hub.position().epoch != epoch}"
        own.close()
        return told

    with hub.dispatcher._asking:
        assert in_child(child) == "0 True"
    assert hub.statistics().subscriptions == 1
    stream.close()


def test_long_replay(environ):
    """A client that missed much gets it in parts of bounded size."""
    hub = Hub(MemoryBroker())
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


def test_long_replay_with_a_filter(environ):
    """If the filter drops all of a part, the next part is read."""
    hub = Hub(MemoryBroker())
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


def test_history_is_lost_during_a_long_replay(runtime):
    """If the rest was dropped meanwhile, the client has to reload its state."""
    hub = Hub(MemoryBroker(history=50))
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


def test_memory_with_several_processes():
    """A broker that cannot reach the other workers is refused, not used silently."""
    channels = AppHub(Options())
    channels.check({**SERVED, "wsgi.multiprocess": False})
    channels.check({"wsgi.multiprocess": True})
    with pytest.raises(ConfigurationError, match="events would stay in one of them"):
        channels.check({**SERVED, "wsgi.multiprocess": True})


def test_unknown_broker():
    """For an unknown broker, the error lists the known ones."""
    with pytest.raises(ConfigurationError, match="names no broker: carrier-pigeon"):
        make_broker(Options(broker_url="carrier-pigeon://x"))


class Unreliable(MemoryBroker):
    """Fails several times, before or after storing the event."""

    def __init__(self, failures, *, stores=True):
        super().__init__()
        self.failures, self.stores = failures, stores

    def publish(self, *args, **arguments):
        if self.failures > 0:
            self.failures -= 1
            if self.stores:
                super().publish(*args, **arguments)
            raise BrokerUnavailable("it", "is away")
        return super().publish(*args, **arguments)


class Time:
    """A clock that advances with each sleep."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_unknown_keywords_of_publish(hub):
    """They are refused by name; flask-sse's spelling of the event type is explained."""
    for publish in (hub.publish, hub.publish_to_user):
        with pytest.raises(TypeError, match="unexpected keyword argument 'evnt'"):
            publish("a", "x", evnt="created")
        with pytest.raises(TypeError, match="'type': write event= instead"):
            publish("a", "x", type="created")


@pytest.mark.parametrize("stores", [True, False])
def test_publish_again(stores):
    """A retried publish is stored once, whether or not an attempt was stored."""
    time = Time()
    broker = Unreliable(3, stores=stores)
    hub = Hub(broker, clock=time, sleep=time.sleep)
    since = broker.position()
    published = hub.publish("a", "x", retry_for=10)
    assert [str(m.position) for m in broker.history(["a"], since).messages] == [published]
    assert 0 < time.now < 1


def test_publish_gives_up():
    """Publishing is retried only if requested, and for no longer than that."""
    time = Time()
    hub = Hub(Unreliable(1000), clock=time, sleep=time.sleep)
    with pytest.raises(BrokerUnavailable):
        hub.publish("a", "x")
    assert time.now == 0
    with pytest.raises(BrokerUnavailable):
        hub.publish("a", "x", retry_for=7)
    assert 7 <= time.now < 7.001
    assert hub.statistics().published == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"retry_for": -1}, "retry_for must be 0 to 60 seconds"),
        ({"retry_for": 61}, "retry_for must be 0 to 60 seconds"),
        ({"token": ""}, "token must be text of 1 to 200 characters"),
        ({"token": 7}, "token must be text"),
    ],
)
def test_bad_arguments_of_publish(hub, arguments, problem):
    with pytest.raises(ConfigurationError, match=problem):
        hub.publish("a", "x", **arguments)
    with pytest.raises(ConfigurationError, match="channel must have 1 to 200 printable"):
        hub.publish("a\n", "x")


def test_clients_are_told_of_trouble(hub, environ):
    """On request, a client is told when no events can arrive, and when they can again."""
    stream = opened(hub, environ=environ, tell_degraded=True)
    other = opened(hub, environ=environ)
    (begun,) = events(stream, 1)
    assert [e.event for e in (begun, *events(other, 1))] == ["stream-open", "stream-open"]
    hub.dispatcher.degraded("redis://secret is gone")
    hub.dispatcher.degraded("still gone")
    (told,) = events(stream, 1)
    # The client's position does not change.
    assert (told.event, told.data, told.id) == ("stream-degraded", "true", begun.id)
    hub.publish("a", "x")
    hub.dispatcher.degraded(None)
    assert {(e.event, e.data) for e in events(stream, 2)} == {
        (None, "x"),
        ("stream-degraded", "false"),
    }
    assert data(other, 1) == ["x"]
    hub.dispatcher.degraded("gone")
    late = opened(hub, environ=environ, tell_degraded=True)
    assert [event.event for event in events(late, 2)] == ["stream-open", "stream-degraded"]
    for each in (stream, other, late):
        each.close()


def test_figures(hub, runtime):
    """The hub reports statistics."""
    one, two = opened(hub, "a", "b"), opened(hub, "a")
    next(one)
    next(two)
    hub.publish("a", "x")
    hub.publish("c", "x")
    figures = hub.statistics()
    assert (figures.channels, figures.subscriptions) == (2, 3)
    assert (figures.published, figures.received, figures.delivered) == (2, 1, 2)
    assert (figures.interruptions, figures.problem) == (0, None)
    one.close()
    two.close()
    assert (hub.statistics().channels, hub.statistics().subscriptions) == (0, 0)


def test_review(runtime):
    """Channels unwanted in two reviews in a row are unsubscribed, and can be subscribed again."""
    broker = MemoryBroker()
    hub = Hub(broker)
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


def test_listen(hub, runtime):
    """A script gets the events of channels as a client does, and resumes."""
    heard = listen(hub, "a", "b")
    opened_at = next(heard)
    assert opened_at.event == "stream-open"
    first = hub.publish("a", "1", event="n")
    hub.publish("b", "2")
    hub.publish("c", "3")
    event = next(heard)
    assert (event.event, event.data, event.id) == ("n", "1", first)
    heard.close()
    assert hub.statistics().subscriptions == 0
    again = listen(hub, "a", "b", last_event_id=first)
    assert next(again).data == "2"
    for _ in range(1500):
        hub.publish("a", "more")
    with pytest.raises(ConfigurationError):
        listen(hub)
    again.close()


def test_slow_listener(runtime):
    """A slow script misses no event that is still stored."""
    hub = Hub(MemoryBroker(history=5000))
    heard = listen(hub, "a")
    next(heard)
    for number in range(3000):
        hub.publish("a", str(number))
    assert [next(heard).data for _ in range(3000)] == [str(number) for number in range(3000)]
    heard.close()
    hub.close()


def test_connect():
    """A script gets its own hub, and a misspelt option is refused."""
    with connect("memory://", history=2, channel_histories={"x": (1, 5)}) as hub:
        hub.publish("a", {"b": 1})
    with pytest.raises(ConfigurationError, match="heartbeat is not an option of channels"):
        connect("memory://", heartbeat=5)
    with pytest.raises(ConfigurationError, match="HISTORY must be a positive whole number"):
        connect("memory://", history=0)
    with pytest.raises(ConfigurationError, match="names no broker: redsi; known are memory://"):
        connect("redsi://localhost")


@pytest.mark.parametrize("kept", [[], {"a": 5}, {"a": (1,)}, {1: (1, 1)}, {"a": (0, 1)}])
def test_bad_histories(kept):
    with pytest.raises(ConfigurationError, match="CHANNEL_HISTORIES must be"):
        connect("memory://", channel_histories=kept)


def test_event_that_is_too_large(hub, environ):
    """A mebibyte of data is refused with advice, and nothing else is affected."""
    stream = opened(hub, environ=environ)
    events(stream, 1)
    with pytest.raises(EventError, match=r"data makes an event of 1,048,584 bytes, more than"):
        hub.publish("a", "x" * (1 << 20))
    hub.publish("a", "x" * ((1 << 20) - 8))
    assert [len(text) for text in data(stream, 1)] == [(1 << 20) - 8]
    stream.close()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"max_events": 0}, "max_events must be a positive whole number, not 0"),
        ({"max_bytes": "1 MiB"}, "max_bytes must be a positive whole number"),
    ],
)
def test_bad_bounds(hub, arguments, problem):
    with pytest.raises(ConfigurationError, match=problem):
        Subscription(hub, ("a",), **arguments)


def test_unknown_policy():
    """For an unknown policy, the error lists the known ones."""
    with pytest.raises(ConfigurationError, match="overflow must be one of 'disconnect', 'drop"):
        Overflow("newest")
    assert Overflow("latest") is Overflow.LATEST


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
