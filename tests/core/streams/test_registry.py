"""The streams of a process."""

from sse_sync import CloseReason, Statistics, statistics
from sse_sync.streams import registry
from sse_sync.streams.drain import drain
from sse_sync.streams.registry import LINGERING_AFTER
from sse_sync.testing import FakeRuntime
from tests.core.children import in_child


class Stream:
    """A tracked stream."""

    def __init__(self):
        self.reasons = []

    def end_with(self, end):
        self.reasons.append(end.reason)

    def where(self):
        return "source at file:1"


def test_counts():
    """Streams are counted by state and reason."""
    streams = registry.registry()
    first, second = Stream(), Stream()
    streams.open_if_below(None, first)
    streams.open_if_below(None, second)
    streams.refused()
    streams.closed(first, CloseReason.FAILED)
    streams.lingers(first, 0.0)
    assert statistics() == Statistics(
        open=1, handed_off=0, lingering=1, opened=2, refused=1, closed={CloseReason.FAILED: 1}
    )
    streams.lingers_no_more(first)
    streams.lingers_no_more(first)
    assert statistics().lingering == 0


def test_limit():
    """No more streams are added than the limit allows."""
    streams = registry.registry()
    assert streams.open_if_below(1, Stream())
    assert not streams.open_if_below(1, Stream())
    assert (statistics().open, statistics().opened) == (1, 1)


def test_end_all():
    """Every open stream is ended."""
    streams = registry.registry()
    first, second = Stream(), Stream()
    streams.open_if_below(None, first)
    streams.open_if_below(None, second)
    streams.closed(first, CloseReason.FINISHED)
    streams.end_all(CloseReason.SERVER_STOPPING)
    assert (first.reasons, second.reasons) == ([], [CloseReason.SERVER_STOPPING])


def test_lingering_is_reported_once(caplog):
    """A source that does not end is logged once, and again when it has ended."""
    caplog.set_level("INFO", "sse_sync")
    runtime = FakeRuntime()
    streams, stream = registry.registry(), Stream()
    streams.open_if_below(None, stream)
    drain().watch(runtime.reactor)
    streams.closed(stream, CloseReason.CLIENT_GONE)
    streams.lingers(stream, runtime.now)
    runtime.advance(LINGERING_AFTER - 1)
    assert caplog.messages == []
    runtime.advance(60)
    streams.lingers_no_more(stream)
    assert [message.split(":")[0] for message in caplog.messages] == [
        "a source is still blocked after its stream ended",
        "a source that outlived its stream has ended",
    ]


def test_fork():
    """A child starts without its parent's streams."""
    registry.registry().open_if_below(None, Stream())
    assert in_child(lambda: str(statistics().open)) == "0"


def test_reasons_read_well():
    """A reason shows as words."""
    assert f"{CloseReason.CLIENT_GONE}" == "client gone"
