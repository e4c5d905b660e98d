"""
Presence: the contract of presence stores, and the store of a single process.

Every process reports what it holds: users on channels, and the number of streams per user or
address. A report is valid until the process's lease ends; each report renews it. So a process that
was killed is forgotten together with its users, and no count can drift: counts are never added or
subtracted, only stated.
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
"""Seconds without a report after which a process is taken for dead."""


class PresenceEvent(NamedTuple):
    """An event that announces who joined or left."""

    event: str
    """Event type."""
    key: str
    """The event's subject: the user."""
    body: bytes
    """The event without its id, with the blank line that ends it."""


@dataclass(frozen=True)
class Join:
    """This process holds a user on a channel."""

    channel: str
    """The channel."""
    user: str
    """The user's key."""
    info: Any = None
    """Any JSON value."""
    join: PresenceEvent | None = None
    """Published unless the user's presence there was announced before."""
    leave: PresenceEvent | None = None
    """Published once no process holds the user any more, if a join was."""


@dataclass(frozen=True)
class Leave:
    """This process no longer holds a user on a channel."""

    channel: str
    """The channel."""
    user: str
    """The user's key."""
    grace: float
    """Seconds for which the user still counts as present."""


@dataclass(frozen=True)
class Present:
    """A user who is present."""

    user: str
    """The user's key."""
    since: float
    """When the user joined, in seconds since 1970."""
    info: Any
    """The ``info`` of the user's latest stream."""


class PresenceStore(Protocol):
    """
    Keep who is present, for all processes of a broker.

    Its methods may be called from any thread or greenlet, but :meth:`report` by one caller at a
    time, and may block for a bounded time. All raise :exc:`BrokerUnavailable` if the store cannot
    be reached now, and :exc:`BrokerClosed` after the broker has been closed. Reports are
    idempotent.
    """

    def report(
        self,
        reports: Sequence[Join | Leave] = (),
        counts: Mapping[str, int] = MappingProxyType({}),
    ) -> bool:
        """
        Record joins and leaves, renew this process's lease, and remove whatever has expired, of any
        process. Joins and leaves are published in the same step.

        If no process could report for a while, no lease ends because of that.

        Args:
            reports: What has changed. It may repeat earlier reports.
            counts: The number of streams this process has now, by name.

        Returns:
            Whether all earlier reports of this process are still known; otherwise it has to repeat
            them. False for the first report.
        """

    def sweep(self) -> None:
        """
        Remove whatever has expired. For processes that report nothing: they cannot know whether
        others can report, so if none has for a while, leases last twice as long here.
        """

    def present(self, channel: str) -> list[Present]:
        """
        Return who is present on a channel, ordered by arrival.

        Args:
            channel: The channel.
        """

    def count(self, name: str, own: int, limit: int | None = None) -> bool:
        """
        State how many streams of a name this process has, unless all processes together would then
        have too many. It renews the lease; the number is valid as long as the process reports.

        Args:
            name: Whose streams: a user or an address.
            own: How many this process has, or would have.
            limit: How many all processes may have; :obj:`None` for any number.

        Returns:
            Whether that is allowed; only then is it recorded.
        """


@dataclass
class _Entry:
    since: float
    arrival: Join
    until: float | None = None
    """Until when the user still counts as present; :obj:`None` while a stream is open."""


@dataclass
class _Book:
    entries: dict[tuple[str, str], _Entry] = field(default_factory=dict)
    # Those whose last stream has ended.
    leaving: dict[tuple[str, str], _Entry] = field(default_factory=dict)


class MemoryPresenceStore:
    """
    Keep who is present in the process.

    Differs from the contract: it never blocks, and has no lease, because it ends with the process.
    It keeps no counts, because no other process adds to them.

    Args:
        publish: Publishes an announcement to a channel.
        check_open: Raises :exc:`BrokerClosed` after the broker has been closed.
        now: Returns the time of day, in seconds.
    """

    def __init__(
        self,
        publish: Callable[[str, PresenceEvent], object],
        check_open: Callable[[], object],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._publish = publish
        self._check_open = check_open
        self._now = now
        # Held while an announcement is published, so that they are published in order.
        self._lock = threading.Lock()
        self._book = _Book()
        self._begun = False

    def report(
        self,
        reports: Sequence[Join | Leave] = (),
        counts: Mapping[str, int] = MappingProxyType({}),
    ) -> bool:
        with self._lock:
            self._settle()
            known, self._begun = self._begun, True
            for each in reports:
                if isinstance(each, Join):
                    self._arrive(each)
                else:
                    self._depart(each)
            self._settle()
            return known

    def sweep(self) -> None:
        with self._lock:
            self._settle()

    def present(self, channel: str) -> list[Present]:
        with self._lock:
            self._settle()
            found = [
                Present(user, entry.since, entry.arrival.info)
                for (where, user), entry in self._book.entries.items()
                if where == channel
            ]
        return sorted(found, key=lambda present: (present.since, present.user))

    def count(self, name: str, own: int, limit: int | None = None) -> bool:
        self._check_open()
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
        self._check_open()
        now = self._now()
        over = [
            at for at, e in self._book.leaving.items() if e.until is not None and e.until <= now
        ]
        for at in over:
            entry = self._book.leaving.pop(at)
            del self._book.entries[at]
            if entry.arrival.leave is not None:
                self._publish(at[0], entry.arrival.leave)
