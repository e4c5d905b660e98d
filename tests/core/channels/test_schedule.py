"""Publishing at intervals."""

import contextlib
import functools
import logging

import pytest

from sse_sync import ConfigurationError, EventError, EventStream
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.channels.schedule import Schedule
from sse_sync.channels.subscription import Subscription
from sse_sync.exceptions import BrokerUnavailable
from sse_sync.settings import Options
from sse_sync.testing import read_events


@pytest.fixture
def schedule():
    return Schedule()


@pytest.fixture
def make_hub(runtime, schedule):
    with contextlib.ExitStack() as stack:

        def make_hub(**arguments):
            def now():
                return runtime.now

            broker = MemoryBroker(now=now)
            hub = Hub(broker, clock=now, now=now, schedule=schedule, **arguments)
            return stack.enter_context(hub)

        yield make_hub


@pytest.fixture
def hub(make_hub):
    return make_hub()


@pytest.fixture
def times(runtime, schedule):
    """The times at which the function was called."""
    times = []

    @schedule.publish_every(2, "room", event="time")
    def tell():
        times.append(runtime.now)
        return {"at": runtime.now}

    return times


@contextlib.contextmanager
def subscribed(hub, *channels):
    environ = {"SERVER_SOFTWARE": "test"}
    stream = EventStream(Subscription(hub, channels), environ, options=Options(heartbeat=None))
    assert [event.event for event in read_events(stream, 1)] == ["stream-open"]
    try:
        yield stream
    finally:
        stream.close()


def events_of(stream, count):
    return [(event.event, event.data) for event in read_events(stream, count)]


def test_each_interval(runtime, hub, times):
    """It is published at multiples of the interval, from the first one after the subscription."""
    runtime.advance(0.5)
    with subscribed(hub, "room") as stream:
        runtime.advance(6)
        assert [int(at) for at in times] == [1002, 1004, 1006]
        assert hub.statistics().published == 3
        assert [event for event, _ in events_of(stream, 3)] == ["time"] * 3


def test_nobody_subscribes(runtime, hub, times):
    """The function is not called without subscribers of its own channel."""
    runtime.advance(10)
    with subscribed(hub, "elsewhere"):
        runtime.advance(10)
    assert times == []


def test_the_last_leaves(runtime, hub, times):
    """It stops with the last subscriber, and starts with the next."""
    with subscribed(hub, "room"):
        with subscribed(hub, "room"):
            runtime.advance(3)
        runtime.advance(2)
    assert len(times) == 2
    runtime.advance(20)
    assert len(times) == 2
    with subscribed(hub, "room"):
        runtime.advance(3)
    assert [int(at) for at in times[2:]] == [1026, 1028]


def test_many_come(runtime, hub, times, monkeypatch):
    """New subscribers cost nothing; it runs once per interval."""
    looks = []
    has_subscribers = hub.dispatcher.has_subscribers
    monkeypatch.setattr(
        hub.dispatcher,
        "has_subscribers",
        lambda channel: looks.append(1) or has_subscribers(channel),
    )
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(subscribed(hub, "room"))
            runtime.advance(0.02)
        runtime.advance(2)
    assert len(times) == 1
    assert len(looks) <= 3


def test_once_by_all(runtime, make_hub, schedule, monkeypatch):
    """All processes give an interval the same token, so the broker accepts one event."""
    tokens = []
    monkeypatch.setattr(
        Hub, "_publish", lambda self, channel, text, options, **k: tokens.append(options["token"])
    )
    schedule.publish_every(2, "room")(functools.partial(str, 1))
    schedule.publish_every(2, "room", event="other")(functools.partial(str, 1))
    one, other = make_hub(), make_hub()
    with subscribed(one, "room"):
        runtime.advance(0.7)
        with subscribed(other, "room"):
            runtime.advance(4)
    assert len(tokens) == 8
    assert len(set(tokens)) == 4


def test_given_twice(runtime, hub, schedule):
    """An application that is created twice publishes once."""
    calls = []
    for _ in range(2):
        schedule.publish_every(2, "room")(functools.partial(calls.append, 1))
    with subscribed(hub, "room"):
        runtime.advance(2)
    assert calls == [1]


def test_nothing_to_publish(runtime, hub, schedule):
    """None is not published; zero and empty text are values."""
    values = [None, 0, None, ""]
    schedule.publish_every(1, "room")(lambda: values.pop(0) if values else None)
    with subscribed(hub, "room") as stream:
        runtime.advance(6)
        assert hub.statistics().published == 2
        assert [data for _, data in events_of(stream, 2)] == ["0", ""]


def test_another_function(schedule):
    """Functions that look alike do not take each other's place."""
    schedule.publish_every(1, "room", event="x")(lambda: 1)
    with pytest.raises(ConfigurationError, match="name of its own"):
        schedule.publish_every(1, "room", event="x")(lambda: 2)
    schedule.publish_every(1, "room", event="y")(functools.partial(int, "1"))
    with pytest.raises(ConfigurationError, match="name of its own"):
        schedule.publish_every(1, "room", event="y")(functools.partial(int, "2"))
    schedule.publish_every(2, "room", event="x")(lambda: 2)


def test_closed(runtime, hub, schedule, caplog):
    """A closed hub is not an error."""
    schedule.publish_every(1, "room")(lambda: 1)
    with subscribed(hub, "room"):
        hub.close()
        runtime.advance(3)
    assert "failed" not in caplog.text


def test_fails(runtime, hub, schedule, caplog):
    """An exception is logged, and does not delay the next call."""
    times = []

    @schedule.publish_every(2, "room")
    def fails():
        times.append(runtime.now)
        raise ValueError("no sensor")

    with subscribed(hub, "room"):
        runtime.advance(5)
    assert [round(at) for at in times] == [1002, 1004]
    assert caplog.text.count("ValueError: no sensor") == 1
    assert "scheduled publish to room failed" in caplog.text


def test_broker_away(runtime, hub, times, caplog, monkeypatch):
    """An unreachable broker is not logged every second, and missed events are left out."""

    def publish(*args, **kwargs):
        raise BrokerUnavailable("redis", "gone")

    with subscribed(hub, "room"):
        with monkeypatch.context() as patch, caplog.at_level(logging.INFO):
            patch.setattr(hub._broker, "publish", publish)
            runtime.advance(5)
        assert caplog.text == ""
        runtime.advance(2)
    assert len(times) == 3
    assert hub.statistics().published == 1


def test_slow_function(runtime, hub, schedule):
    """A function slower than its interval is not called again for the missed times."""
    times = []

    @schedule.publish_every(1, "room")
    def slow():
        times.append(int(runtime.now))
        runtime.now += 2.5

    with subscribed(hub, "room"):
        runtime.advance(1)
        runtime.advance(3)
    assert times == [1001, 1004]


@pytest.mark.parametrize("seconds", [30, 300, 3600])
def test_clock_set_back(runtime, schedule, seconds):
    """Publishing pauses for a few seconds at most, though the same times come again."""
    shift = [0.0]

    def now():
        return runtime.now + shift[0]

    broker = MemoryBroker(now=now, clock=lambda: runtime.now)
    schedule.publish_every(1, "room", event="x")(lambda: "x")
    with Hub(broker, now=now, schedule=schedule) as hub, subscribed(hub, "room") as stream:
        runtime.advance(20)
        assert len(events_of(stream, 20)) == 20
        shift[0] = -seconds
        runtime.advance(20)
        assert len(events_of(stream, 10)) == 10


def test_context(runtime, make_hub, schedule):
    """The function runs in the application's context, which is left before publishing."""
    inside = []

    @contextlib.contextmanager
    def within():
        inside.append("in")
        yield
        inside.append("out")

    def dumps(value):
        inside.append("json")
        return f"<{value}>"

    hub = make_hub(within=within, dumps=dumps)

    @schedule.publish_every(1, "room")
    def tell():
        inside.append("called")
        return 7

    with subscribed(hub, "room") as stream:
        runtime.advance(1)
        assert inside == ["in", "called", "json", "out"]
        assert events_of(stream, 1) == [(None, "<7>")]


def test_kept(runtime, hub, schedule):
    """Only events with keep=True are in the history."""
    schedule.publish_every(1, "room", event="passing")(lambda: "x")
    schedule.publish_every(1, "room", event="lasting", keep=True)(lambda: "x")
    start = hub.position()
    with subscribed(hub, "room"):
        runtime.advance(2)
    assert hub.statistics().published == 4
    assert [message.event for message in hub.history(["room"], start).messages] == ["lasting"] * 2


def test_later(runtime, hub, schedule):
    """Functions added after the hub was created count, too, because modules are imported lazily."""
    calls = []
    with subscribed(hub, "room"):
        schedule.publish_every(1, "room")(lambda: calls.append(1))
        with subscribed(hub, "room"):
            runtime.advance(2)
    assert calls == [1, 1]


@pytest.mark.parametrize(
    ("seconds", "channel", "arguments", "error"),
    [
        (0, "room", {}, ConfigurationError),
        (-1, "room", {}, ConfigurationError),
        (float("nan"), "room", {}, ConfigurationError),
        (90_000, "room", {}, ConfigurationError),
        ("2", "room", {}, ConfigurationError),
        (True, "room", {}, ConfigurationError),
        (1, "", {}, ConfigurationError),
        (1, "room", {"event": "a\nb"}, EventError),
        (1, "room", {"key": 7}, ConfigurationError),
        (1, "room", {"keep": "no"}, ConfigurationError),
    ],
)
def test_unusable(schedule, seconds, channel, arguments, error):
    """A mistake is refused at the decorator, not at the first subscription."""
    with pytest.raises(error):
        schedule.publish_every(seconds, channel, **arguments)(print)


def generate():
    yield 1


async def wait():
    return 1


async def generate_async():
    yield 1


@pytest.mark.parametrize("function", [7, generate, wait, generate_async])
def test_not_a_function(schedule, function):
    """Objects that are not plain functions are refused at once."""
    with pytest.raises(ConfigurationError, match="function"):
        schedule.publish_every(1, "room")(function)
