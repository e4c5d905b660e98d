"""
Draining: ending all streams when the server stops or reloads.

Theory of operation. The server is asked, not listened to: a gunicorn worker that reached
max_requests gets no signal and calls no hook. A fifth of a second is not noticed in a deploy, and
five looks a second cost nothing.

"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..closing import CloseReason
from ..runtime.process import after_fork
from ..runtime.reactor import Reactor
from .registry import registry

__all__ = ["Drain", "drain", "find_worker", "on_worker_stop"]

logger = logging.getLogger("sse_sync")

# Seconds between two looks at whether the server stops.
INTERVAL = 0.2


class Drain:
    """
    Notice that the server stops, and end the streams of this process then.

    """

    def __init__(self) -> None:
        self._ask: Callable[[], bool] | None = None
        # Nothing switches greenlets or calls out while it is held.
        self._lock = threading.Lock()
        self._is_watching = False

    def ask(self, is_stopping: Callable[[], bool]) -> None:
        """
        Ask a function whether the server stops.

        Args:
            is_stopping: Asked several times a second while there are streams; must not block.

        """
        self._ask = is_stopping

    def is_stopping(self) -> bool:
        """Return whether the server stops, as far as anybody knows."""
        return self._ask is not None and self._ask()

    def watch(self, reactor: Reactor) -> None:
        """
        Look now and then from here on. Later calls do nothing.

        Args:
            reactor: Keeps the time.

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
        # In the reactor, where nothing may block; loggers do.
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


def find_worker() -> Any:
    """
    Return the gunicorn worker that this process is, or :obj:`None`.

    gunicorn/workers/base.py, ``init_signals``, makes a method of the worker the handler of
    SIGTERM. No other way to it exists without configuration.

    """
    base = sys.modules.get("gunicorn.workers.base")
    if base is None:
        return None
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return worker if isinstance(worker, base.Worker) else None


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
    _drain.ask(is_stopping)


_drain = Drain()


def drain() -> Drain:
    """Return what drains this process."""
    return _drain


def _forget() -> None:
    global _drain
    _drain = Drain()


after_fork(_forget)
