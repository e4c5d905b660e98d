"""Work that no stream waits for, done when it is due or requested."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .. import runtime as _runtime
from ..exceptions import BrokerClosed
from .base import Runtime, Signal
from .process import native_lock

__all__ = ["BackgroundTask"]

logger = logging.getLogger("sse_sync")

# Seconds until work that raised an exception is retried.
PAUSE = 1.0


class BackgroundTask:
    """
    Call a function in a greenlet or thread of its own, which lives while there is work.

    Work that raises an exception is tried again after a second, except :exc:`BrokerClosed`: then
    there is nothing left to do.

    Args:
        work: Does the work, and returns in how many seconds to call it again, or :obj:`None` for
            when :meth:`wake` is called. It may block.
        name: Name of the thread.
    """

    def __init__(self, work: Callable[[], float | None], name: str) -> None:
        self._work = work
        self._name = name
        # Nothing blocks or switches greenlets while it is held.
        self._lock = native_lock()
        self._wanted = False
        self._signal: Signal | None = None
        self._home: Runtime | None = None

    def live_in(self, runtime: Runtime) -> None:
        """
        Work in this runtime from now on, whoever calls :meth:`wake`. The first caller's runtime may
        be that of a thread in a pool, where nothing might ever run. Later calls do nothing.

        Args:
            runtime: The runtime of the streams.
        """
        if self._home is None:
            self._home = runtime

    @property
    def is_idle(self) -> bool:
        """Whether there is no work left."""
        return self._signal is None

    def wake(self) -> None:
        """Request that the work be done soon. Anything may call it; it never blocks."""
        runtime = self._home or _runtime.current()
        with self._lock:
            self._wanted = True
            signal = self._signal
            if signal is None:
                self._signal = runtime.signal()
        if signal is not None:
            signal.set()
            return
        try:
            runtime.spawn(self._run, self._name)
        except Exception:
            # No more threads, perhaps; the next call tries again.
            self._signal = None
            logger.exception("%s could not be started; the next call tries again", self._name)

    def _run(self) -> None:
        signal = self._signal
        assert signal is not None
        try:
            self._run_until_done(signal)
        except BaseException:
            # It was killed; the next call starts it again.
            self._signal = None
            raise

    def _run_until_done(self, signal: Signal) -> None:
        reactor = _runtime.current().reactor

        def wake(now: float) -> None:
            signal.set()

        while True:
            self._wanted = False
            try:
                delay = self._work()
            except BrokerClosed:
                delay = None
            except BaseException as exc:
                if _runtime.is_exit(exc):
                    raise
                logger.exception("%s failed; it will be retried", self._name)
                delay = PAUSE
            if delay is None:
                with self._lock:
                    if not self._wanted:
                        self._signal = None
                        return
                continue
            if not self._wanted:
                timer = reactor.call_at(reactor.clock() + delay, wake)
                signal.wait()
                timer.cancel()
