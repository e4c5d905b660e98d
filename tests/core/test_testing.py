"""The test helpers."""

import pytest

from sse_sync import EventStream, ServerSentEvent, comment
from sse_sync.testing import FakeRuntime, read_events


def test_read_events_with_a_limit():
    """Only as much of a stream runs as is needed."""
    ran = []

    def source():
        for number in range(5):
            ran.append(number)
            yield number

    stream = EventStream(source())
    assert read_events(stream, 2) == [ServerSentEvent("0"), ServerSentEvent("1")]
    assert ran == [0, 1]
    assert read_events(stream, 1, comments=True) == [ServerSentEvent("2")]
    stream.close()


def test_read_events_with_comments():
    """Comments count on request."""
    events = read_events(EventStream([comment("hi")]), comments=True)
    assert events[:2] == [comment(), comment("hi")]


def test_time_flies():
    """FakeRuntime waits without real time, in order of its timers."""
    runtime, seen = FakeRuntime(), []

    def task(name, seconds):
        for _ in range(2):
            runtime.sleep(seconds)
            seen.append((name, runtime.now - 1000))

    runtime.spawn(lambda: task("a", 10), "a")
    runtime.spawn(lambda: task("b", 15), "b")
    runtime.advance(100)
    assert seen == [("a", 10), ("b", 15), ("a", 20), ("b", 30)]
    assert runtime.now == 1100


def test_endless_wait_is_an_error():
    """A test that deadlocks fails instead of hanging."""
    runtime = FakeRuntime()
    with pytest.raises(AssertionError, match="deadlock: every task waits"):
        runtime.signal().wait()
