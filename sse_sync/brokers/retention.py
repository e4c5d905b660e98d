"""How much of each channel is kept."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

__all__ = ["MARK", "WHOLE", "Kept", "Retention"]

MARK = "\x02"
"""First character of the channels of jobs. Not printable, so that nobody else can name them."""

# Channels whose answer is cached, because finding it compares all patterns.
_REMEMBERED = 10_000


class Kept(NamedTuple):
    """How much of one channel is kept."""

    events: int
    """Maximum number of events."""
    age: int
    """Maximum age in microseconds, the unit of positions."""
    memory: int
    """Microseconds for which it is remembered that events were dropped."""
    usual: int
    """Maximum age of channels without an exception, in microseconds."""


# Nearly fifty years, which is less than has passed since 1970.
_ALWAYS = 1_500_000_000_000_000

WHOLE = Kept(1 << 31, _ALWAYS, _ALWAYS, _ALWAYS)
"""Everything is kept, until the channel is dropped."""


class Retention:
    """
    Know how much of each channel is kept.

    Args:
        history: Number of events to keep per channel.
        max_age: Seconds for which to keep an event.
        channels: Exceptions by name or shell-style pattern: events and seconds. The first match
            counts.
    """

    def __init__(
        self,
        history: int = 1000,
        max_age: float = 3600.0,
        channels: Mapping[str, tuple[int, float]] | None = None,
    ) -> None:
        usual = _microseconds(max_age)
        self._others = Kept(history, usual, usual, usual)
        self._patterns = {
            name: Kept(events, _microseconds(age), max(_microseconds(age), usual), usual)
            for name, (events, age) in (channels or {}).items()
        }
        self._known: dict[str, Kept] = {}

    def of(self, channel: str) -> Kept:
        """Return how much of a channel is kept: of a job's output, all."""
        if channel[0] == MARK:
            return WHOLE
        if not self._patterns:
            return self._others
        kept = self._known.get(channel)
        if kept is None:
            found = (k for pattern, k in self._patterns.items() if fnmatchcase(channel, pattern))
            kept = next(found, self._others)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[channel] = kept
        return kept


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)
