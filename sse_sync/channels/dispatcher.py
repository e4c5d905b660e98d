"""
Hands the events of a broker to the subscribers of this process.

Theory of operation. A subscriber registers itself first and reads the history second, so that what
is published meanwhile waits in its mailbox; what it finds in both it drops by position. The
broker gives events one after another to :meth:`Dispatcher.receive`, which only puts them into
mailboxes. Who subscribes to a channel that the process does not receive yet, makes the broker
subscribe; who comes at the same time waits for that. Leaving a channel costs nothing: channels
without subscribers are given back to the broker later, by whoever subscribes next.

"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from ..brokers.base import Broker, Message, Position
from ..event import ServerSentEvent
from ..exceptions import BrokerUnavailable

__all__ = ["Dispatcher", "Subscriber", "degraded_event"]

logger = logging.getLogger("sse_sync")

# Channels without subscribers that are kept subscribed, so that a page's reload does not cost two
# round trips to the broker.
IDLE_CHANNELS = 256

# Seconds to wait for others who ask the broker.
PATIENCE = 3.0

# Seconds to wait for an event that the broker has given out already.
DELIVERY_PATIENCE = 1.0


class Subscriber(Protocol):
    """Whom a hub gives events to. It never blocks."""

    @property
    def clients(self) -> int:
        """How many clients it stands for."""

    def put(self, message: Message) -> None:
        """Take an event of one of its channels."""

    def interrupted(self) -> None:
        """Record that events may be missing from here on."""

    def degraded(self, problem: str | None) -> None:
        """Record that nothing arrives for now, or that it does again."""


class Dispatcher:
    """
    Give events to subscribers: a broker's :class:`~sse_sync.brokers.Receiver`.

    Its methods may be called from any thread or greenlet.

    Args:
        broker: Where the events come from.
        on_review: Called when the broker asks for a review, which it does now and then.
        on_subscribed: Called with the channels of each new subscriber; must not block.

    """

    def __init__(
        self,
        broker: Broker,
        on_review: Callable[[], object],
        on_subscribed: Callable[[Sequence[str]], object],
    ) -> None:
        self._broker = broker
        self._on_review = on_review
        self._on_subscribed = on_subscribed
        self._subscribers: dict[str, dict[Subscriber, None]] = {}
        # Position since when the process receives a channel without a gap.
        self._received: dict[str, Position] = {}
        # Held while the broker is asked; never by who publishes, receives or leaves.
        self._asking = threading.Lock()
        # Held while the two dictionaries change; nothing blocks or calls out under it.
        self._lock = threading.Lock()
        self._latest: Position | None = None
        # Number up to which everything received has been given to all of its subscribers.
        self._given = 0
        # Channels that somebody waits for; whoever asks the broker asks for all of them.
        self._wanted: set[str] = set()
        # Channels that had no subscribers when the broker last asked.
        self._idle: set[str] = set()
        self.shared: dict[object, Subscriber] = {}
        """Subscribers that stand for several clients, by what these have in common."""
        self.problem: str | None = None
        """Why nothing arrives at the moment; :obj:`None` if all is well."""
        self.interruptions = 0
        """Times that events may have been missed. What was begun before one is not to be believed
        after it."""
        self.received = 0
        """Events of channels with subscribers that arrived."""
        self.delivered = 0
        """Events that were put into mailboxes."""

    def counts(self) -> list[int]:
        """Return how many clients each channel has that has any."""
        everybody = list(self._subscribers.values())
        counts = (sum(subscriber.clients for subscriber in list(some)) for some in everybody)
        return [count for count in counts if count]

    def add(self, subscriber: Subscriber, channels: Sequence[str]) -> Position:
        """
        Give a subscriber the events of some channels from now on.

        Args:
            subscriber: Whom.
            channels: Which channels.

        Returns:
            A position: the subscriber gets every event behind it.

        Raises:
            BrokerUnavailable: If that cannot be promised now.

        """
        with self._lock:
            for channel in channels:
                self._subscribers.setdefault(channel, {})[subscriber] = None
        try:
            here = None
            while here is None:
                self._receive_all(channels)
                here = self._newest(channels)
        except BaseException:
            self.remove(subscriber, channels)
            raise
        self._on_subscribed(channels)
        return here

    def remove(self, subscriber: Subscriber, channels: Sequence[str]) -> None:
        """
        Give a subscriber nothing any more. It never blocks, and is idempotent.

        Args:
            subscriber: Whom.
            channels: What was given to :meth:`add`.

        """
        for channel in channels:
            subscribers = self._subscribers.get(channel)
            if subscribers is not None:
                subscribers.pop(subscriber, None)

    def has_subscribers(self, channel: str) -> bool:
        """
        Return whether a channel has any clients.

        Args:
            channel: Which channel.

        """
        return any(subscriber.clients for subscriber in list(self._subscribers.get(channel, ())))

    def receives(self, channels: Sequence[str]) -> bool:
        """
        Return whether some channels are received already, so that :meth:`add` need not wait.

        Args:
            channels: Which channels.

        """
        with self._lock:
            return all(channel in self._received for channel in channels)

    def wait_until_given(self, number: int) -> bool:
        """
        Wait until everybody has been given whatever came up to a position. It takes no longer than
        one event does, unless somebody got the event from elsewhere before the process received it.

        Args:
            number: Number of the position.

        Returns:
            Whether that was in time.

        """
        deadline = time.monotonic() + DELIVERY_PATIENCE
        while self._given < number:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0005)
        return True

    # What the broker calls.

    def receive(self, messages: Iterable[Message]) -> None:
        """
        Put events into mailboxes.

        Args:
            messages: Events in the order of their positions.

        """
        for message in messages:
            self._latest = message.position
            self.received += 1
            subscribers = self._subscribers.get(message.channel)
            if subscribers:
                # A copy, because subscribers come and go meanwhile; list() of it is atomic.
                everybody = list(subscribers)
                self.delivered += len(everybody)
                for subscriber in everybody:
                    _guarded(subscriber.put, message)
            self._given = message.position.number

    def reached(self, position: Position) -> None:
        """Record that everything up to a position has been received."""
        with self._lock:
            latest = self._latest
            if latest is None or (latest.epoch == position.epoch and latest < position):
                self._latest = position
                self._given = position.number

    def interrupted(self) -> None:
        """Tell all subscribers that events may be missing."""
        with self._lock:
            self._latest = None
            self._given = 0
            self.interruptions += 1
            self._received.clear()
            everybody = self._everybody()
        for subscriber in everybody:
            _guarded(subscriber.interrupted)

    def degraded(self, problem: str | None) -> None:
        """
        Note that nothing arrives for now, or that it does again.

        Args:
            problem: What is wrong; :obj:`None` if nothing is any more.

        """
        if problem is None and self.problem is not None:
            logger.warning("events are arriving again")
        elif problem is not None and self.problem is None:
            logger.warning("no events are arriving, reconnecting: %s", problem)
        changed = (problem is None) != (self.problem is None)
        self.problem = problem
        if changed:
            with self._lock:
                everybody = self._everybody()
            for subscriber in everybody:
                _guarded(subscriber.degraded, problem)

    def review(self) -> None:
        """Give back channels that had no subscribers the last time either."""
        self._on_review()
        # Somebody who subscribes may wait for the broker, which waits for this.
        if not self._asking.acquire(blocking=False):
            return
        try:
            with self._lock:
                idle = set(self._without_subscribers())
                given_back = idle & self._idle
                self._idle = idle - given_back
                self._forget(given_back)
            if given_back:
                self._broker.unsubscribe(list(given_back))
        finally:
            self._asking.release()

    def _everybody(self) -> set[Subscriber]:
        # Copies, because subscribers leave without the lock.
        return {s for some in self._subscribers.values() for s in list(some)}

    def _receive_all(self, channels: Sequence[str]) -> None:
        if self.receives(channels):
            return
        with self._lock:
            self._wanted.update(channels)
        if not self._asking.acquire(timeout=PATIENCE):
            raise BrokerUnavailable("the broker", "timed out while others subscribed")
        try:
            with self._lock:
                # Others who waited may have given up. One's own are asked for in any case, or who
                # has been removed meanwhile would wait for ever.
                missing = [
                    channel
                    for channel in self._wanted.union(channels)
                    if channel not in self._received
                    and (channel in channels or self._subscribers.get(channel))
                ]
                generation = self.interruptions
                self._wanted.clear()
            if not missing:
                return
            self._give_back_idle()
            since = self._broker.subscribe(missing)
            with self._lock:
                if generation == self.interruptions:
                    self._received.update(dict.fromkeys(missing, since))
        finally:
            self._asking.release()

    def _give_back_idle(self) -> None:
        # Under _asking, so that the broker gets both requests in the order in which they are meant.
        with self._lock:
            if len(self._received) < IDLE_CHANNELS:
                return
            idle = self._without_subscribers()
            if len(idle) < IDLE_CHANNELS:
                return
            self._forget(idle)
        self._broker.unsubscribe(idle)

    def _without_subscribers(self) -> list[str]:
        return [c for c, subscribers in self._subscribers.items() if not subscribers]

    def _forget(self, idle: Iterable[str]) -> None:
        for channel in idle:
            del self._subscribers[channel]
            self._received.pop(channel, None)

    def _newest(self, channels: Sequence[str]) -> Position | None:
        # None after an interruption: then the broker has to be asked again.
        with self._lock:
            if not all(channel in self._received for channel in channels):
                return None
            since = [self._received[channel] for channel in channels]
            if self._latest is not None:
                since.append(self._latest)
        return max(since, key=lambda position: position.number)


def degraded_event(degraded: bool) -> bytes:
    """
    Return what a client is told when nothing can arrive, or when it can again.

    Without an id, so that the client's position stays. What is wrong is not its business.

    """
    text, comment = (
        ("true", "no events are arriving") if degraded else ("false", "events are arriving again")
    )
    return ServerSentEvent(text, event="stream-degraded", comment=comment).encode()


def _guarded(function: Callable[..., object], *args: object) -> None:
    # One subscriber's mistake must not cost the others an event.
    try:
        function(*args)
    except Exception:
        logger.exception("a subscriber failed; the others carry on")
