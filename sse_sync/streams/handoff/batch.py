"""What a fan-out writes, and who receives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ...brokers.base import Message
from ...closing import End

__all__ = ["Batch", "Joined", "Recipient", "framed", "goodbye", "one_by_one"]


class Recipient(Protocol):
    """A connection, as its fan-out sees it. Only the reactor calls it, except for `end_with`."""

    def send(self, frame: bytes) -> int:
        """
        Write as many bytes as possible without blocking, and return how many.

        Raises:
            OSError: If none can be written.
        """

    def fell_behind(self, frame: bytes, sent: int) -> None:
        """Keep what could not be written."""

    def finish(self, number: int) -> None:
        """Write what is kept, and end, if the event of that number was new to it."""

    def passed_over(self, size: int) -> None:
        """Record that an event of so many bytes is not for it."""

    def say_goodbye(self) -> None:
        """End, now that everything from before its end has been written. See :func:`goodbye`."""

    def broke(self) -> None:
        """Record that nothing more can be written."""

    def end_with(self, end: End) -> None:
        """End soon. Anything may call it, and it never blocks."""


@dataclass(slots=True)
class Batch:
    """One write to every recipient."""

    frame: bytes
    """The bytes to write."""
    messages: list[Message] | None
    """The events in the frame; :obj:`None` for what a mailbox does not hold."""
    recipients: Iterator[Recipient]
    """The recipients still to be written to."""
    is_reset: bool = False
    """Whether there may be a gap before the events that follow."""
    is_heartbeat: bool = False
    """Whether it is superfluous if anything else is about to be written."""


class Joined(NamedTuple):
    """Where a connection has joined a fan-out."""

    number: int
    """Number of the position after which it receives everything."""
    events: int
    """Events that the fan-out sent before that."""
    bytes: int
    """Bytes that the fan-out sent before that."""


def framed(body: bytes, chunked: bool) -> bytes:
    """Return bytes as a server sends them: as an HTTP/1.1 chunk (RFC 9112, 7.1), or unchanged."""
    return b"%x\r\n%b\r\n" % (len(body), body) if chunked else body


def one_by_one(
    everybody: Mapping[Recipient, str | None], message: Message, size: int, *, is_last: bool
) -> Iterator[Recipient]:
    """
    Iterate over the recipients of one event that needs a look at each of them.

    Whoever writes asks for the next recipient when the last has been written to.

    Args:
        everybody: The recipients, each with the sender whose events it does not get.
        message: The event.
        size: Bytes that are written.
        is_last: Whether it is the last event of each recipient.
    """
    for recipient, own in everybody.items():
        if own is not None and own == message.sender:
            recipient.passed_over(size)
            continue
        yield recipient
        if is_last:
            try:
                recipient.finish(message.position.number)
            except Exception:
                recipient.broke()  # It cannot be watched. That must not cost the others the event.


def goodbye(recipient: Recipient) -> Iterator[Recipient]:
    """
    Iterate over nobody, and let a connection say goodbye when it is the turn of this batch.

    What was published before an end belongs to a stream, and what was published after it does not.

    Args:
        recipient: The connection.
    """
    try:
        recipient.say_goodbye()
    except Exception:
        recipient.broke()  # That must not cost the others what comes after it.
    yield from ()
