"""
The contract of brokers.

A broker gives every event a position. Positions increase strictly across all channels, so that one
last event ID resumes a subscription to any number of channels. They carry an epoch: a store that
may have lost events starts a new one, and positions of different epochs cannot be compared. So a
client never resumes at a position that only looks like its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..exceptions import ConfigurationError
from .messages import TOKEN_AGE, Message, Position, Publication, to_base36
from .presence import PresenceStore

if TYPE_CHECKING:
    from .jobs import JobStore

__all__ = ["Beginning", "Broker", "History", "Message", "Position", "Publication", "Receiver"]
__all__ += ["NO_FLOORS", "TOKEN_AGE", "check_channel", "starts", "to_base36"]

NO_FLOORS: Mapping[str, int] = MappingProxyType({})
"""For a client that has had events of all of its channels, or knows its position in them."""


class Beginning(NamedTuple):
    """Where the latest events begin that a broker has of some channels."""

    position: Position
    """The position before the first of these events; if there are none, the latest position."""
    floors: Mapping[str, int]
    """For each channel, the number up to which its events are not wanted, for
    :meth:`Broker.history`."""


class History(NamedTuple):
    """The events of some channels after a position that the broker still has."""

    messages: list[Message]
    """Events, ordered by position."""
    complete: bool
    """Whether nothing is missing between the given position and now, apart from events that are
    still being delivered."""


class Receiver(Protocol):
    """Takes a broker's events. Its methods never block."""

    def receive(self, messages: Iterable[Message]) -> None:
        """
        Take events, ordered by position, each once.

        Args:
            messages: Events of subscribed channels.
        """

    def interrupted(self) -> None:
        """Record that events may be missing, because the history does not go back far enough."""

    def reached(self, position: Position) -> None:
        """Record that everything up to a position has been received, even if there was no event."""

    def degraded(self, problem: str | None) -> None:
        """
        Record that no events can arrive, or that they can again.

        Args:
            problem: What is wrong; :obj:`None` once it is over.
        """

    def review(self) -> None:
        """
        Unsubscribe from channels that nobody wants any more. A broker for which a channel costs
        something calls this every few seconds, but not during :meth:`Broker.subscribe`.
        """


class Broker(Protocol):
    """
    Store events, and carry them between processes.

    All methods may be called from any thread or greenlet, and may block for a bounded time unless
    stated otherwise. After :meth:`close` every method raises :exc:`BrokerClosed`.
    """

    @property
    def presence(self) -> PresenceStore:
        """The presence store, for all processes of the broker."""

    @property
    def jobs(self) -> JobStore:
        """The job store, for all processes of the broker."""

    def after_fork(self) -> None:
        """
        Start afresh in a child process, without anything of its parent's. :meth:`start` is called
        again.
        """

    def start(self, receiver: Receiver) -> None:
        """
        Begin to receive. Called once per process.

        Args:
            receiver: Takes the events.
        """

    def publish(self, publication: Publication) -> Position:
        """
        Store an event and deliver it to every process that has subscribed to its channel.

        Args:
            publication: The event.

        Returns:
            The event's position, or that of the first event with this token.

        Raises:
            BrokerUnavailable: If it is not certain that the event was stored.
        """

    def subscribe(self, channels: Sequence[str]) -> Position:
        """
        Also receive the events of these channels from now on.

        Args:
            channels: Channels that are not subscribed to yet.

        Returns:
            The position after which no event of these channels will be missed.

        Raises:
            BrokerUnavailable: If the broker cannot promise that now.
        """

    def unsubscribe(self, channels: Sequence[str]) -> None:
        """
        Stop receiving the events of these channels. It never blocks and never raises.

        Args:
            channels: Channels that are subscribed to.
        """

    def position(self) -> Position:
        """
        Return the position of the latest event of any channel.

        Raises:
            BrokerUnavailable: If it cannot be determined now.
        """

    def beginning(self, channels: Sequence[str], events: int | None) -> Beginning:
        """
        Return where the latest stored events of some channels begin, for a client that has none.

        They may be dropped at any moment; :meth:`history` returns what is left of them then.

        Args:
            channels: The channels.
            events: How many events, of all channels together; :obj:`None` for all that are stored
                and not too old.

        Raises:
            BrokerUnavailable: If it cannot be determined now.
        """

    def history(
        self,
        channels: Sequence[str],
        after: Position,
        limit: int | None = None,
        floors: Mapping[str, int] = NO_FLOORS,
    ) -> History:
        """
        Return the events of some channels after a position that are still stored.

        What it returns of a channel has no gap, even if the channel drops events while they are
        read: the history is then incomplete, or it lacks all earlier ones of a channel in
        ``floors``.

        Args:
            channels: The channels.
            after: The position; one of another epoch or of the future makes the history
                incomplete.
            limit: Bytes of events after which it may stop; :obj:`None` for no limit. If it returns
                that many, there may be more events after the last one.
            floors: Channels of which the client has had nothing yet, and for each the number up to
                which its events are not wanted. Nothing is missing that these have dropped: of them
                the client gets what is stored when they are read.

        Raises:
            BrokerUnavailable: If the history cannot be read now.
        """

    def close(self) -> None:
        """Stop receiving, and release every connection. Idempotent."""


def check_channel(channel: object) -> None:
    """
    Refuse a value that cannot be a channel name.

    Args:
        channel: The value.

    Raises:
        ConfigurationError: If it is not text of 1 to 200 printable characters.
    """
    if not isinstance(channel, str):
        raise ConfigurationError("channel", _not_text(channel))
    if not 0 < len(channel) <= 200 or not channel.isprintable():
        raise ConfigurationError(
            "channel", f"must have 1 to 200 printable characters, not {channel[:80]!r}"
        )


def _not_text(channel: object) -> str:
    problem = f"must be text, not {type(channel).__name__} {repr(channel)[:80]}"
    if isinstance(channel, (list, tuple, set, frozenset)):
        return f"{problem}: pass several channels one by one, as in subscribe(*channels)"
    if isinstance(channel, Mapping):
        return f"{problem}: the channel comes first, as in publish(channel, data)"
    return problem


def starts(channels: Iterable[str], after: Position, floors: Mapping[str, int]) -> dict[str, int]:
    """
    Return the number after which each channel's events are wanted.

    Args:
        channels: The channels.
        after: The position after which all are wanted.
        floors: See :meth:`Broker.history`.
    """
    return {channel: max(after.number, floors.get(channel, 0)) for channel in channels}
