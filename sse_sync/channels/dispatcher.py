"""
Hand a broker's events to the subscribers of this process.

Theory of operation. A subscriber registers first and reads the history second, so that events
published meanwhile wait in its mailbox; it drops by position what it finds in both. The broker
passes events one after another to :meth:`Dispatcher.receive`, which only puts them into mailboxes.
The first subscriber of a channel makes the broker subscribe; others who come meanwhile wait for
that. Leaving a channel costs nothing: :meth:`Dispatcher.review`, which the broker calls every few
seconds, unsubscribes channels that stay without subscribers. A new subscription does so, too, if
there are many of them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..brokers.base import Broker, Message, Position
from ..event import ServerSentEvent
from ..exceptions import BrokerUnavailable

__all__ = ["Dispatcher", "Subscriber", "degraded_event"]

logger = logging.getLogger("sse_sync")

# How many channels without subscribers a new subscription leaves subscribed, so that reloading a
# page does not cost two round trips to the broker.
IDLE_CHANNELS = 256

# Seconds to wait while others ask the broker.
PATIENCE = 3.0

# Seconds to wait for an event that the broker has already delivered elsewhere.
DELIVERY_PATIENCE = 1.0


class Subscriber(Protocol):
    """A receiver of channel events. Its methods never block."""

    @property
    def clients(self) -> int:
        """How many clients it represents."""

    def put(self, message: Message) -> None:
        """Accept an event of one of its channels."""

    def interrupted(self) -> None:
        """Record that events may be missing from now on."""

    def degraded(self, problem: str | None) -> None:
        """Record why no events can arrive; :obj:`None` once they can again."""


@dataclass(slots=True)
class Figures:
    """What went through a dispatcher."""

    received: int = 0
    """Events received from the broker."""
    delivered: int = 0
    """Deliveries of events to clients."""


class Dispatcher:
    """
    Deliver events to subscribers: a broker's :class:`~sse_sync.brokers.base.Receiver`.

    Any thread or greenlet may call its methods.

    Args:
        broker: The broker that the events come from.
        on_review: Called at each :meth:`review`.
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
        # The position from which on the process receives each channel without a gap.
        self._received: dict[str, Position] = {}
        # Held while the broker is asked. Publishing, receiving and leaving never wait for it.
        self._asking = threading.Lock()
        # Guards the two dictionaries, though subscribers leave without it. Nothing blocks or calls
        # out under it.
        self._lock = threading.Lock()
        self._latest: Position | None = None
        # Number up to which everything received has been delivered to its subscribers.
        self._given = 0
        # Channels that subscribers wait for; the next request to the broker covers all of them.
        self._wanted: set[str] = set()
        # Channels that had no subscribers at the last review.
        self._idle: set[str] = set()
        self.shared: dict[object, Subscriber] = {}
        """Subscribers that represent several clients, by what these have in common."""
        self.problem: str | None = None
        """Why no events can arrive; :obj:`None` if they can."""
        self.interruptions = 0
        """How often events may have been missed. Work that began before an interruption is invalid
        after it."""
        self.figures = Figures()
        """What went through it."""

    def counts(self) -> list[int]:
        """Return the number of clients of each channel that has any."""
        everybody = list(self._subscribers.values())
        counts = (sum(subscriber.clients for subscriber in list(some)) for some in everybody)
        return [count for count in counts if count]

    def add(self, subscriber: Subscriber, channels: Sequence[str]) -> Position:
        """
        Deliver the events of some channels to a subscriber from now on. It may block.

        Args:
            subscriber: The subscriber.
            channels: Names of channels.

        Returns:
            The position after which the subscriber receives every event.

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
        Stop delivering events to a subscriber. It never blocks. Idempotent.

        Args:
            subscriber: The subscriber.
            channels: The channels passed to :meth:`add`.
        """
        for channel in channels:
            subscribers = self._subscribers.get(channel)
            if subscribers is not None:
                subscribers.pop(subscriber, None)

    def has_subscribers(self, channel: str) -> bool:
        """
        Return whether a channel has any clients.

        Args:
            channel: Name of a channel.
        """
        return any(subscriber.clients for subscriber in list(self._subscribers.get(channel, ())))

    def receives(self, channels: Sequence[str]) -> bool:
        """
        Return whether the process already receives all of some channels, so that :meth:`add` need
        not wait.

        Args:
            channels: Names of channels.
        """
        with self._lock:
            return all(channel in self._received for channel in channels)

    def wait_until_given(self, number: int) -> bool:
        """
        Wait until every event up to a position has been delivered. It takes no longer than one
        delivery, unless the caller knows of an event that this process has not received yet.

        Args:
            number: Number of the position.

        Returns:
            Whether that happened in time.
        """
        deadline, interruptions = time.monotonic() + DELIVERY_PATIENCE, self.interruptions
        while self._given < number:
            if time.monotonic() > deadline or self.interruptions != interruptions:
                return False
            time.sleep(0.0005)
        return True

    # What the broker calls.

    def receive(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._latest = message.position
            self.figures.received += 1
            self.deliver(message)
            self._given = message.position.number

    def deliver(self, message: Message) -> None:
        """
        Deliver a message to the channel's subscribers of this process. It never blocks.

        Args:
            message: The message, which need not come from the broker.
        """
        subscribers = self._subscribers.get(message.channel)
        if subscribers:
            # A copy, because subscribers come and go meanwhile; list() copies atomically.
            everybody = list(subscribers)
            self.figures.delivered += len(everybody)
            for subscriber in everybody:
                _guarded(subscriber.put, message)

    def reached(self, position: Position) -> None:
        with self._lock:
            latest = self._latest
            if latest is None or (latest.epoch == position.epoch and latest < position):
                self._latest = position
                self._given = position.number

    def interrupted(self) -> None:
        with self._lock:
            self._latest = None
            self._given = 0
            self.interruptions += 1
            self._received.clear()
            everybody = self._everybody()
        for subscriber in everybody:
            _guarded(subscriber.interrupted)

    def degraded(self, problem: str | None) -> None:
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
        """Unsubscribe from channels that had no subscribers at the last review either."""
        self._on_review()
        # A thread that subscribes may be waiting for the broker, which waits for this.
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
            if self.receives(channels):
                return  # Of hundreds who wait for the lock, one has asked for all.
            raise BrokerUnavailable("the broker", "timed out while others subscribed")
        try:
            with self._lock:
                # Others who waited may have given up. Always ask for the caller's own channels:
                # if its subscriber has been removed meanwhile, it would wait for ever.
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
        # Under _asking, so that the broker gets both requests in the intended order.
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
        # None after an interruption, because the broker must then be asked again.
        with self._lock:
            if not all(channel in self._received for channel in channels):
                return None
            since = [self._received[channel] for channel in channels]
            if self._latest is not None:
                since.append(self._latest)
        return max(since, key=lambda position: position.number)


def degraded_event(degraded: bool) -> bytes:
    """
    Return the event that tells clients that no events can arrive, or that they can again.

    It has no id, so that the client's position stays. The problem itself is not the client's
    business.
    """
    text, comment = (
        ("true", "no events are arriving") if degraded else ("false", "events are arriving again")
    )
    return ServerSentEvent(text, event="stream-degraded", comment=comment).encode()


def _guarded(function: Callable[..., object], *args: object) -> None:
    # One subscriber's error must not cost the others an event.
    try:
        function(*args)
    except Exception:
        logger.exception("a subscriber failed; the others carry on")
