"""The test helpers."""

import threading

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


def test_interrupting_an_ended_task():
    """It is too late, and nothing happens."""
    runtime = FakeRuntime()
    task = runtime.spawn(lambda: None, "a")
    runtime.run_ready()
    task.interrupt(lambda: True)
    runtime.run_ready()


@pytest.mark.parametrize("order", ["woken first", "interrupted first"])
def test_interrupting_a_task_that_is_woken(order):
    """It gets one turn, in which it is interrupted, and none after its end."""
    runtime, seen = FakeRuntime(), []
    signal = runtime.signal()

    def wait():
        try:
            signal.wait()
        except runtime.Interrupt:
            seen.append("interrupted")

    task = runtime.spawn(wait, "a")
    runtime.run_ready()
    steps = [signal.set, lambda: task.interrupt(lambda: True)]
    for step in steps if order == "woken first" else reversed(steps):
        step()
    runtime.run_ready()
    assert seen == ["interrupted"]


def test_interrupting_twice_between_two_waits():
    """A turn that nothing gave does not end a later wait."""
    runtime, seen = FakeRuntime(), []
    first, second = runtime.signal(), runtime.signal()

    def wait():
        try:
            first.wait()
        except runtime.Interrupt:
            seen.append("interrupted")
        second.wait()
        seen.append("woken")

    task = runtime.spawn(wait, "a")
    runtime.run_ready()
    first.set()
    task.interrupt(lambda: True)
    runtime.run_ready()
    assert seen == ["interrupted"]
    second.set()
    runtime.run_ready()
    assert seen == ["interrupted", "woken"]


def test_interrupting_a_task_that_has_not_begun():
    """It is interrupted where it first waits."""
    runtime, seen = FakeRuntime(), []

    def wait():
        try:
            runtime.sleep(1)
        except runtime.Interrupt:
            seen.append(runtime.now - 1000)

    runtime.spawn(wait, "a").interrupt(lambda: True)
    runtime.run_ready()
    assert seen == [0]


@pytest.fixture
def impatient(monkeypatch):
    """What waits for ever is found out soon."""
    monkeypatch.setattr(FakeRuntime, "patience", 1000)


@pytest.mark.parametrize("step", [-500, 0, 0.00001])
def test_a_timer_of_another_clock(step, impatient):
    """A callback that returns the time of another clock fails the test instead of hanging it."""
    runtime = FakeRuntime()
    signal = runtime.signal()
    runtime.reactor.call_at(1010, lambda now: now + step)
    with pytest.raises(AssertionError, match="another clock"):
        signal.wait()
    runtime = FakeRuntime()
    runtime.reactor.call_at(1010, lambda now: now + step)
    with pytest.raises(AssertionError, match="another clock"):
        runtime.advance(100)


def test_sleeping_by_another_clock(impatient):
    """A loop that waits for another clock's time fails the test, too."""
    runtime, is_over = FakeRuntime(), threading.Event()

    def wait():
        while not is_over.is_set():  # A time that never comes.
            runtime.sleep(1)

    runtime.spawn(wait, "a")
    with pytest.raises(AssertionError, match="another clock"):
        runtime.signal().wait()
    is_over.set()
    runtime.advance(1)
