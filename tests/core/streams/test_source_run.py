"""The run of a source: who starts it, who is told of its end, and when the request is torn down."""

import pytest

from sse_sync import SourceError, statistics
from sse_sync.event import encode
from sse_sync.feed import FeedSource
from sse_sync.settings import Options
from sse_sync.streams.disconnect import Watchdog
from sse_sync.streams.hooks import Hooks
from sse_sync.streams.source_run import SourceRun


class Stream:
    """What the registry knows of a stream."""

    def end_with(self, end):
        """Do nothing."""

    def where(self):
        return "here"


class Relay(FeedSource):
    """A source that is its own feed."""

    is_at_hand = True
    done, error = False, None

    def __init__(self, refuses=False):
        self.refuses = refuses
        self.calls = []

    def open(self, signal, encode, context, *, plain=False):
        self.calls.append(plain)
        return self

    def start(self):
        self.calls.append("start")
        if self.refuses:
            raise OSError("no more threads")

    def stop(self):
        self.calls.append("stop")


@pytest.fixture
def seen():
    """What the hooks were called with."""
    return []


@pytest.fixture
def make(runtime, seen):
    """Make the run of a source beside an open stream."""

    def make(source, **arguments):
        hooks = Hooks(
            before=lambda: seen.append("before"),
            after_source=lambda: seen.append("after source"),
            after=lambda error: seen.append(("after", error)),
        )
        watchdog = Watchdog(Options())
        run = SourceRun(source, encode, hooks, watchdog, plain=arguments.get("plain", False))
        signal = watchdog.open(runtime, lambda end: None)
        run.open_beside(Stream(), runtime, signal)
        return run

    return make


def test_bad_source(seen):
    """What is no source is refused at once."""
    with pytest.raises(SourceError):
        SourceRun("text", encode, Hooks(), Watchdog(Options()), plain=False)


@pytest.mark.parametrize("first", ["stream", "source"])
def test_torn_down_once_both_have_left(make, seen, runtime, first):
    """The request lives until the stream and its source need it no longer."""
    run = make(iter("a"))
    assert run.start()
    if first == "stream":
        run.leave()
        assert seen == []
        run.feed.stop()
        runtime.run_ready()
        assert seen == ["after source", ("after", None)]
    else:
        run.feed.stop()
        runtime.run_ready()
        assert seen == ["after source"]
        run.leave()
        assert seen == ["after source", ("after", None)]
    assert run.feed is None
    assert list(run.source) == []


def test_torn_down_with_what_the_source_raised(make, seen, runtime):
    """The front learns what has gone wrong."""

    def source():
        raise ZeroDivisionError
        yield

    run = make(source())
    run.start()
    runtime.run_ready()
    run.leave()
    assert isinstance(seen[-1][1], ZeroDivisionError)


def test_discarded(seen):
    """A source that has never started is closed, and nothing of it runs."""
    closed = []

    class Source:
        def __iter__(self):
            return self

        def __next__(self):
            pytest.fail("ran")

        def close(self):
            closed.append(True)

    hooks = Hooks(after=seen.append)
    run = SourceRun(Source(), encode, hooks, Watchdog(Options()), plain=False)
    run.discard()
    assert (closed, seen) == ([True], [None])


def test_cannot_start(make, seen, caplog):
    """A source that cannot start is logged, and its error is the request's."""
    relay = Relay(refuses=True)
    run = make(relay)
    assert not run.start()
    assert "Relay could not be started; ending its stream" in caplog.text
    run.linger()
    run.leave()
    assert isinstance(seen[-1][1], OSError)


def test_relay(make, seen):
    """A relay runs nothing beside its stream, so it has ended as soon as it is stopped."""
    relay = Relay()
    run = make(relay, plain=True)
    assert (run.is_relay, run.is_at_hand, run.is_async) == (True, True, False)
    assert run.start()
    assert seen == ["before"]
    run.linger()
    assert (relay.calls, relay.done) == ([True, "start", "stop"], True)
    assert statistics().lingering == 0
    assert seen == ["before", "after source"]


def test_linger(make, runtime):
    """A source that does not end with its stream is counted until it does."""

    def source():
        try:
            yield "a"
        finally:
            runtime.sleep(5)

    run = make(source())
    assert (run.is_relay, run.is_at_hand) == (False, False)
    run.start()
    runtime.run_ready()
    run.linger()
    run.leave()
    assert statistics().lingering == 1
    assert "source at " in run.where()
    runtime.advance(6)
    assert statistics().lingering == 0


def test_asynchronous(make):
    """It knows whether its source runs on the event loop."""

    async def source():
        yield "a"

    assert make(source()).is_async


def test_inline(seen):
    """Without a server the source runs where the stream is iterated; nothing is released for it."""
    run = SourceRun(iter("a"), encode, Hooks(after=seen.append), Watchdog(Options()), plain=False)
    run.open_inline(Stream())
    assert run.start()
    assert (run.feed.take(), run.feed.take()) == (b"data: a\n\n", None)
    run.leave()
    assert seen == [None]
