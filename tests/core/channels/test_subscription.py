"""Streams of channels: what a client gets, and in which order."""

import contextvars
import gc
import threading
import weakref

import pytest

from sse_sync import (
    CloseReason,
    ConfigurationError,
    EventStream,
    Overflow,
    ServerSentEvent,
    statistics,
)
from sse_sync.channels.subscription import Subscription
from sse_sync.settings import Options
from sse_sync.streams.hooks import Hooks
from sse_sync.testing import read_events
from tests.core.channels.reading import SERVED, data, events, opened


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
    assert hub.statistics().subscriptions == 0


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
    assert next(stream) == b":\n"
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


@pytest.mark.parametrize("channel", ["", "x" * 201, "a\nb", "a\0", 5, None, b"a"])
def test_channel_names(hub, channel):
    """A channel's name is short printable text."""
    with pytest.raises(ConfigurationError, match="channel must"):
        Subscription(hub, (channel,))


def test_no_channels(hub):
    """A subscription without channels is an error."""
    with pytest.raises(ConfigurationError, match="at least one channel"):
        Subscription(hub, ())


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


def test_closed_stream_keeps_nothing(hub, environ):
    """The request's context is freed with its stream, without the garbage collector."""

    class Request:
        pass

    def view():
        variable.set(requests.pop())
        stream = EventStream(Subscription(hub, ("a",)), dict(environ))
        next(stream)
        stream.close()

    variable, requests = contextvars.ContextVar("request"), [Request()]
    seen = weakref.ref(requests[0])
    gc.collect()
    gc.disable()
    try:
        contextvars.copy_context().run(view)
        assert seen() is None
    finally:
        gc.enable()
