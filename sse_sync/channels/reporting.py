"""Reports to the broker who is present in this process, in the background."""

from __future__ import annotations

import logging

from ..brokers.base import check_channel
from ..brokers.presence import PresenceStore, Present
from ..exceptions import BrokerUnavailable
from ..runtime.background import BackgroundTask
from ..runtime.process import Clock, monotonic
from .presence import PresenceTracker

__all__ = ["PresenceReporter"]

logger = logging.getLogger("sse_sync")

# Seconds until a report that failed is tried again.
PAUSE = 1.0


class PresenceReporter:
    """
    Report what a tracker holds, whenever that changes and as often as its lease demands.

    Args:
        store: The broker's presence store.
        clock: Tells the time.
    """

    def __init__(self, store: PresenceStore, *, clock: Clock = monotonic) -> None:
        self._store = store
        self._has_to_sweep = False
        self._has_failed = False
        self.task = BackgroundTask(self._report, "sse-sync presence")
        """Does the reporting."""
        self.tracker = PresenceTracker(store, self.task.wake, clock=clock)
        """What this process holds."""

    def present(self, channel: str) -> list[Present]:
        """Return who is present on a channel. See :meth:`Hub.present`."""
        check_channel(channel)
        # So that nobody here has left only because nothing could be reported for a while.
        self.tracker.report()
        return self._store.present(channel)

    def report(self) -> None:
        """Report what has changed before the caller goes on, or later where that fails."""
        try:
            self.tracker.report()
        except BrokerUnavailable as exc:
            logger.warning("presence not reported, will retry: %s", exc)
        self.task.wake()

    def sweep(self) -> None:
        """Let go of those whose time is over, soon. It never blocks."""
        self._has_to_sweep = True
        self.task.wake()

    def _report(self) -> float | None:
        had_failed = self._has_failed
        try:
            if self._has_to_sweep:
                self._has_to_sweep = False
                self._store.sweep()
            delay = self.tracker.flush()
            self._has_failed = False
            return delay
        except BrokerUnavailable as exc:
            self._has_failed = True
            if not had_failed:
                logger.warning("presence not reported, will retry: %s", exc)
            return PAUSE
