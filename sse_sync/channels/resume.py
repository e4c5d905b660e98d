"""
Where a subscriber starts, what it skips, and whether it resumes or resets.

The one algorithm for everybody who reads channels: a stream, a fan-out, :func:`~sse_sync.listen`.
A subscriber registers first and reads the history second, so that an event that is published
meanwhile is in one of them or in both; it skips by position what it has seen. Where the history no
longer reaches back, or its epoch is another, something may be missing, and the subscriber starts
anew at the present position, which its clients are told.

"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..brokers.base import Message, Position
from .dispatcher import Subscriber
from .hub import Hub

__all__ = ["ChannelReader"]


class ChannelReader:
    """
    One subscriber's place in the history of its channels.

    It locks nothing: :meth:`start` and :meth:`read` may block and are called by one party at a
    time; :meth:`follow` is called under whatever protects the subscriber's events.

    Args:
        hub: Where the channels are.
        channels: Which channels.
        subscriber: Who gets their events.

    """

    __slots__ = ("_channels", "_generation", "_hub", "_start", "_subscriber", "has_missed", "seen")

    def __init__(self, hub: Hub, channels: Sequence[str], subscriber: Subscriber) -> None:
        self._hub = hub
        self._channels = channels
        self._subscriber = subscriber
        # How often the process had been interrupted when it started, and where that was.
        self._generation = -1
        self._start = Position("", 0)
        self.seen = self._start
        """Up to where everything has been passed on."""
        self.has_missed = False
        """Whether events may be missing after that, so that it has to start again."""

    @property
    def is_current(self) -> bool:
        """Whether nothing can be missing, not even what the subscriber will soon be told of."""
        return not self.has_missed and self._generation == self._hub.dispatcher.interruptions

    def start(self) -> Position:
        """
        Register the subscriber, also once more after an interruption. It may block.

        Returns:
            Where its channels are: whatever comes later is given to the subscriber. What it has
            :attr:`seen` is as before.

        Raises:
            BrokerUnavailable: If that cannot be promised now.

        """
        self.has_missed = False
        self._generation = self._hub.dispatcher.interruptions
        self._start = self._hub.dispatcher.add(self._subscriber, self._channels)
        return self._start

    def stop(self) -> None:
        """Unregister the subscriber. It never blocks. Idempotent."""
        self._hub.dispatcher.remove(self._subscriber, self._channels)

    def read(self, after: Position, limit: int | None = None) -> list[Message] | None:
        """
        Return what came after a position, to be followed; :obj:`None` if something may be missing,
        so that the subscriber has to start anew. It may block.

        Args:
            after: Where it left.
            limit: Bytes of events after which it may stop.

        Raises:
            BrokerUnavailable: If that cannot be read now.

        """
        history = self._hub.history(self._channels, after, limit)
        return history.messages if history.complete else None

    def caught_up(self) -> None:
        """Record that all of the history was followed, so that it has seen what was there then."""
        if self._start.epoch == self.seen.epoch:
            self.seen = max(self.seen, self._start)

    def present(self) -> Position:
        """
        Return where to start anew, for a client whose own position is of no use. It may block.

        The broker is asked: if its store has begun another epoch, the process may not know yet.

        Raises:
            BrokerUnavailable: If it cannot be asked.

        """
        return self._hub.position()

    def follow(self, messages: Iterable[Message]) -> list[Message]:
        """
        Move on, and return what of the events is new.

        Of another epoch nothing is: the interruption that precedes it has not been reported yet,
        and clients must not get a position after it before that.

        Args:
            messages: Events in the order of their positions.

        """
        seen, new = self.seen, []
        for message in messages:
            position = message.position
            if position.number > seen.number:
                if position.epoch != seen.epoch:
                    self.has_missed = True
                    break
                seen = position
                new.append(message)
        self.seen = seen
        return new
