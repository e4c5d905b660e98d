"""
The streams of one process: how many, how they ended, and ending them all.

"""

from __future__ import annotations

import enum
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ..closing import CloseReason, End, OpenStream
from ..runtime.reactor import Reactor

__all__ = [
    "Registry",
    "Statistics",
    "on_worker_stop",
    "registry",
    "statistics",
]

logger = logging.getLogger("sse_sync")

# Seconds between two looks at whether the server stops. Polling, because a gunicorn worker that
# reached max_requests gets no signal and calls no hook; a fifth of a second is not noticed in a
# deploy, and five looks a second cost nothing.
SWEEP_INTERVAL = 0.2

# Seconds a source may take to end before the log says where it stands.
LINGERING_AFTER = 5.0


@dataclass(frozen=True)
class Statistics:
    """Figures of one process."""

    open: int
    """Streams that are open now."""
    handed_off: int
    """Of these, those whose request has ended, because they only relay channels."""
    lingering: int
    """Generators that still run although their stream has ended."""
    opened: int
    """Streams that were opened since the process started."""
    refused: int
    """Streams that were sent away because the process was full or stopping."""
    closed: dict[CloseReason, int] = field(default_factory=dict)
    """Streams that ended, by reason."""


class _Kind(enum.Enum):
    REQUEST = 0
    PASSING = 1
    HANDED_OFF = 2


class Registry:
    """Keep the streams of one process. Its methods may be called from any thread or greenlet."""

    def __init__(self) -> None:
        # Nothing switches greenlets or calls out while it is held, so it does not matter
        # whether gevent has patched it.
        self._lock = threading.Lock()
        # A dictionary takes less memory than a set.
        self._open: dict[OpenStream, _Kind] = {}
        self._counts: Counter[_Kind] = Counter()
        self._lingering: dict[OpenStream, float] = {}
        self._reported: set[OpenStream] = set()
        self._closed: Counter[CloseReason] = Counter()
        self._opened = 0
        self._refused = 0
        self._is_stopping: Callable[[], bool] | None = None
        self._sweeping = False

    @property
    def open(self) -> int:
        """How many streams are open."""
        return len(self._open)

    @property
    def handed_off(self) -> int:
        """How many of them need no request any more."""
        return self._counts[_Kind.HANDED_OFF]

    @property
    def requests(self) -> int:
        """How many of them need a request, for longer than a moment."""
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
        Add a stream, unless there are as many as there may be.

        One step, because after a deploy all clients come back at once.

        Args:
            limit: How many there may be; :obj:`None` for any number.
            stream: The stream.
            requests: How many there may be that need a request.
            passing: Whether it will need its request for a moment only.

        Returns:
            Whether it was added.

        """
        with self._lock:
            if limit is not None and len(self._open) >= limit:
                return False
            if not passing and requests is not None and self.requests >= requests:
                return False
            self._note(stream, _Kind.PASSING if passing else _Kind.REQUEST)
            self._opened += 1
            return True

    def sweep_with(self, reactor: Reactor) -> None:
        """
        Look now and then whether the server stops. Only the first call works.

        Args:
            reactor: Keeps the time.

        """
        with self._lock:
            start, self._sweeping = not self._sweeping, True
        if start:

            def sweep(now: float) -> float:
                self._sweep(now, reactor.defer)
                return now + SWEEP_INTERVAL

            reactor.call_at(reactor.clock() + SWEEP_INTERVAL, sweep)

    def hand_off(self, stream: OpenStream, handed_off: OpenStream) -> None:
        """
        Go on with a connection that needs no request any more.

        Args:
            stream: The stream that it was.
            handed_off: What it is now.

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
        """Remove a stream."""
        with self._lock:
            self._forget(stream)
            self._closed[reason] += 1

    def withdraw(self, stream: OpenStream) -> None:
        """Remove a stream that was added, but not opened."""
        with self._lock:
            self._forget(stream)
            self._opened -= 1

    def refused(self) -> None:
        """Count a stream that was sent away."""
        with self._lock:
            self._refused += 1

    def lingers(self, stream: OpenStream, since: float) -> None:
        """Record that a stream has ended and its source has not."""
        self._lingering[stream] = since

    def lingers_no_more(self, stream: OpenStream) -> None:
        """Record that a source has ended at last. Idempotent."""
        if self._lingering.pop(stream, None) is not None and stream in self._reported:
            self._reported.discard(stream)
            logger.info("a source that outlived its stream has ended: %s", stream.where())

    def end_when(self, is_stopping: Callable[[], bool]) -> None:
        """
        End all streams as soon as a function returns true.

        Args:
            is_stopping: Asked several times a second while there are streams; must not block.

        """
        self._is_stopping = is_stopping

    def end_all(self, reason: CloseReason) -> None:
        """End every open stream soon."""
        end = End(reason)
        for stream in tuple(self._open):
            stream.end_with(end)

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

    def _sweep(self, now: float, defer: Callable[[Callable[[], object]], None]) -> None:
        # In the reactor, where nothing may block; loggers do.
        try:
            if self._open and self._is_stopping is not None and self._is_stopping():
                self.end_all(CloseReason.SERVER_STOPPING)
        except Exception as exc:
            error = exc
            defer(
                lambda: logger.error(
                    "checking whether the server is stopping failed", exc_info=error
                )
            )
        for stream, since in tuple(self._lingering.items()):
            if now - since >= LINGERING_AFTER and stream not in self._reported:
                self._reported.add(stream)
                defer(partial(_report_lingering, stream.where()))


def _report_lingering(where: str) -> None:
    logger.warning(
        "a source is still blocked after its stream ended: %s. Give its blocking call a timeout:"
        " a process with too many such sources refuses new streams",
        where,
    )


_registry = Registry()


def registry() -> Registry:
    """Return the registry of this process."""
    return _registry


def statistics() -> Statistics:
    """Return figures about the streams of this process."""
    return _registry.statistics()


def on_worker_stop(is_stopping: Callable[[], bool]) -> None:
    """
    Tell how to notice that the server stops, where that cannot be found out.

    Under gunicorn it is found out, unless the application takes the SIGTERM handler.
    Then put this into the configuration file::

        def post_worker_init(worker):
            sse_sync.on_worker_stop(lambda: not worker.alive)

    Args:
        is_stopping: Asked several times a second while there are streams; must not block.

    """
    _registry.end_when(is_stopping)


def _forget() -> None:
    global _registry
    _registry = Registry()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
