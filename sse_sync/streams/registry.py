"""The streams of one process: how many are open, and how the others ended."""

from __future__ import annotations

import enum
import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ..closing import CloseReason, End, OpenStream
from ..runtime.process import after_fork

__all__ = [
    "Registry",
    "Statistics",
    "registry",
    "statistics",
]

logger = logging.getLogger("sse_sync")

# Seconds a source may take to end before the log reports where it is blocked.
LINGERING_AFTER = 5.0


@dataclass(frozen=True)
class Statistics:
    """The stream figures of one process."""

    open: int
    """Streams open now."""
    handed_off: int
    """Open streams whose request has ended, because they only relay channels."""
    lingering: int
    """Generators still running although their stream has ended."""
    opened: int
    """Streams opened since the process started."""
    refused: int
    """Streams refused because the process was full or stopping, or at a user's or address's
    limit."""
    closed: dict[CloseReason, int] = field(default_factory=dict)
    """Streams ended, by reason."""


class _Kind(enum.Enum):
    REQUEST = 0
    PASSING = 1
    HANDED_OFF = 2


class Registry:
    """Hold the streams of one process. Any thread or greenlet may call its methods."""

    def __init__(self) -> None:
        # Nothing switches greenlets or calls out while this is held, so it does not matter whether
        # gevent has patched it.
        self._lock = threading.Lock()
        # A dictionary takes less memory than a set.
        self._open: dict[OpenStream, _Kind] = {}
        self._counts: Counter[_Kind] = Counter()
        self._lingering: dict[OpenStream, float] = {}
        self._reported: set[OpenStream] = set()
        self._closed: Counter[CloseReason] = Counter()
        self._opened = 0
        self._refused = 0

    @property
    def open(self) -> int:
        """How many streams are open."""
        return len(self._open)

    @property
    def handed_off(self) -> int:
        """How many of them no longer need a request."""
        return self._counts[_Kind.HANDED_OFF]

    @property
    def requests(self) -> int:
        """How many of them need a request, and not just briefly."""
        return self._counts[_Kind.REQUEST]

    @property
    def lingering(self) -> int:
        """How many sources still run although their stream has ended."""
        return len(self._lingering)

    def open_if_below(
        self,
        limit: int | None,
        stream: OpenStream,
        requests: int | None = None,
        *,
        passing: bool = False,
    ) -> bool:
        """
        Add a stream, unless a limit has been reached.

        Checking and adding are one step, because after a deploy all clients reconnect at once.

        Args:
            limit: How many streams may be open; :obj:`None` for any number.
            stream: The stream.
            requests: How many of them may need a request; :obj:`None` for any number.
            passing: Whether the stream will need its request only briefly.

        Returns:
            Whether the stream was added.
        """
        with self._lock:
            if limit is not None and len(self._open) >= limit:
                return False
            if not passing and requests is not None and self.requests >= requests:
                return False
            self._note(stream, _Kind.PASSING if passing else _Kind.REQUEST)
            self._opened += 1
            return True

    def hand_off(self, stream: OpenStream, handed_off: OpenStream) -> None:
        """
        Replace a stream by its connection, which no longer needs a request.

        Args:
            stream: The stream.
            handed_off: The connection.
        """
        with self._lock:
            self._forget(stream)
            self._note(handed_off, _Kind.HANDED_OFF)

    def stays(self, stream: OpenStream) -> None:
        """Record that a stream needs its request after all."""
        with self._lock:
            if stream in self._open:
                self._forget(stream)
                self._note(stream, _Kind.REQUEST)

    def closed(self, stream: OpenStream, reason: CloseReason) -> None:
        """Remove a stream, and count why it ended."""
        with self._lock:
            self._forget(stream)
            self._closed[reason] += 1

    def withdraw(self, stream: OpenStream) -> None:
        """Remove a stream that was added but never opened."""
        with self._lock:
            self._forget(stream)
            self._opened -= 1

    def refused(self) -> None:
        """Count a refused stream."""
        with self._lock:
            self._refused += 1

    def lingers(self, stream: OpenStream, since: float) -> None:
        """Record that a stream has ended, but its source has not."""
        self._lingering[stream] = since

    def lingers_no_more(self, stream: OpenStream) -> None:
        """Record that a lingering source has ended. Idempotent."""
        if self._lingering.pop(stream, None) is not None and stream in self._reported:
            self._reported.discard(stream)
            logger.info("a source that outlived its stream has ended: %s", stream.where())

    def end_all(self, reason: CloseReason) -> None:
        """End every open stream soon."""
        end = End(reason)
        for stream in tuple(self._open):
            stream.end_with(end)

    def report_lingering(self, now: float, defer: Callable[[Callable[[], object]], object]) -> None:
        """
        Log each source that has long outlived its stream, once.

        Args:
            now: The current time.
            defer: Calls a function where it may block.
        """
        for stream, since in tuple(self._lingering.items()):
            if now - since >= LINGERING_AFTER and stream not in self._reported:
                self._reported.add(stream)
                if stream not in self._lingering:
                    self._reported.discard(stream)  # Its source ended just now.
                defer(partial(_report_lingering, stream.where()))

    def statistics(self) -> Statistics:
        """Return the figures."""
        return Statistics(
            open=len(self._open),
            handed_off=self.handed_off,
            lingering=len(self._lingering),
            opened=self._opened,
            refused=self._refused,
            closed=dict(self._closed),
        )

    def _note(self, stream: OpenStream, kind: _Kind) -> None:
        self._open[stream] = kind
        self._counts[kind] += 1

    def _forget(self, stream: OpenStream) -> None:
        kind = self._open.pop(stream, None)
        if kind is not None:
            self._counts[kind] -= 1


def _report_lingering(where: str) -> None:
    logger.warning(
        "a source is still blocked after its stream ended: %s. Give its blocking call a timeout:"
        " a process with too many such sources refuses new streams",
        where,
    )


_registry = Registry()


def registry() -> Registry:
    """Return this process's registry."""
    return _registry


def statistics() -> Statistics:
    """Return figures about this process's streams."""
    return _registry.statistics()


def _forget() -> None:
    global _registry
    _registry = Registry()


after_fork(_forget)
