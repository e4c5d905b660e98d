"""What a client has yet to accept: bytes that the system has not taken, and the events after."""

from __future__ import annotations

import _socket
from collections.abc import Iterable

from ...brokers.base import Message
from ...channels.mailbox import MAX_CHUNK, Mailbox
from ..record import StreamRecord
from .batch import framed
from .key import FanoutKey

__all__ = ["Backlog"]


class Backlog:
    """
    Hold what is to be written to a slow client, and write it piece by piece.

    Args:
        key: How many events it may hold, and how they are framed.
        record: Counts what is written.
        events: The first of them.
    """

    __slots__ = ("_bytes", "_key", "_record", "events", "since")

    def __init__(self, key: FanoutKey, record: StreamRecord, events: Mailbox | None = None) -> None:
        self._key = key
        self._record = record
        self._bytes: memoryview | bytes = b""
        self.events = events
        """The events after what is being written; :obj:`None` if there are none."""
        self.since = 0.0
        """When the piece that is being written was begun."""

    @property
    def has_begun(self) -> bool:
        """Whether a piece is being written, of which the client may have a part."""
        return bool(self._bytes)

    @property
    def lacks_events(self) -> bool:
        """Whether some of its events did not fit."""
        return self.events is not None and self.events.overflowed

    def put(self, messages: Iterable[Message]) -> None:
        """Add events."""
        if self.events is None:
            self.events = Mailbox(*self._key.bounds)
        for message in messages:
            self.events.put(message)

    def put_first(self, earlier: Mailbox) -> None:
        """Add events before those that it holds."""
        if self.events is not None:
            earlier.pour_from(self.events)
        self.events = earlier

    def insert(self, data: memoryview | bytes, now: float) -> None:
        """
        Add bytes before the events.

        Args:
            data: What is to be written as it is.
            now: The current time.
        """
        if self._bytes:
            self._bytes = bytes(self._bytes) + data
        else:
            self._bytes, self.since = data, now

    def write(self, sock: _socket.socket, now: float) -> bool:
        """
        Write as much as possible without blocking, and return whether that was everything.

        Args:
            sock: The client's connection.
            now: The current time.

        Raises:
            OSError: If nothing can be written any longer.
        """
        try:
            while self._bytes or self._fill(now):
                sent = sock.send(self._bytes)
                self._record.bytes += sent
                self._bytes = memoryview(self._bytes)[sent:]
                if self._bytes:
                    return False
        except BlockingIOError:
            return False
        self._bytes = b""
        return True

    def _fill(self, now: float) -> bool:
        # Take the next piece, if there is any.
        taken = self.events.take_some(MAX_CHUNK) if self.events is not None else []
        if not taken:
            return False
        self._record.events += len(taken)
        self._bytes = framed(b"".join([m.wire for m in taken]), self._key.chunked)
        self.since = now
        return True
