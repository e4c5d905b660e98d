"""When a heartbeat is due. What streams and fan-outs send is in their own tests."""

import pytest

from sse_sync.streams.heartbeat import Heartbeat


@pytest.fixture
def beats():
    return []


@pytest.fixture
def heartbeat(runtime, beats):
    """A heartbeat every ten seconds, whose sender sends at once."""

    def beat():
        beats.append(runtime.now - 1000)
        heartbeat.last_sent = runtime.now

    heartbeat = Heartbeat(10, beat)
    heartbeat.last_sent = runtime.now
    heartbeat.start(runtime.reactor)
    return heartbeat


def test_silence(runtime, beats, heartbeat):
    """One after each interval of silence."""
    runtime.advance(35)
    assert beats == [10, 20, 30]


def test_something_else_is_sent(runtime, beats, heartbeat):
    """The interval begins with whatever was sent last, and the timer is not moved for it."""
    runtime.advance(7)
    heartbeat.last_sent = runtime.now
    runtime.advance(9)
    assert beats == []
    runtime.advance(1)
    assert beats == [17]


def test_sender_that_cannot_send(runtime):
    """Who is in the middle of a write is asked again, twice as often."""
    asked = []
    busy = Heartbeat(10, lambda: asked.append(runtime.now - 1000))
    busy.last_sent = runtime.now
    busy.start(runtime.reactor)
    runtime.advance(21)
    assert asked == [10, 15, 20]


def test_stop(runtime, beats, heartbeat):
    """After the end nothing is due, and the sender is not kept alive."""
    heartbeat.stop()
    heartbeat.stop()
    runtime.advance(30)
    assert beats == []
    assert heartbeat._beat is None


def test_none(runtime, beats):
    """Without an interval there are none."""
    silent = Heartbeat(None, lambda: beats.append(1))
    silent.start(runtime.reactor)
    runtime.advance(10_000)
    silent.stop()
    assert beats == []
