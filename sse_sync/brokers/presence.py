"""
Who is there: what a broker keeps of people, and the presence store of a single process.

Every process tells what it holds: people on channels, and how many streams of whom. What it told
counts for as long as its lease lasts, which each report renews. So a process that was killed is
forgotten with its people, and no count can drift: nothing is ever added or subtracted, only stated.

"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

__all__ = [
    "LEASE",
    "PresenceEvent",
    "Join",
    "PresenceStore",
    "Leave",
    "MemoryPresenceStore",
    "Present",
]

LEASE = 10.0
"""Seconds for which a process that reports nothing is believed to live."""


class PresenceEvent(NamedTuple):
    """
    An event that tells who came or went.

    """

    event: str
    """Event type."""
    key: str
    """What the event is about: the user."""
    body: bytes
    """The event without its id, with the blank line that ends it."""


@dataclass(frozen=True)
class Join:
    """
    Somebody is on a channel, by this process.

    """

    channel: str
    """Where."""
    user: str
    """Who."""
    info: Any = None
    """Anything that JSON can express."""
    join: PresenceEvent | None = None
    """What is published if the user's presence there has not been announced."""
    leave: PresenceEvent | None = None
    """What will be published when nobody holds the user any more, if a join was."""


@dataclass(frozen=True)
class Leave:
    """
    Somebody is not on a channel any more, by this process.

    """

    channel: str
    """Where."""
    user: str
    """Who."""
    grace: float
    """Seconds for which the user is still taken to be there."""


@dataclass(frozen=True)
class Present:
    """
    Somebody who is there.

    """

    user: str
    """The user's key."""
    since: float
    """When the user came, in seconds since 1970."""
    info: Any
    """What the stream that was opened last told of the user."""


class PresenceStore(Protocol):
    """
    Keep who is there, for all processes of a broker.

    Its methods may be called from any thread or greenlet, :meth:`report` by one caller at a time,
    and may block for a bounded time. All raise :exc:`BrokerUnavailable` if nothing can be asked or
    told now; told twice is told once.

    """

    def report(
        self,
        reports: Sequence[Join | Leave] = (),
        counts: Mapping[str, int] = MappingProxyType({}),
    ) -> bool:
        """
        Note who came and went, renew the lease of this process, and let go of those whose time is
        over, whosever they were. Joins and leaves are published in the same step.

        Where nobody could report for a while, nobody's lease ends because of that.

        Args:
            reports: What has changed. It may repeat what was told before.
            counts: How many of what this process has now.

        Returns:
            Whether everything that this process told before is still known; otherwise it has to
            tell it again. The first time it is not.

        """

    def sweep(self) -> None:
        """
        Let go of those whose time is over. For processes that report nothing, which cannot know
        whether others can: where nobody has for a while, a lease lasts twice as long for them.

        """

    def present(self, channel: str) -> list[Present]:
        """
        Return who is on a channel, who came first first.

        Args:
            channel: Where.

        """

    def count(self, name: str, own: int, limit: int | None = None) -> bool:
        """
        State how many of something this process has, unless all have too many then. It renews the
        lease, and counts as long as the process reports.

        Args:
            name: Of what.
            own: How many this process has, or would have.
            limit: How many all processes may have; :obj:`None` for any number.

        Returns:
            Whether that is allowed; it is noted only then.

        """


@dataclass
class _Entry:
    since: float
    arrival: Join
    until: float | None = None
    """Until when the user is still taken to be there; :obj:`None` if somebody holds it."""


@dataclass
class _Book:
    entries: dict[tuple[str, str], _Entry] = field(default_factory=dict)
    # Those that nobody holds any more.
    leaving: dict[tuple[str, str], _Entry] = field(default_factory=dict)


class MemoryPresenceStore:
    """
    Keep who is there in the process.

    Differs from the contract: it never blocks, and there is no lease, because with the process
    everything is gone.

    Args:
        publish: Publishes an announcement to a channel.
        now: Tells the time of day, in seconds.

    """

    def __init__(
        self,
        publish: Callable[[str, PresenceEvent], object],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._publish = publish
        self._now = now
        # Announcements are published under it, so that they come in the order of what they tell.
        self._lock = threading.Lock()
        self._book = _Book()
        self._begun = False

    def report(
        self,
        reports: Sequence[Join | Leave] = (),
        counts: Mapping[str, int] = MappingProxyType({}),
    ) -> bool:
        """
        Note who came and went.

        """
        with self._lock:
            known, self._begun = self._begun, True
            self._settle()
            for each in reports:
                if isinstance(each, Join):
                    self._arrive(each)
                else:
                    self._depart(each)
            self._settle()
            return known

    def sweep(self) -> None:
        """
        Let go of those whose time is over.

        """
        with self._lock:
            self._settle()

    def present(self, channel: str) -> list[Present]:
        """
        Return who is on a channel.

        """
        with self._lock:
            self._settle()
            found = [
                Present(user, entry.since, entry.arrival.info)
                for (where, user), entry in self._book.entries.items()
                if where == channel
            ]
        return sorted(found, key=lambda present: (present.since, present.user))

    def count(self, name: str, own: int, limit: int | None = None) -> bool:
        """
        Return whether as many are allowed.

        """
        return limit is None or own <= limit

    def _arrive(self, arrival: Join) -> None:
        at = arrival.channel, arrival.user
        entry = self._book.entries.get(at)
        self._book.leaving.pop(at, None)
        was_announced = entry is not None and entry.arrival.leave is not None
        if entry is None:
            self._book.entries[at] = _Entry(self._now(), arrival)
        else:
            leave = arrival.leave or entry.arrival.leave
            entry.arrival, entry.until = replace(arrival, leave=leave), None
        if arrival.join is not None and not was_announced:
            self._publish(arrival.channel, arrival.join)

    def _depart(self, departure: Leave) -> None:
        at = departure.channel, departure.user
        entry = self._book.entries.get(at)
        if entry is not None:
            entry.until = self._now() + departure.grace
            self._book.leaving[at] = entry

    def _settle(self) -> None:
        now = self._now()
        over = [
            at for at, e in self._book.leaving.items() if e.until is not None and e.until <= now
        ]
        for at in over:
            entry = self._book.leaving.pop(at)
            del self._book.entries[at]
            if entry.arrival.leave is not None:
                self._publish(at[0], entry.arrival.leave)
