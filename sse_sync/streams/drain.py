"""
Drain: end all streams when the server stops or reloads.

Theory of operation. The drain polls the server, because a gunicorn worker that has reached
max_requests gets no signal and calls no hook. Nobody notices a fifth of a second in a deploy, and
five checks a second cost nothing. A hand-off worker also waits until all handed-off connections
have said goodbye: see :class:`~sse_sync.gunicorn.handoff.HandoffMixin`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..closing import CloseReason
from ..runtime.process import after_fork
from ..runtime.reactor import Reactor
from .registry import registry

__all__ = ["Drain", "drain", "on_worker_stop"]

logger = logging.getLogger("sse_sync")

# Seconds between two checks of whether the server is stopping.
INTERVAL = 0.2


class Drain:
    """Notice when the server stops, and end the streams of this process."""

    def __init__(self) -> None:
        self._ask: Callable[[], bool] | None = None
        # Nothing switches greenlets or calls out while this is held.
        self._lock = threading.Lock()
        self._is_watching = False

    def ask(self, is_stopping: Callable[[], bool]) -> None:
        """
        Set the function that tells whether the server is stopping.

        Args:
            is_stopping: Called several times a second while streams are open; must not block.
        """
        self._ask = is_stopping

    def is_stopping(self) -> bool:
        """Return whether the server is known to be stopping."""
        return self._ask is not None and self._ask()

    def watch(self, reactor: Reactor) -> None:
        """
        Start checking regularly. Later calls do nothing.

        Args:
            reactor: Runs the checks.
        """
        with self._lock:
            is_first, self._is_watching = not self._is_watching, True
        if is_first:

            def look(now: float) -> float:
                self._look(reactor)
                registry().report_lingering(now, reactor.defer)
                return now + INTERVAL

            reactor.call_at(reactor.clock() + INTERVAL, look)

    def _look(self, reactor: Reactor) -> None:
        # Runs in the reactor, where nothing may block, and loggers may.
        streams = registry()
        try:
            if streams.open and self.is_stopping():
                streams.end_all(CloseReason.SERVER_STOPPING)
        except Exception as exc:
            error = exc
            reactor.defer(
                lambda: logger.error(
                    "checking whether the server is stopping failed", exc_info=error
                )
            )


def on_worker_stop(is_stopping: Callable[[], bool]) -> None:
    """
    Set the function that tells whether the server is stopping.

    gunicorn needs it only if the application replaces the SIGTERM handler. Then put this into the
    configuration file::

        def post_worker_init(worker):
            sse_sync.on_worker_stop(lambda: not worker.alive)

    Args:
        is_stopping: Called several times a second while streams are open; must not block.
    """
    _drain.ask(is_stopping)


_drain = Drain()


def drain() -> Drain:
    """Return this process's drain."""
    return _drain


def _forget() -> None:
    global _drain
    _drain = Drain()


after_fork(_forget)
