"""
Where a subscriber starts, what it skips, and whether it resumes or resets.

This is the only algorithm for reading channels: a stream, a fan-out and :func:`~sse_sync.listen`
use it. A subscriber registers first and reads the history second, so that an event published
meanwhile is in one or in both; it skips by position what it has already seen. If the history does
not reach back far enough, or has another epoch, something may be missing. The subscriber then
starts anew at the present position, and its clients get a ``stream-reset``.

The client's last event ID is read in :mod:`sse_sync.request`. What a client is told is up to its
:class:`~sse_sync.channels.subscription.ChannelFeed` or
:class:`~sse_sync.streams.handoff.fanout.Fanout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from ..brokers.base import Message, Position
from ..event import ServerSentEvent
from .dispatcher import Subscriber
from .hub import Hub
from .selection import ANYTHING, Chosen, Selection, matches

__all__ = ["POSITION", "ChannelReader"]

POSITION = "stream-position"
"""Event type that tells a client its position."""

# Microseconds without an event for a client, after which the next one that is for others tells it
# its position. It stays well within any history that outlives a reconnection, and costs no write
# more than the heartbeat, whose place it takes.
TELL_EVERY = 15_000_000


class ChannelReader:
    """
    One subscriber's place in the history of its channels.

    It holds no lock. :meth:`start` and :meth:`read` may block, and only one caller at a time may
    use them. Call :meth:`follow` under the lock, if any, that protects the subscriber's events.

    Args:
        hub: The hub of the channels.
        channels: Names of channels.
        selection: Which of their events are wanted.
        accepts: Tells which of these are wanted; :obj:`None` for all. It is the application's, so
            that only :meth:`beginning` and what :meth:`follow` returns may call it.
        tells: Whether the client is told its position now and then, while there are events and none
            is for it. Otherwise its last event ID would be dropped from the history, and it would
            be reset when it comes back, although it has missed nothing.
    """

    # Not the subscriber, which holds its reader: neither could be freed without the collector.
    __slots__ = (
        *("_accepts", "_channels", "_chosen", "_floors", "_generation", "_hub", "_looks"),
        *("_selection", "_start", "_tells", "_told", "has_missed", "seen"),
    )

    def __init__(
        self,
        hub: Hub,
        channels: Sequence[str],
        selection: Selection = ANYTHING,
        accepts: Callable[[Message], bool] | None = None,
        *,
        tells: bool = False,
    ) -> None:
        self._hub = hub
        self._channels = channels
        self._selection = selection
        self._accepts = accepts
        self._tells = tells
        # Number of the position that the client was told last; 0 before the first event.
        self._told = 0
        # While a new client is sent the history: the channels that it has had nothing of, see
        # Broker.history(); and the events chosen.
        self._floors: dict[str, int] = {}
        self._chosen: Chosen | None = None
        self._looks = self._selects
        # How often the process had been interrupted when this started, and the position then.
        self._generation = -1
        self._start = Position("", 0)
        self.seen = self._start
        """The position up to which everything has been passed on."""
        self.has_missed = False
        """Whether events may be missing after that, so that it must start again."""

    @property
    def _selects(self) -> bool:
        # Whether new events have to be looked at one by one.
        return bool(self._selection.match or self._selection.sender or self._accepts)

    @property
    def is_current(self) -> bool:
        """Whether nothing can be missing, not even by an interruption not reported to it yet."""
        return not self.has_missed and self._generation == self._hub.dispatcher.interruptions

    def start(self, subscriber: Subscriber) -> Position:
        """
        Register the subscriber, or register it again after an interruption. It may block.

        Args:
            subscriber: Receives the channels' events.

        Returns:
            The position after which the subscriber receives every event. :attr:`seen` stays as it
            was.

        Raises:
            BrokerUnavailable: If that cannot be promised now.
        """
        self.has_missed = False
        self._generation = self._hub.dispatcher.interruptions
        here = self._hub.dispatcher.add(subscriber, self._channels)
        # This process may have yet to receive what was published before a member joined.
        first = self._selection.not_before
        self._start = here if first is None or first.epoch != here.epoch else max(here, first)
        return self._start

    def stop(self, subscriber: Subscriber) -> None:
        """Unregister the subscriber. It never blocks. Idempotent."""
        self._hub.dispatcher.remove(subscriber, self._channels)

    def bounded(self, position: Position) -> Position:
        """
        Return a client's position, or the later one before which it must not get anything.

        Numbers are compared even if the epochs differ: a store that has begun another may have kept
        events of the earlier one, with their numbers.
        """
        first = self._selection.not_before
        if first is None or first.number <= position.number:
            return position
        return position._replace(number=first.number)

    def beginning(self, limit: int) -> Position | None:
        """
        Return the position after which a new client is sent what it is to get of the history, or
        :obj:`None` if that has just been lost. It may block.

        Args:
            limit: Bytes of events to read at once, where the history has to be read for this.

        Raises:
            BrokerUnavailable: If the history cannot be read now.
        """
        replay, match, accepts = self._selection.replay, self._selection.match, self._accepts
        count = replay if isinstance(replay, int) else None
        is_counted_here = accepts is not None or bool(match)
        begins, floors = self._hub.beginning(self._channels, None if is_counted_here else count)
        begins, self._floors, self._looks = self.bounded(begins), dict(floors), True
        if replay == "all" or (count is not None and not is_counted_here):
            return begins

        def counts(message: Message) -> bool:
            return matches(match, message.meta) and (accepts is None or accepts(message))

        chosen = Chosen(count)
        first = chosen.choose(lambda after: self.read(after, limit), counts, begins, limit)
        self._chosen = chosen
        return first

    def opening(self, after: Position, messages: Sequence[Message]) -> Position:
        """
        Return what a new client is told as its position: that before the first event it is sent. So
        it can come back with it, even if earlier events have been dropped since it began.

        Args:
            after: The position after which the history was read for it.
            messages: What was read.
        """
        if not self._floors or not messages:
            return after
        return after._replace(number=messages[0].position.number - 1)

    def read(self, after: Position, limit: int | None = None) -> list[Message] | None:
        """
        Return the events after a position, for :meth:`follow`; :obj:`None` if something may be
        missing, so that the subscriber must start anew. It may block.

        Args:
            after: The position.
            limit: Bytes of events after which it may stop.

        Raises:
            BrokerUnavailable: If the history cannot be read now.
        """
        history = self._hub.history(self._channels, after, limit, self._floors)
        return history.messages if history.complete else None

    def caught_up(self) -> None:
        """Record that all of the history up to the start has been followed."""
        if self._start.epoch == self.seen.epoch:
            self.seen = max(self.seen, self._start)
        self._floors, self._chosen = {}, None
        self._looks = self._selects

    def present(self) -> Position:
        """
        Return where to start anew, for a client whose own position is useless. It may block.

        This asks the broker: if its store has begun another epoch, the process may not know yet.

        Raises:
            BrokerUnavailable: If the broker cannot be reached.
        """
        return self._hub.position()

    def follow(self, messages: Sequence[Message]) -> Iterable[Message]:
        """
        Advance :attr:`seen`, and return the events that are new and wanted, and the client's
        position where it has to be told. What it returns has to be gone through at once.

        It stops at an event of another epoch: the interruption before that event has not been
        reported yet, and until then clients must not get a later position.

        Args:
            messages: Events, ordered by position.
        """
        seen = self.seen
        if len(messages) == 1 and messages[0].position.epoch == seen.epoch:
            # By far the most frequent case.
            position = messages[0].position
            if position.number <= seen.number:
                return []
            self.seen = position
            return self._wanted(messages, seen) if self._looks else messages
        new = []
        for message in messages:
            position = message.position
            if position.number > seen.number:
                if position.epoch != seen.epoch:
                    self.has_missed = True
                    break
                seen = position
                new.append(message)
        before, self.seen = self.seen, seen
        return self._wanted(new, before) if self._looks else new

    def wants(self, message: Message) -> bool:
        """Return whether a new event is among those that are selected."""
        selection = self._selection
        if selection.match and not matches(selection.match, message.meta):
            return False
        if message.sender is not None and message.sender == selection.sender:
            return False
        if self._chosen is not None and message not in self._chosen:
            return False
        return self._accepts is None or self._accepts(message)

    def _wanted(self, messages: Sequence[Message], before: Position) -> Iterator[Message]:
        if self._floors:
            for message in messages:
                self._floors.pop(message.channel, None)
        self._told = self._told or before.number
        return self._one_by_one(messages)

    def _one_by_one(self, messages: Sequence[Message]) -> Iterator[Message]:
        for message in messages:
            if self.wants(message):
                self._told = message.position.number
                yield message
        if messages and self._tells and self._chosen is None:
            last = messages[-1]
            if last.position.number - self._told >= TELL_EVERY:
                self._told = last.position.number
                yield Message(last.channel, last.position, _TELLING, POSITION, kept=False)


# With data, because Firefox and WebKit do not commit the id of an event without.
_TELLING = ServerSentEvent("", event=POSITION).encode()
