"""Noticing that the server stops, and ending all streams then."""

import pytest

from sse_sync import CloseReason, on_worker_stop
from sse_sync.streams.drain import INTERVAL, drain
from sse_sync.streams.registry import registry
from sse_sync.testing import FakeRuntime


class Stream:
    """An open stream."""

    def __init__(self):
        self.reasons = []

    def end_with(self, end):
        self.reasons.append(end.reason)

    def where(self):
        return "source at file:1"


def test_on_worker_stop():
    """The function is called while there are streams."""
    runtime = FakeRuntime()
    stopping, stream = [], Stream()
    on_worker_stop(lambda: bool(stopping))
    registry().open_if_below(1, stream)
    drain().watch(runtime.reactor)
    runtime.advance(10)
    assert stream.reasons == []
    stopping.append(True)
    runtime.advance(0.3)
    assert set(stream.reasons) == {CloseReason.SERVER_STOPPING}


def test_question_that_fails(caplog):
    """If the function fails, it is called again."""
    runtime = FakeRuntime()
    stream, answers = Stream(), [ZeroDivisionError, True]

    def is_stopping():
        answer = answers.pop(0) if answers else True
        if answer is ZeroDivisionError:
            raise answer
        return answer

    on_worker_stop(is_stopping)
    registry().open_if_below(None, stream)
    drain().watch(runtime.reactor)
    runtime.advance(1)
    assert set(stream.reasons) == {CloseReason.SERVER_STOPPING}
    assert "checking whether the server is stopping failed" in caplog.text


def test_nobody_is_asked_without_streams():
    """A server without streams is not asked whether it stops."""
    runtime, asked = FakeRuntime(), []
    on_worker_stop(lambda: asked.append(runtime.now))
    drain().watch(runtime.reactor)
    runtime.advance(10 * INTERVAL)
    assert asked == []


def test_watched_once():
    """However many streams open, the server is asked five times a second."""
    runtime, asked = FakeRuntime(), []
    began = runtime.now
    on_worker_stop(lambda: asked.append(runtime.now - began))
    registry().open_if_below(None, Stream())
    for _ in range(10):
        drain().watch(runtime.reactor)
    runtime.advance(10 * INTERVAL + 0.01)
    assert asked == [pytest.approx(n * INTERVAL, abs=1e-6) for n in range(1, 11)]
