"""
What every kind of stream says of itself: that it lives, whether and when to come back, and in the
log how it ended.

"""

from __future__ import annotations

import logging
import random

from ..event import MAX_RETRY, ServerSentEvent, encode_retry
from ..settings import Options
from .registry import CloseReason

__all__ = ["END_ID", "HEARTBEAT", "URGENT", "URGENT_PATIENCE", "closing_bytes", "log_end", "spread"]

logger = logging.getLogger("sse_sync")

END_ID = "sse-sync.end"
"""
Event ID of the last event of a finished stream. A client that repeats it is told to stop.

Without a colon, which is a "CORS-unsafe request-header byte" (Fetch, 2.2.2): by the standard a
browser would have to ask another origin before it sends one, though none does so far.

"""


HEARTBEAT = b":\n\n"
"""What is sent when there is nothing else to send."""

URGENT = (CloseReason.SERVER_STOPPING, CloseReason.DISMISSED)
"""Where the end does not wait for a client that does not read."""

URGENT_PATIENCE = 1.0
"""Seconds that such a client is left with its last words."""


def closing_bytes(
    reason: CloseReason,
    options: Options,
    *,
    is_final: bool = False,
    message: str = "",
    failure: BaseException | None = None,
) -> bytes:
    """
    Return the last bytes of a stream.

    Args:
        reason: Why it ends.
        options: How it behaves.
        is_final: Whether the client is told to stop, where the reason leaves that open.
        message: What the page of somebody who was dismissed is told.
        failure: What failed, told in debug mode.

    """
    if reason in (CloseReason.FINISHED, CloseReason.CLOSED) and is_final:
        return _end("")
    if reason is CloseReason.DISMISSED and is_final:
        return _end(message)
    if reason is CloseReason.DISMISSED:
        # Spread, because it may concern everybody at once.
        retry = spread(options.retry)
        return ServerSentEvent(message, event="stream-disconnect", retry=retry).encode()
    if reason is CloseReason.SERVER_STOPPING:
        return encode_retry(spread(options.retry_stopping))
    if reason is CloseReason.INTERRUPTED:
        return encode_retry(spread(options.retry))
    if reason is CloseReason.FAILED:
        text = _describe(failure) if options.debug else "internal error"
        retry = spread(options.retry_failed)
        return ServerSentEvent(text, event="stream-error", retry=retry).encode()
    return b""


def log_end(path: str, reason: CloseReason, seconds: float, events: int, size: int) -> None:
    """
    Write what the log says of every stream that has ended.

    Args:
        path: Path of its request.
        reason: Why it ended.
        seconds: How long it lasted.
        events: What was sent: events.
        size: What was sent: bytes.

    """
    # Plain values only: a record that is kept must not keep the request.
    logger.info(
        "event stream %s ended: %s, after %.1f s, %d events, %d bytes",
        *(path, reason.value, seconds, events, size),
    )


def spread(milliseconds: int) -> int:
    """
    Return one to two times a reconnection time, so that not everybody comes back at once.

    """
    return min(MAX_RETRY, int(milliseconds * random.uniform(1.0, 2.0)))


def _end(message: str) -> bytes:
    # An event with data, because Firefox and WebKit do not commit the id of one without.
    return ServerSentEvent(message, event="stream-end", id=END_ID).encode()


def _describe(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}".encode(errors="replace").decode()
