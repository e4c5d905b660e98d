"""
Keep quiet connections alive.

A stream with a request has a :class:`Heartbeat` of its own, and a fan-out has one for all of its
connections. Sending an event moves no timer, because that would cost a heap operation per event: it
only sets :attr:`Heartbeat.last_sent`, which is checked when a heartbeat may be due.
"""

from __future__ import annotations

from collections.abc import Callable

from ..runtime.reactor import Reactor, Timer

__all__ = ["HEARTBEAT", "Heartbeat"]

HEARTBEAT = b":\n"
"""
A comment, sent when nothing else has been sent for a while. No blank line follows it: many clients
that are no browsers take a comment with one for an event without data.
"""


class Heartbeat:
    """
    Notice when nothing has been sent for a while.

    Args:
        interval: Seconds without anything sent; :obj:`None` for no heartbeats.
        beat: Called by the reactor when a heartbeat is due. It never blocks.
    """

    __slots__ = ("_beat", "_interval", "_timer", "last_sent")

    def __init__(self, interval: float | None, beat: Callable[[], object]) -> None:
        self._interval = interval
        self._beat: Callable[[], object] | None = beat
        self._timer: Timer | None = None
        self.last_sent = 0.0
        """When something was last sent, on the reactor's clock."""

    def start(self, reactor: Reactor) -> None:
        """Start watching, on any thread or greenlet."""
        if self._interval is not None:
            self._timer = reactor.call_at(self.last_sent + self._interval, self._tick)

    def stop(self) -> None:
        """Stop watching, and drop the callback, which references the stream. Idempotent."""
        self._beat = None
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self, now: float) -> float | None:
        interval, beat = self._interval, self._beat
        if interval is None or beat is None:
            return None
        # Computed as in start(), or a rounding error makes a heartbeat late.
        due = self.last_sent + interval
        if now < due:
            return due
        beat()
        # It is about to be sent, or something else is being sent: too soon for the next one.
        return now + interval / 2
