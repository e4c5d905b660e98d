"""
The run of one stream's source: from its start until nobody needs the request any more.

Two parties use a request: the stream and its source, which runs beside it and may outlive it. The
last of them to leave has the request torn down.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from ..closing import OpenStream
from ..feed import Encode, Feed, FeedSource
from ..runtime import Runtime, Signal
from ..runtime.process import native_lock
from .disconnect import Watchdog
from .hooks import Hooks
from .registry import registry
from .source import Source, discard, iterate, run_beside, run_inline, where_is

__all__ = ["SourceRun"]

logger = logging.getLogger("sse_sync")

# Held while a party leaves.
_lock = native_lock()


class SourceRun:
    """
    Run a stream's source, and tear down the request once both have left it.

    Args:
        source: The source.
        encode: Encodes an item.
        hooks: What is called around it, and the context variables to run in.
        watchdog: The stream's; woken when the source ends.
        plain: Whether the stream must not contain events of the library's.

    Raises:
        SourceError: If the source is not an iterable of events.
    """

    __slots__ = (
        *("_encode", "_hooks", "_is_plain", "_parties", "_stream", "_watchdog"),
        *("feed", "source"),
    )

    def __init__(
        self,
        source: Source | FeedSource,
        encode: Encode,
        hooks: Hooks,
        watchdog: Watchdog,
        *,
        plain: bool,
    ) -> None:
        self.source = source if isinstance(source, FeedSource) else iterate(source)
        """What the stream draws from."""
        self.feed: Feed | None = None
        """What it takes its chunks from, once it is admitted and until both have left."""
        self._encode = encode
        self._hooks = hooks
        self._watchdog = watchdog
        self._is_plain = plain
        self._stream: OpenStream | None = None
        self._parties = 2

    @property
    def is_async(self) -> bool:
        """Whether the source runs on the event loop."""
        return isinstance(self.source, AsyncIterator)

    @property
    def is_relay(self) -> bool:
        """Whether the source makes its own feed, and needs nothing that runs beside the stream."""
        return isinstance(self.source, FeedSource)

    @property
    def is_at_hand(self) -> bool:
        """Whether there is something to send without waiting for anybody, once it is started."""
        return isinstance(self.source, FeedSource) and self.source.is_at_hand

    @property
    def ends_by_itself(self) -> bool:
        """Whether a test client may wait for its end."""
        return isinstance(self.source, FeedSource) and self.source.ends_by_itself

    def where(self) -> str:
        """Return what the source is and where it stands."""
        return where_is(self.source)

    def open_beside(self, stream: OpenStream, runtime: Runtime, signal: Signal) -> None:
        """
        Make the feed of a source that will run beside its stream.

        Args:
            stream: The stream.
            runtime: How the process waits.
            signal: Set when there is something to take.
        """
        self._stream = stream
        self.feed = run_beside(
            *(self.source, self._encode, self._hooks.context, runtime, signal, self.ended),
            plain=self._is_plain,
        )

    def open_inline(self, stream: OpenStream) -> None:
        """
        Make the feed of a source that will run in the thread that iterates its stream.

        Args:
            stream: The stream.
        """
        self._stream = stream
        self.feed = run_inline(
            *(self.source, self._encode, self._hooks.context, self.ended),
            plain=self._is_plain,
        )

    def start(self) -> bool:
        """Start the source. Return whether that was possible: there may be no more threads."""
        feed, is_started = self._opened(), True
        try:
            feed.start()
        except Exception as exc:
            logger.exception("source %s could not be started; ending its stream", self.where())
            feed.error, is_started = exc, False
        if self.is_relay and self._watchdog.runtime is not None:
            self._hooks.call_before()  # Releases what a snapshot opened.
        return is_started

    def linger(self) -> None:
        """
        Stop the source of a stream that closes. If it does not end at once, the registry has it
        from now on.
        """
        feed = self._opened()
        feed.stop()
        if self.is_relay:
            self.ended()
        streams, stream = registry(), self._stream
        assert stream is not None
        streams.lingers(stream, self._watchdog.clock())
        if feed.done:
            streams.lingers_no_more(stream)

    def ended(self) -> None:
        """
        Record that the source has ended. A generator's feed calls it in its own greenlet or thread.
        """
        feed, stream = self._opened(), self._stream
        assert stream is not None
        try:
            if self._watchdog.runtime is not None:
                self._hooks.call_after_source()
        finally:
            feed.done = True
            registry().lingers_no_more(stream)
            self._watchdog.wake()
            self.leave()

    def leave(self) -> None:
        """Record that the stream, or the source, needs the request no longer."""
        with _lock:
            self._parties -= 1
            is_last = not self._parties
        if is_last:
            error = self.feed.error if self.feed is not None else None
            # Drop what references the request.
            self.source = iter(())
            self.feed = self._stream = None
            self._hooks.call_after(error)

    def discard(self) -> None:
        """Close a source that has never started, for a stream that has never opened."""
        discard(self.source)
        self.leave()
        self.leave()

    def _opened(self) -> Feed:
        assert self.feed is not None
        return self.feed
