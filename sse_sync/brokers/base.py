"""
The contract of brokers.

A broker gives every event a position. Positions are strictly increasing across all channels, so
that one last event ID resumes a subscription to any number of them. They carry an epoch: a store
that may have lost something starts a new one, and positions of different epochs cannot be
compared. So a client never resumes at a place that only looks like the one it left.

"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ..exceptions import ConfigurationError
from .presence import PresenceStore

__all__ = ["Broker", "History", "Message", "Position", "Receiver", "check_channel"]

TOKEN_AGE = 600.0
"""Seconds for which a publish is known by its token."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MAX_TEXT = 40  # Longer than any position that was ever given out.


class Position(NamedTuple):
    """
    A place in the history of a broker. As text it is an event ID.

    """

    epoch: str
    """Which history: short, ASCII letters and digits."""
    number: int
    """Which place in it: increasing."""

    def __str__(self) -> str:
        return f"{self.epoch}-{to_base36(self.number)}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """
        Return the position that an event ID stands for, or :obj:`None` if it is none.

        Args:
            text: What a client sent; anything.

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
    One event of a channel, encoded once by its publisher. Shared by all subscribers: not to be
    changed.

    """

    channel: str
    """Where it was published."""
    position: Position
    """Where it stands in the history."""
    body: bytes
    """The event as it is sent, without its id, which :attr:`position` is."""
    event: str | None = None
    """Event type, for filters."""
    key: str | None = None
    """What the event is about, for filters and for keeping the latest only."""
    meta: Mapping[str, Any] | None = None
    """Anything that JSON can express, for filters."""
    kept: bool = True
    """Whether the history has it."""
    _wire: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def wire(self) -> bytes:
        """
        The event as it is sent, made once for all subscribers.

        """
        wire = self._wire
        if wire is None:
            wire = self._wire = b"id: %s\n%s" % (str(self.position).encode(), self.body)
        return wire


class History(NamedTuple):
    """
    What a broker still has of some channels after a position.

    """

    messages: list[Message]
    """Events in the order of their positions."""
    complete: bool
    """Whether nothing can be missing between the position that was asked for and now, but what
    the receiver is still to be given."""


class Receiver(Protocol):
    """
    Whom a broker gives events to. It never blocks.

    """

    def receive(self, messages: Iterable[Message]) -> None:
        """
        Take events in the order of their positions, each once.

        Args:
            messages: Events of subscribed channels.

        """

    def interrupted(self) -> None:
        """
        Note that events may be missing from here on, because the history cannot tell.

        """

    def reached(self, position: Position) -> None:
        """
        Note that everything up to a position has been received, though nothing may have come.

        """

    def degraded(self, problem: str | None) -> None:
        """
        Note that nothing arrives for now, or that it does again.

        Args:
            problem: What is wrong; :obj:`None` if nothing is any more.

        """

    def review(self) -> None:
        """
        Give back channels that nobody wants any more. Called every few seconds by a broker for
        which a channel costs something, and not while it is asked to subscribe.

        """


class Broker(Protocol):
    """
    Keep events, and carry them between processes.

    All methods may be called from any thread or greenlet, and may block for a bounded time unless
    they say otherwise. After :meth:`close` every method raises :exc:`BrokerClosed`.

    """

    @property
    def presence(self) -> PresenceStore:
        """
        Who is there, in all processes of the broker.

        """

    def after_fork(self) -> None:
        """
        Begin anew in a child process, with nothing that is its parent's; :meth:`start` is called
        again.

        """

    def start(self, receiver: Receiver) -> None:
        """
        Begin to receive. Called once in a process.

        Args:
            receiver: Whom to give events to.

        """

    def publish(
        self,
        channel: str,
        body: bytes,
        *,
        event: str | None = None,
        key: str | None = None,
        meta: Mapping[str, Any] | None = None,
        token: str | None = None,
        keep: bool = True,
        token_age: float = TOKEN_AGE,
    ) -> Position:
        """
        Store an event and give it to every process that has subscribed to its channel.

        Args:
            channel: Where to publish.
            body: The event without its id, with the blank line that ends it.
            event: Event type.
            key: What the event is about.
            meta: Anything that JSON can express.
            token: Names this publish: another one with the same token stores nothing.
            keep: Whether the history has it; otherwise only those get it who receive it now.
            token_age: Seconds for which the token is known, whatever happens to the clock.

        Returns:
            The event's position, or that of the first with this token.

        Raises:
            BrokerUnavailable: If it is not certain that the event was stored.

        """

    def subscribe(self, channels: Sequence[str]) -> Position:
        """
        Receive the events of some channels from now on, too.

        Args:
            channels: AppHub that are not subscribed to yet.

        Returns:
            The position behind which nothing of these channels will be missed.

        Raises:
            BrokerUnavailable: If that cannot be promised now.

        """

    def unsubscribe(self, channels: Sequence[str]) -> None:
        """
        Receive the events of some channels no more. It never blocks and never raises.

        Args:
            channels: AppHub that are subscribed to.

        """

    def position(self) -> Position:
        """
        Return the position of the latest event of any channel.

        Raises:
            BrokerUnavailable: If that is not known now.

        """

    def history(
        self, channels: Sequence[str], after: Position, limit: int | None = None
    ) -> History:
        """
        Return what is still there of some channels after a position.

        Args:
            channels: Which channels.
            after: From where on; a position of another epoch or of the future makes the
                history incomplete.
            limit: Bytes of events after which it may stop; :obj:`None` for however many there are.
                If there are as many, there may be more behind the last one.

        Raises:
            BrokerUnavailable: If that cannot be read now.

        """

    def close(self) -> None:
        """
        Stop receiving, and release every connection. Idempotent.

        """


def check_channel(channel: object) -> None:
    """
    Refuse what cannot be a channel.

    Args:
        channel: What was given.

    Raises:
        ConfigurationError: If it is no text of 1 to 200 characters without control characters.

    """
    if not isinstance(channel, str):
        raise ConfigurationError("channel", f"must be text, not {type(channel).__name__}")
    if not 0 < len(channel) <= 200 or not channel.isprintable():
        raise ConfigurationError(
            "channel", f"must have 1 to 200 printable characters, not {channel[:80]!r}"
        )


def to_base36(number: int) -> str:
    """
    Return a number as short text that sorts like the number among texts of its length.

    Args:
        number: Not negative.

    Raises:
        ValueError: If it is negative.

    """
    if number < 0:
        raise ValueError(f"{number} is negative")  # Dividing it would never end.
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits
