"""What a broker carries: events, with the positions that it gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..closing import CloseReason, End
from .retention import MARK

__all__ = ["COMMENT", "JOB_END", "TOKEN_AGE", "Message", "Position", "Publication", "to_base36"]

TOKEN_AGE = 600.0
"""Seconds for which a publish is remembered by its token."""

COMMENT = b":\n"
"""Body of a message that is no event."""

JOB_END = "job-end"
"""Type of the last message of a job's channel."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MAX_TEXT = 40  # Longer than any position.


class Position(NamedTuple):
    """A position in a broker's history. Its text is an event ID."""

    epoch: str
    """Identifies the history: a few ASCII letters and digits."""
    number: int
    """Microseconds since 1970, or one more than that of the event before."""

    def __str__(self) -> str:
        return f"{self.epoch}-{to_base36(self.number)}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """
        Return the position of an event ID, or :obj:`None` if it is not a position.

        Args:
            text: What a client sent, which can be anything.
        """
        epoch, dash, number = text.partition("-")
        if not dash or len(text) > _MAX_TEXT or not (epoch.isascii() and epoch.isalnum()):
            return None
        if not number.isascii() or not number.isalnum() or number != number.lower():
            return None
        return cls(epoch, int(number, 36))


@dataclass(eq=True, slots=True)
class Message:
    """
    One event of a channel, encoded once by its publisher. All subscribers share it, so it must not
    be changed.
    """

    channel: str
    """The channel it was published to."""
    position: Position
    """Its position in the history."""
    body: bytes
    """The event as sent, without its id, which is :attr:`position`."""
    event: str | None = None
    """Event type, for filters."""
    key: str | None = None
    """The event's subject, for filters and for keeping only the latest."""
    meta: Mapping[str, Any] | None = None
    """Any JSON value, for filters."""
    kept: bool = True
    """Whether it is stored in the history."""
    sender: str | None = None
    """The name of the stream that does not get it."""
    _wire: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def wire(self) -> bytes:
        """The event as sent, built once for all subscribers."""
        wire = self._wire
        if wire is None:
            # A comment has no id: it would be an event to some clients.
            head = b"" if self.body == COMMENT else b"id: %s\n" % str(self.position).encode()
            wire = self._wire = head + self.body
        return wire

    @property
    def end(self) -> End | None:
        """How a job has ended, if this says so: then it is the last of its output."""
        if self.event != JOB_END or self.channel[0] != MARK:
            return None
        meta = self.meta or {}
        reason = CloseReason(meta.get("outcome"))
        return End(reason, final=True, message=meta.get("message", ""), of_job=True)


@dataclass(frozen=True, slots=True)
class Publication:
    """An event that is to be published."""

    channel: str
    """The channel to publish to."""
    body: bytes
    """The event without its id, with the blank line that ends it."""
    event: str | None = None
    """Event type."""
    key: str | None = None
    """The event's subject."""
    meta: Mapping[str, Any] | None = None
    """Any JSON value."""
    token: str | None = None
    """Identifies this publish: another one with the same token stores nothing."""
    keep: bool = True
    """Whether to store it in the history; otherwise only current subscribers get it."""
    token_age: float = TOKEN_AGE
    """Seconds for which the token is remembered, even if the clock is set."""
    sender: str | None = None
    """The name of the stream that does not get it."""


def to_base36(number: int) -> str:
    """
    Return a number as short text; texts of the same length sort like their numbers.

    Args:
        number: A non-negative number.

    Raises:
        ValueError: If it is negative.
    """
    if number < 0:
        raise ValueError(f"{number} is negative")  # The loop would never end.
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits
