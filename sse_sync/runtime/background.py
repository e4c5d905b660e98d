"""
Work that nobody waits for: done beside the streams, when it is due or asked for.

"""

from __future__ import annotations

import logging
from collections.abc import Callable

from .. import runtime as _runtime
from . import Runtime, Signal
from .process import native_lock

__all__ = ["BackgroundTask"]

logger = logging.getLogger("sse_sync")

# Seconds until work that raised an exception is tried again.
PAUSE = 1.0


class BackgroundTask:
    """
    Call a function in a greenlet or thread of its own, which lives as long as there is work.

    Args:
        work: Does what there is to do, and returns in how many seconds it wants to be called again,
            or :obj:`None` if not before somebody asks. It may block.
        name: What to call the thread.

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
        Work in this world from now on, whoever asks: in that of whoever asks first, a thread of
        a pool, nothing might ever run. Only the first call counts.

        Args:
            runtime: Where the streams are.

        """
        if self._home is None:
            self._home = runtime

    @property
    def is_idle(self) -> bool:
        """
        Whether all that was asked for is done.

        """
        return self._signal is None

    def wake(self) -> None:
        """
        Ask for the work to be done soon. Anything may call it, and it never blocks.

        """
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
            # No more threads, perhaps; whoever asks next tries again.
            self._signal = None
            logger.exception("%s could not be started; the next call tries again", self._name)

    def _run(self) -> None:
        signal = self._signal
        assert signal is not None
        try:
            self._run_until_done(signal)
        except BaseException:
            # It was killed, and whoever asks next starts it again.
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
