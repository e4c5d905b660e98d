"""
Why and how a stream ends.

One value, :class:`End`, describes it, whether the client, the source, the application or the server
decides. The first one counts.
"""

from __future__ import annotations

import enum
import json
import random
import sys
from dataclasses import dataclass
from typing import Protocol

from .fields import MAX_RETRY

__all__ = [
    *("END_ID", "URGENT_PATIENCE", "CloseReason", "End", "OpenStream"),
    *("reason_of_close", "spread"),
]

END_ID = "sse-sync.end"
"""
ID of the last event of a finished stream. A client that sends it back is told to stop.

It has no colon, which is a "CORS-unsafe request-header byte" (Fetch, 2.2.2): by the standard a
browser would need another origin's permission to send one, though no browser asks so far.
"""

URGENT_PATIENCE = 1.0
"""Seconds that an urgent end waits for a client that does not read."""


class CloseReason(enum.Enum):
    """Why a stream ended."""

    CLIENT_GONE = "client gone"
    """The client closed the connection, vanished, or stopped reading."""
    FINISHED = "finished"
    """The generator returned."""
    FAILED = "failed"
    """The generator raised an exception, or the channels could not be subscribed to."""
    SERVER_STOPPING = "server stopping"
    """The server is stopping or reloading."""
    LIFETIME_OVER = "lifetime over"
    """The stream reached its maximum lifetime."""
    OVERFLOWED = "overflowed"
    """The client was slower than the events of its channels, and must resume."""
    NO_ROOM = "no room"
    """The stream could not be handed off, and the server can hold no more requests."""
    DISMISSED = "dismissed"
    """Its user was disconnected, or lost permission."""
    INTERRUPTED = "interrupted"
    """Events may have been lost, and the client must reconnect for the current state."""
    CANCELLED = "cancelled"
    """The job that it showed was cancelled."""
    LOST = "lost"
    """The job that it showed is lost."""
    CLOSED = "closed"
    """The application ended it."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class End:
    """Why and how a stream ends."""

    reason: CloseReason
    """Why."""
    final: bool = False
    """Whether the client is told to stop instead of reconnecting, if the reason leaves that
    open."""
    message: str = ""
    """Text for the page of a dismissed user, or for the viewers of a job."""
    of_job: bool = False
    """Whether a job has ended like this, so that its viewers are told the reason, too."""

    @property
    def data(self) -> str:
        """Data of the event that tells a client of a final end."""
        if not self.of_job:
            return self.message
        return json.dumps({"outcome": self.reason.value, "message": self.message})

    @property
    def is_urgent(self) -> bool:
        """Whether a client that does not read is cut off soon."""
        return self.reason in (CloseReason.SERVER_STOPPING, CloseReason.DISMISSED)


class OpenStream(Protocol):
    """A stream, as seen by code that counts and ends streams."""

    def end_with(self, end: End) -> None:
        """
        End the stream soon. Later calls do nothing. It never blocks, and any thread or greenlet may
        call it.

        Args:
            end: Why and how.
        """

    def where(self) -> str:
        """Return a description of the stream's source, for the log."""


def reason_of_close() -> CloseReason:
    """Return why a server closes a stream that has not ended by itself."""
    # A write failed, or the server kills its requests. It calls close() while it handles that
    # exception.
    error = sys.exc_info()[1]
    if error is None or isinstance(error, (Exception, GeneratorExit)):
        return CloseReason.CLIENT_GONE
    return CloseReason.SERVER_STOPPING


def spread(milliseconds: int) -> int:
    """Return one to two times a reconnection time, so that clients do not all return at once."""
    return min(MAX_RETRY, int(milliseconds * random.uniform(1.0, 2.0)))
