"""The log line about a stream that has ended."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from urllib.parse import quote

from ..closing import CloseReason

__all__ = ["StreamRecord", "log_end", "path_of"]

logger = logging.getLogger("sse_sync")

# RFC 3986, 3.3: the characters a path may hold unescaped, besides letters and digits.
_IN_PATHS = "/:@!$&'()*+,;=-._~"


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


def path_of(path: str) -> str:
    """
    Return a path as it stood in the request, so that no line break or escape sequence in it can
    forge a log line.

    Args:
        path: What WSGI passes: percent-decoded bytes, read as latin-1 (PEP 3333).
    """
    return quote(path.encode("latin-1", "replace"), safe=_IN_PATHS)
