"""What a stream that has its request must not miss."""

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
    """A worker's, that nothing comes of."""

    is_chunked = True

    def refusal(self, sent):
        """It never gets that far."""
        raise AssertionError


def test_first_chunk_that_is_not_taken(hub, runtime):
    """A stream that could be handed off is cut off, too, if its client takes nothing at all."""
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
    """Whether a client has got everything is known from the system."""
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
    """It is no cycle that would keep its request until the garbage collector comes."""
    stream = EventStream(["a"])
    kept = weakref.ref(stream)
    gc.collect()
    gc.disable()
    try:
        del stream
        assert kept() is None
    finally:
        gc.enable()
