"""
Why and how a stream ends, and its last bytes.

One value, :class:`End`, says it, whoever decides: the client, the source, the application, the
server. The first one counts.

"""

from __future__ import annotations

import enum
import random
import sys
from dataclasses import dataclass
from typing import Protocol

from .event import MAX_RETRY, ServerSentEvent, encode_retry
from .settings import Options

__all__ = [
    *("END_ID", "URGENT_PATIENCE", "CloseReason", "End", "OpenStream"),
    *("closing_bytes", "reason_of_close", "spread"),
]

END_ID = "sse-sync.end"
"""
Event ID of the last event of a finished stream. A client that repeats it is told to stop.

Without a colon, which is a "CORS-unsafe request-header byte" (Fetch, 2.2.2): by the standard a
browser would have to ask another origin before it sends one, though none does so far.

"""

URGENT_PATIENCE = 1.0
"""Seconds for which an urgent end waits for a client that does not read."""


class CloseReason(enum.Enum):
    """Why a stream ended."""

    CLIENT_GONE = "client gone"
    """The client closed the connection, vanished, or stopped reading."""
    FINISHED = "finished"
    """The generator returned."""
    FAILED = "failed"
    """The generator raised an exception."""
    SERVER_STOPPING = "server stopping"
    """The server stops or reloads."""
    LIFETIME_OVER = "lifetime over"
    """The stream was open as long as it may be."""
    OVERFLOWED = "overflowed"
    """The client was slower than the events of its channels, and has to resume."""
    NO_ROOM = "no room"
    """The stream turned out to need a request, and the server can hold no more of those."""
    DISMISSED = "dismissed"
    """Its user was disconnected, or has lost the permission."""
    INTERRUPTED = "interrupted"
    """Events may have been lost, and the client has to come back for the state."""
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
    """Whether the client is told to stop, where the reason leaves that open; otherwise it comes
    back."""
    message: str = ""
    """What the page of somebody who was dismissed is told."""

    @property
    def is_urgent(self) -> bool:
        """Whether a client that does not read is cut off soon instead of being waited for."""
        return self.reason in (CloseReason.SERVER_STOPPING, CloseReason.DISMISSED)


class OpenStream(Protocol):
    """A stream as those see it who count streams and end them."""

    def end_with(self, end: End) -> None:
        """
        End the stream soon. The first end counts; later calls do nothing. It never blocks, and any
        thread or greenlet may call it.

        Args:
            end: Why and how.

        """

    def where(self) -> str:
        """Return what the stream's source is and where it stands."""


def closing_bytes(end: End, options: Options, failure: BaseException | None = None) -> bytes:
    """
    Return the last bytes of a stream.

    Args:
        end: Why and how it ends.
        options: How it behaves.
        failure: What failed, shown in debug mode.

    """
    reason = end.reason
    if end.final and reason in (CloseReason.FINISHED, CloseReason.CLOSED, CloseReason.DISMISSED):
        # An event with data, because Firefox and WebKit do not commit the id of one without.
        return ServerSentEvent(end.message, event="stream-end", id=END_ID).encode()
    if reason is CloseReason.FAILED:
        text = _describe(failure) if options.debug else "internal error"
        retry = spread(options.retry_failed)
        return ServerSentEvent(text, event="stream-error", retry=retry).encode()
    # Spread, because it may concern everybody at once.
    if reason is CloseReason.DISMISSED:
        retry = spread(options.retry)
        return ServerSentEvent(end.message, event="stream-disconnect", retry=retry).encode()
    if reason is CloseReason.SERVER_STOPPING:
        return encode_retry(spread(options.retry_stopping))
    if reason is CloseReason.INTERRUPTED:
        return encode_retry(spread(options.retry))
    if reason is CloseReason.NO_ROOM:
        return encode_retry(spread(options.retry_full))
    return b""


def reason_of_close() -> CloseReason:
    """Return why a server closes a stream that has not ended by itself."""
    # Because a write failed, or because it kills its requests. It calls close() while it handles
    # that exception.
    error = sys.exc_info()[1]
    if error is None or isinstance(error, (Exception, GeneratorExit)):
        return CloseReason.CLIENT_GONE
    return CloseReason.SERVER_STOPPING


def spread(milliseconds: int) -> int:
    """Return one to two times a reconnection time, so that not everybody comes back at once."""
    return min(MAX_RETRY, int(milliseconds * random.uniform(1.0, 2.0)))


def _describe(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}".encode(errors="replace").decode()
