"""The watchdog of streams that keep their request."""

import contextlib
import gc
import socket
import weakref

import pytest

from sse_sync import CloseReason, EventStream, statistics
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.channels.subscription import Subscription
from sse_sync.settings import Options
from sse_sync.streams.connection import Connection
from sse_sync.streams.handoff.takeover import OFFER


@pytest.fixture
def hub(runtime):
    with Hub(MemoryBroker()) as hub:
        yield hub


class Offer:
    """An offer that is never accepted."""

    is_chunked = True

    def refusal(self, sent):
        """It never gets that far."""
        raise AssertionError


def test_first_chunk_that_is_not_taken(hub, runtime):
    """A stream that could be handed off is also cut off if its client accepts nothing."""
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.closing(EventStream(Subscription(hub, ("a",)))) as first:
        next(first)  # So that the channel is received.
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(bytes(65536))  # Earlier responses on this connection.
        environ = {"gunicorn.socket": ours, "SERVER_SOFTWARE": "x", OFFER: Offer()}
        stream = EventStream(Subscription(hub, ("a",)), environ, options=Options(write_timeout=5.0))
        assert b"stream-open" in next(stream)
        runtime.advance(6)
        assert list(stream) == []
        stream.close()
        assert statistics().closed == {CloseReason.CLIENT_GONE: 1}


def test_idle(runtime):
    """The system reports whether a client has received everything."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours.fileno())
        assert connection.is_idle()
        ours.send(b"x")
        assert not connection.is_idle()
        theirs.recv(1)
        assert connection.is_idle()
        connection.release()
        assert not connection.is_idle()


def test_stream_that_is_never_iterated():
    """A stream that never starts does not keep its request until the garbage collector runs."""
    stream = EventStream(["a"])
    kept = weakref.ref(stream)
    gc.collect()
    gc.disable()
    try:
        del stream
        assert kept() is None
    finally:
        gc.enable()
