"""The broker of a single process."""

from __future__ import annotations

import heapq
import json
import math
import secrets
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ..exceptions import BrokerClosed
from ..runtime.process import Clock, monotonic
from .base import (
    NO_FLOORS,
    Beginning,
    History,
    Message,
    Position,
    Publication,
    Receiver,
    starts,
    to_base36,
)
from .presence import MemoryPresenceStore, PresenceEvent
from .retention import WHOLE, Kept, Retention

if TYPE_CHECKING:
    from .memory_jobs import MemoryJobStore

__all__ = ["MemoryBroker"]


class _Channel:
    __slots__ = ("latest", "messages", "trimmed")

    def __init__(self, trimmed: int) -> None:
        self.messages: deque[Message] = deque()
        self.trimmed = trimmed
        """Number up to which events may have been dropped."""
        self.latest = trimmed
        """Number of the latest event."""


class MemoryBroker:
    """
    Store events in the process.

    Numbers are microseconds, and every process has a new epoch.

    Differs from the contract: it carries nothing to other processes, and never blocks.

    Args:
        history: Number of events to keep per channel.
        max_age: Seconds for which to keep an event.
        channels: Exceptions by channel; see :class:`~sse_sync.brokers.retention.Retention`.
        now: Returns the time of day, in seconds.
        clock: Returns monotonic time, in seconds.
    """

    def __init__(
        self,
        *,
        history: int = 1000,
        max_age: float = 3600.0,
        channels: Mapping[str, tuple[int, float]] | None = None,
        now: Callable[[], float] = time.time,
        clock: Clock = monotonic,
    ) -> None:
        self._retention = Retention(history, max_age, channels)
        self._now = now
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        now = self._now
        # Held while an event gets its position and is delivered, so that events arrive in order.
        self._lock = threading.Lock()
        self._epoch = to_base36(int(now() * 1000)) + secrets.token_hex(2)
        self._number = int(now() * 1_000_000)
        self._channels: dict[str, _Channel] = {}
        # When to check whether a channel can be forgotten; each channel is there once.
        self._reviews: list[tuple[int, str]] = []
        self._forgotten = self._number
        self._tokens: dict[str, Position] = {}
        # When each one expires.
        self._token_ends: list[tuple[float, str]] = []
        self._receiver: Receiver | None = None
        self._subscribed: set[str] = set()
        self._closed = False
        self.presence = MemoryPresenceStore(self._announce, self._check_open, now=now)
        """The presence store of this process."""
        vars(self).pop("jobs", None)

    @cached_property
    def jobs(self) -> MemoryJobStore:
        """The job store of this process."""
        from .memory_jobs import MemoryJobStore  # Only for who uses it.

        return MemoryJobStore(
            self.publish, self.position, self._drop, now=self._now, clock=self._clock
        )

    def after_fork(self) -> None:
        """Forget everything: from here on, the parent's history differs."""
        self._begin()

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def publish(self, publication: Publication) -> Position:
        with self._lock:
            self._check_open()
            now = int(self._now() * 1_000_000)
            self._forget_tokens()
            token = publication.token
            if token in self._tokens:
                return self._tokens[token]
            self._number = max(self._number + 1, now)
            position = Position(self._epoch, self._number)
            if token is not None:
                self._tokens[token] = position
                heapq.heappush(self._token_ends, (self._clock() + publication.token_age, token))
            message = _message(publication, position)
            if publication.keep:
                self._keep(message, now)
            self._forget(now)
            if self._receiver is not None and message.channel in self._subscribed:
                self._receiver.receive([message])
        return position

    def subscribe(self, channels: Sequence[str]) -> Position:
        with self._lock:
            self._check_open()
            self._subscribed.update(channels)
            return Position(self._epoch, self._number)

    def unsubscribe(self, channels: Sequence[str]) -> None:
        with self._lock:
            self._subscribed.difference_update(channels)

    def position(self) -> Position:
        with self._lock:
            self._check_open()
            return Position(self._epoch, self._number)

    def beginning(self, channels: Sequence[str], events: int | None) -> Beginning:
        with self._lock:
            self._check_open()
            floors, stored = self._stored(channels)
            number = self._number
        some = (kept[:1] if events is None else kept[-events:] for kept in stored.values())
        numbers = sorted(_number(message) for kept in some for message in kept)
        if numbers:
            number = numbers[-events if events else 0 :][0] - 1
        return Beginning(Position(self._epoch, number), floors)

    def history(
        self,
        channels: Sequence[str],
        after: Position,
        limit: int | None = None,
        floors: Mapping[str, int] = NO_FLOORS,
    ) -> History:
        with self._lock:
            self._check_open()
            trimmed, stored = self._stored(channels)
            complete = after.epoch == self._epoch and after.number <= self._number
        complete = complete and all(
            dropped <= after.number for name, dropped in trimmed.items() if name not in floors
        )
        if not complete:
            return History([], False)
        wanted = starts(trimmed, after, floors)
        later = (
            kept[bisect_right(kept, wanted[name], key=_number) :] for name, kept in stored.items()
        )
        return History(_first(heapq.merge(*later, key=_number), limit), True)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._channels.clear()
            self._reviews.clear()
            self._subscribed.clear()

    def _stored(
        self, channels: Sequence[str]
    ) -> tuple[dict[str, int], dict[str, tuple[Message, ...]]]:
        # For each channel the number up to which events may have been dropped, and its events. They
        # are only copied under the lock, which publishers need, and looked at after it.
        now = int(self._now() * 1_000_000)
        trimmed = dict.fromkeys(channels, self._forgotten)
        stored: dict[str, tuple[Message, ...]] = {}
        for name in trimmed:
            kept = self._channels.get(name)
            if kept is not None:
                self._trim(kept, self._retention.of(name), now)
                trimmed[name] = kept.trimmed
                stored[name] = tuple(kept.messages)
        return trimmed, stored

    def _drop(self, channel: str) -> None:
        with self._lock:
            self._channels.pop(channel, None)

    def _announce(self, channel: str, what: PresenceEvent) -> None:
        self.publish(Publication(channel, what.body, what.event, what.key))

    def _keep(self, message: Message, now: int) -> None:
        retention = self._retention.of(message.channel)
        kept = self._channels.get(message.channel)
        if kept is None:
            kept = self._channels[message.channel] = _Channel(self._forgotten)
            if retention is not WHOLE:
                heapq.heappush(self._reviews, (now + retention.memory, message.channel))
        kept.messages.append(message)
        kept.latest = message.position.number
        self._trim(kept, retention, now)

    def _trim(self, channel: _Channel, kept: Kept, now: int) -> None:
        oldest = now - kept.age
        messages = channel.messages
        while messages and (len(messages) > kept.events or messages[0].position.number < oldest):
            channel.trimmed = messages.popleft().position.number

    def _forget(self, now: int) -> None:
        # Forget channels that nobody publishes to any more, once everything they have dropped is
        # older than what any channel has to remember.
        while self._reviews and self._reviews[0][0] <= now:
            _, name = heapq.heappop(self._reviews)
            kept, retention = self._channels[name], self._retention.of(name)
            self._trim(kept, retention, now)
            due = kept.latest + retention.memory
            if kept.messages or due > now:
                heapq.heappush(self._reviews, (max(due, now + 1), name))
            else:
                self._forgotten = max(self._forgotten, kept.trimmed)
                del self._channels[name]

    def _forget_tokens(self) -> None:
        while self._token_ends and self._token_ends[0][0] <= self._clock():
            _, token = heapq.heappop(self._token_ends)
            del self._tokens[token]

    def _check_open(self) -> None:
        if self._closed:
            raise BrokerClosed


def _first(messages: Iterable[Message], limit: int | None) -> list[Message]:
    # So many that a client's replay in rounds looks at each event once.
    found, left = [], math.inf if limit is None else limit
    for message in messages:
        found.append(message)
        left -= len(message.body)
        if left <= 0:
            break
    return found


def _number(message: Message) -> int:
    return message.position.number


def _message(new: Publication, position: Position) -> Message:
    # What other brokers give: the publisher may change its own afterwards.
    meta = json.loads(json.dumps(new.meta)) if new.meta is not None else None
    return Message(new.channel, position, new.body, new.event, new.key, meta, new.keep, new.sender)
