"""
What a fan-out writes, and to whom.

"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from ...brokers.base import Message
from ...closing import End

__all__ = ["Batch", "Recipient", "framed"]


class Recipient(Protocol):
    """A connection, as its fan-out sees it. Only the reactor's driver calls it."""

    def send(self, frame: bytes) -> int:
        """
        Write as much as can be written now, and return how much that was.

        Raises:
            OSError: If nothing can.

        """

    def fell_behind(self, frame: bytes, sent: int) -> None:
        """Keep what could not be written."""

    def broke(self) -> None:
        """Record that nothing can be written any more."""

    def end_with(self, end: End) -> None:
        """End soon. It never blocks, and anything may call it."""


@dataclass
class Batch:
    """Something to be written to everybody."""

    frame: bytes
    """What to write."""
    messages: list[Message] | None
    """What it consists of; :obj:`None` for what is not worth being kept for slow clients."""
    recipients: Iterator[Recipient]
    """Who has not been written to yet."""
    is_reset: bool = False
    """Whether what follows does not go on where the last event was."""
    is_heartbeat: bool = False
    """Whether it is superfluous where something else is to be written."""


def framed(body: bytes, chunked: bool) -> bytes:
    """
    Return bytes as a server sends them: as a chunk of HTTP/1.1 (RFC 9112, 7.1), or as they are.

    """
    return b"%x\r\n%b\r\n" % (len(body), body) if chunked else body
