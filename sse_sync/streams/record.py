"""The log line about a stream that has ended."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from urllib.parse import quote

from ..closing import CloseReason
from ..runtime.background import BackgroundTask

__all__ = ["StreamRecord", "all_is_logged", "log_end", "log_soon", "path_of"]

logger = logging.getLogger("sse_sync")

# RFC 3986, 3.3: the characters a path may hold unescaped, besides letters and digits.
_IN_PATHS = "/:@!$&'()*+,;=-._~"

# Log lines written before other tasks get their turn.
LOGGED_AT_ONCE = 100


@dataclass(slots=True)
class StreamRecord:
    """Describe a stream, and count what it has sent so far."""

    path: str
    """Path of its request."""
    opened_at: float = 0.0
    """When it opened, by the reactor's clock."""
    events: int = 0
    """Chunks sent, mostly of one event each."""
    bytes: int = 0
    """Bytes sent."""


def log_end(path: str, reason: CloseReason, seconds: float, events: int, size: int) -> None:
    """
    Log that a stream has ended.

    Args:
        path: Path of its request, as WSGI passes it.
        reason: Why it ended.
        seconds: How long it was open.
        events: How many chunks it sent, mostly of one event each.
        size: How many bytes it sent.
    """
    if logger.isEnabledFor(logging.INFO):
        # Plain values only: a log record that is kept must not keep the request alive.
        logger.info(
            "event stream %s ended: %s, after %.1f s, %d events, %d bytes",
            *(path_of(path), reason.value, seconds, events, size),
        )


def log_soon(
    record: StreamRecord, reason: CloseReason, seconds: float, events: int, size: int
) -> None:
    """
    Log that a stream has ended, on another thread or greenlet: loggers may block, which the reactor
    must not. See :func:`log_end`.
    """
    if logger.isEnabledFor(logging.INFO):
        _ends.append((record.path, reason, seconds, events, size))
        _logging.wake()


def all_is_logged() -> bool:
    """Return whether every ended stream has been logged."""
    return _logging.is_idle


def _log() -> float | None:
    for _ in range(LOGGED_AT_ONCE):
        if not _ends:
            return None
        log_end(*_ends.popleft())
    return 0.0  # Other tasks get their turn in between.


_ends: deque[tuple[str, CloseReason, float, int, int]] = deque()
_logging = BackgroundTask(_log, "sse-sync log")


def path_of(path: str) -> str:
    """
    Return a path as it stood in the request, so that no line break or escape sequence in it can
    forge a log line.

    Args:
        path: What WSGI passes: percent-decoded bytes, read as latin-1 (PEP 3333).
    """
    return quote(path.encode("latin-1", "replace"), safe=_IN_PATHS)
