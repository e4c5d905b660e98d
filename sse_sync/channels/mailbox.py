"""One subscriber's unsent events: bounded, with a policy for when the mailbox is full."""

from __future__ import annotations

import enum
from collections import OrderedDict, deque

from ..brokers.base import Message
from ..exceptions import ConfigurationError
from ..runtime.process import native_lock

__all__ = ["MAX_CHUNK", "Mailbox", "Overflow", "join"]

MAX_CHUNK = 32 * 1024
"""
Bytes of events that one write to a client may hold, unless a single event is larger. More would
save few calls, and in a burst each client briefly takes this much memory.
"""


class Overflow(enum.Enum):
    """What happens when a subscriber's mailbox is full."""

    DISCONNECT = "disconnect"
    """The stream ends; the client reconnects, and gets what it missed from the history."""
    DROP_OLDEST = "drop oldest"
    """The oldest event is dropped without telling the client."""
    LATEST = "latest"
    """Only the latest event of each key of a channel is kept, and every event without a key; if
    there are too many, the oldest event is dropped."""

    @classmethod
    def _missing_(cls, value: object) -> None:
        known = ", ".join(repr(policy.value) for policy in cls)
        raise ConfigurationError("overflow", f"must be one of {known}, not {value!r}")


class Mailbox:
    """
    Hold events until a client takes them.

    Any thread or greenlet may use it; it never blocks.

    Args:
        max_events: How many events fit.
        max_bytes: How many bytes of events fit in total. A single larger event fits into an
            empty mailbox.
        overflow: What happens when it is full.
    """

    __slots__ = (
        "_bytes",
        "_events",
        "_lock",
        "_max_bytes",
        "_max_events",
        "_overflow",
        "dropped",
        "overflowed",
    )

    def __init__(
        self,
        max_events: int = 1000,
        max_bytes: int = 1 << 20,
        overflow: Overflow = Overflow.DISCONNECT,
    ) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._overflow = overflow
        self._lock = native_lock()
        self._events: OrderedDict[object, Message] = OrderedDict()
        self._bytes = 0
        self.dropped = 0
        """How many events were dropped, or replaced by a later one with the same key."""
        self.overflowed = False
        """Whether it has overflowed under :attr:`Overflow.DISCONNECT`. It then accepts no more
        events, so that those it holds can still be sent without a gap."""

    def __len__(self) -> int:
        return len(self._events)

    def put(self, message: Message) -> None:
        """
        Add an event that is later than all before.

        Args:
            message: The event.
        """
        with self._lock:
            if self.overflowed:
                return
            name: object = message.position.number
            if self._overflow is Overflow.LATEST and message.key is not None:
                name = message.channel, message.key
                before = self._events.pop(name, None)
                if before is not None:
                    self._bytes -= len(before.body)
                    self.dropped += 1
            size = len(message.body)
            if self._events and self._is_full(size):
                if self._overflow is Overflow.DISCONNECT:
                    self.overflowed = True
                    return
                self._drop_until_fits(size)
            self._events[name] = message
            self._bytes += size

    def take(self) -> list[Message]:
        """Remove and return all events, in order."""
        if not self._events:
            return []
        with self._lock:
            taken, self._events = self._events, OrderedDict()
            self._bytes = 0
        return list(taken.values())

    def take_some(self, most: int) -> list[Message]:
        """
        Remove and return the first events, at least one if there is any.

        Args:
            most: Their maximum total bytes; a single event may exceed it.
        """
        taken: list[Message] = []
        size = 0
        with self._lock:
            while self._events:
                name, message = self._events.popitem(last=False)
                size += len(message.body)
                if taken and size > most:
                    self._events[name] = message
                    self._events.move_to_end(name, last=False)
                    break
                self._bytes -= len(message.body)
                taken.append(message)
        return taken

    def pour_from(self, other: Mailbox) -> None:
        """
        Move events from another mailbox to the end of this one, and empty the other. If the other
        has overflowed, so has this one.

        Args:
            other: The other mailbox.
        """
        for message in other.take():
            self.put(message)
        self.overflowed = self.overflowed or other.overflowed

    def clear(self) -> None:
        """Drop all events, and accept new ones again."""
        with self._lock:
            self._events.clear()
            self._bytes = 0
            self.overflowed = False

    def _is_full(self, size: int) -> bool:
        return len(self._events) >= self._max_events or self._bytes + size > self._max_bytes

    def _drop_until_fits(self, size: int) -> None:
        while self._events and self._is_full(size):
            _, message = self._events.popitem(last=False)
            self._bytes -= len(message.body)
            self.dropped += 1


def join(chunks: deque[bytes]) -> bytes:
    """Take as many chunks as make one of at most :data:`MAX_CHUNK` bytes, or one that is larger."""
    taken: list[bytes] = []
    size = 0
    while chunks and (not taken or size + len(chunks[0]) <= MAX_CHUNK):
        taken.append(chunks.popleft())
        size += len(taken[-1])
    return b"".join(taken)
