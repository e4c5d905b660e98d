"""The events that a process has received recently."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from ...runtime.process import native_lock
from ..base import NO_FLOORS, History, Message, Position, starts

__all__ = ["Continuity", "ReplayCache"]

# Limits for all channels of a process together.
MAX_EVENTS = 20_000
MAX_BYTES = 16 << 20


class Continuity(enum.Enum):
    """How a message relates to everything received before."""

    NEXT = enum.auto()
    """It is new."""
    DUPLICATE = enum.auto()
    """It was received before."""
    GAP = enum.auto()
    """It belongs to another epoch, so events may be missing before it."""


class ReplayCache:
    """
    Keep the latest events of a process's channels, so that reconnecting clients do not cost a query
    to Redis.

    For every channel it knows the number after which it has every event. The oldest event of any
    channel is dropped first. Any thread or greenlet may use it; it never blocks.
    """

    def __init__(self) -> None:
        self._lock = native_lock()
        self._last: Position | None = None
        # Number after which every event of the channel is here.
        self._since: dict[str, int] = {}
        self._events: dict[str, deque[Message]] = {}
        # All events in order; those of forgotten channels stay until they are the oldest.
        self._order: deque[Message] = deque()
        self._bytes = 0

    @property
    def last(self) -> Position | None:
        """The position up to which everything was received; :obj:`None` before the first."""
        return self._last

    def restart(self, channels: Iterable[str], at: Position) -> None:
        """
        Forget everything, and continue from a position.

        Args:
            channels: The channels that are received.
            at: The position.
        """
        with self._lock:
            self._clear()
            self._last = at
            self._since.update(dict.fromkeys(channels, at.number))

    def stop(self) -> None:
        """Forget everything, including the last position."""
        with self._lock:
            self._clear()
            self._last = None

    def begin(self, channels: Iterable[str], since: Position) -> None:
        """
        Keep the events of more channels.

        Args:
            channels: The channels.
            since: Position after which all of their events are received.
        """
        with self._lock:
            last = self._last
            if last is not None and last.epoch != since.epoch:
                return  # Of another epoch, which will be noticed; keep nothing until then.
            number = since.number
            if last is None:
                self._last = since
            else:
                # What was received in the meantime was not kept.
                number = max(number, last.number)
            self._since.update(dict.fromkeys(channels, number))

    def forget(self, channels: Iterable[str]) -> None:
        """Drop the events of some channels."""
        with self._lock:
            for channel in channels:
                self._since.pop(channel, None)
                self._events.pop(channel, None)

    def add(self, message: Message) -> Continuity:
        """Keep an event if it is new, is stored in the history, and its channel is kept."""
        with self._lock:
            last = self._last
            continuity = Continuity.NEXT
            if last is not None and message.position.epoch != last.epoch:
                self._clear()
                continuity = Continuity.GAP
            elif last is not None and message.position.number <= last.number:
                return Continuity.DUPLICATE
            self._last = message.position
            if message.kept and message.channel in self._since:
                self._events.setdefault(message.channel, deque()).append(message)
                self._order.append(message)
                self._bytes += len(message.body)
                while len(self._order) > MAX_EVENTS or self._bytes > MAX_BYTES:
                    self._drop_oldest()
        return continuity

    def reach(self, here: Position) -> Continuity:
        """Record that everything up to a position was received."""
        with self._lock:
            last = self._last
            if last is not None and last.epoch == here.epoch:
                self._last = max(last, here)
                return Continuity.NEXT
            self._clear()
            self._last = here
            return Continuity.GAP

    def history(
        self, channels: Iterable[str], after: Position, floors: Mapping[str, int] = NO_FLOORS
    ) -> History | None:
        """
        Return the events after a position, or :obj:`None` if not all of them are here.

        Args:
            channels: The channels.
            after: The position.
            floors: See :meth:`.Broker.history`.
        """
        found: list[Message] = []
        # All channels in one step, or one channel's events could include a later event than
        # another's.
        with self._lock:
            last = self._last
            if last is None or last.epoch != after.epoch or after.number > last.number:
                return None
            for channel, start in starts(channels, after, floors).items():
                since = self._since.get(channel)
                # A floor may be later than what has been received, of other channels, too.
                if since is None or since > start or start > last.number:
                    return None
                # From the end, because most clients miss little.
                for message in reversed(self._events.get(channel, ())):
                    if message.position.number <= start:
                        break
                    found.append(message)
        found.sort(key=_number)
        return History(found, True)

    def known(self, channels: Iterable[str]) -> Mapping[str, int] | None:
        """
        Return the number after which each channel is complete, or :obj:`None` if one is not kept.
        """
        with self._lock:
            wanted = list(channels)
            if not all(channel in self._since for channel in wanted):
                return None
            return {channel: self._since[channel] for channel in wanted}

    def extend(
        self,
        since: Mapping[str, int],
        epoch: str,
        messages: Sequence[Message],
        known: Mapping[str, int],
    ) -> None:
        """
        Also keep older events that were read from Redis, unless that would be too much.

        Args:
            since: Their channels, and for each the number after which they were read.
            epoch: Their epoch.
            messages: All events of these channels after that, at least up to the known numbers.
            known: Result of :meth:`known` before the reading.
        """
        size = sum(len(message.body) for message in messages)
        with self._lock:
            if self._last is None or self._last.epoch != epoch:
                return
            room = len(self._order) + len(messages) <= MAX_EVENTS // 2
            if not room or self._bytes + size > MAX_BYTES // 2:
                return
            for channel, start in since.items():
                # Otherwise it was given up, dropped in part, or extended by another thread.
                if self._since.get(channel) != known[channel] or known[channel] <= start:
                    continue
                older = [
                    m
                    for m in messages
                    if m.channel == channel and m.position.number <= known[channel]
                ]
                if older:
                    self._events.setdefault(channel, deque()).extendleft(reversed(older))
                    self._order.extendleft(reversed(older))
                    self._bytes += sum(len(message.body) for message in older)
                self._since[channel] = start

    def _drop_oldest(self) -> None:
        dropped = self._order.popleft()
        self._bytes -= len(dropped.body)
        events = self._events.get(dropped.channel)
        if events and events[0] is dropped:
            events.popleft()
            self._since[dropped.channel] = dropped.position.number
            if not events:
                del self._events[dropped.channel]

    def _clear(self) -> None:
        self._since.clear()
        self._events.clear()
        self._order.clear()
        self._bytes = 0


def _number(message: Message) -> int:
    return message.position.number
