"""
How much of each channel is kept.

"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

__all__ = ["Kept", "Retention"]

# Channels whose answer is remembered; with patterns it takes a look at each of them.
_REMEMBERED = 10_000


class Kept(NamedTuple):
    """
    How much of one channel is kept.

    """

    events: int
    """How many events, at most."""
    age: int
    """How long, at most, in microseconds, as positions count."""
    memory: int
    """How long it is remembered that events were dropped; the same."""
    usual: int
    """The age of channels for which nothing else is said."""


class Retention:
    """
    Tell how much of a channel is kept.

    Args:
        history: How many events of a channel.
        max_age: How long, in seconds.
        channels: What differs, by name or shell-style pattern: how many events, and how many
            seconds. The first that fits counts.

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
        """
        Return how much of a channel is kept.

        """
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
