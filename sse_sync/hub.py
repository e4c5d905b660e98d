"""
One per process and broker: hands events to the subscribers of this process.

Theory of operation. A subscriber registers itself first and reads the history second, so that what
is published meanwhile waits in its mailbox; what it finds in both it drops by position. The
broker gives events one after another to :meth:`Hub.receive`, which only puts them into
mailboxes. Who subscribes to a channel that the process does not receive yet, makes the broker
subscribe; who comes at the same time waits for that. Leaving a channel costs nothing: channels
without subscribers are given back to the broker later, by whoever subscribes next.

"""

from __future__ import annotations

import json
import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from .brokers.base import Broker, History, Message, Position, check_channel
from .clock import Clock, monotonic
from .event import Dumps, ServerSentEvent
from .exceptions import BrokerUnavailable, ConfigurationError, EventError

__all__ = ["Hub", "HubStatistics", "Subscriber"]

logger = logging.getLogger("sse_sync")

# Channels without subscribers that are kept subscribed, so that a page's reload does not cost two
# round trips to the broker.
IDLE_CHANNELS = 256

# Bytes of an event. Each is kept by the broker and by every process, and a client's mailbox has
# room for as many by default.
MAX_EVENT = 1 << 20

# Seconds to wait for others who ask the broker.
PATIENCE = 3.0

# Seconds for which a publish may be tried again, well within the life of its token; and bounds of
# the pause between two attempts.
MAX_RETRY = 60.0
RETRY_PAUSES = (0.05, 2.0)


class Subscriber(Protocol):
    """
    Whom a hub gives events to. It never blocks.

    """

    def put(self, message: Message) -> None:
        """
        Take an event of one of its channels.

        """

    def interrupted(self) -> None:
        """
        Note that events may be missing from here on.

        """

    def degraded(self, problem: str | None) -> None:
        """
        Note that nothing arrives for now, or that it does again.

        """


@dataclass(frozen=True)
class HubStatistics:
    """
    Figures of one process and broker.

    """

    channels: int
    """Channels with subscribers."""
    subscriptions: int
    """Pairs of a subscriber and a channel."""
    published: int
    """Events that this process published."""
    received: int
    """Events of its channels that it received."""
    delivered: int
    """Events that were put into mailboxes."""
    interruptions: int
    """Times that events may have been missed, so that every client had to start anew."""
    problem: str | None
    """Why nothing arrives at the moment; :obj:`None` if all is well."""


class Hub:
    """
    Publish events, and hand them to subscribers.

    Its methods may be called from any thread or greenlet. As a context manager it closes itself.

    Args:
        broker: What keeps and carries events.
        clock: Tells the time.
        sleep: Waits, for so many seconds.

    """

    def __init__(
        self,
        broker: Broker,
        *,
        clock: Clock = monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._broker = broker
        self._clock = clock
        # Looked up here, not at import, so that gevent may have patched it.
        self._sleep = sleep or time.sleep
        self._subscribers: dict[str, dict[Subscriber, None]] = {}
        # Position since when the process receives a channel without a gap.
        self._received: dict[str, Position] = {}
        # Held while the broker is asked; never by who publishes, receives or leaves.
        self._asking = threading.Lock()
        # Held while the two dictionaries change; nothing blocks or calls out under it.
        self._lock = threading.Lock()
        self._latest: Position | None = None
        # Raised by every interruption: what was begun before is not to be believed after.
        self._generation = 0
        # Channels that somebody waits for; whoever asks the broker asks for all of them.
        self._wanted: set[str] = set()
        # Channels that had no subscribers when the broker last asked.
        self._idle: set[str] = set()
        self.problem: str | None = None
        """Why nothing arrives at the moment; :obj:`None` if all is well."""
        self._published = 0
        self._received_events = 0
        self._delivered = 0
        broker.start(self)

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def publish(
        self,
        channel: str,
        data: Any,
        *,
        event: str | None = None,
        key: str | None = None,
        meta: Mapping[str, Any] | None = None,
        token: str | None = None,
        retry_for: float = 0.0,
        dumps: Dumps = json.dumps,
    ) -> str:
        """
        Publish an event to every subscriber of a channel, in all processes of the broker.

        It is encoded here, once.

        Args:
            channel: Where to publish.
            data: Text, or a value to be sent as JSON.
            event: Event type.
            key: What the event is about, for filters and for :attr:`Overflow.LATEST`.
            meta: Anything that JSON can express, for filters; it is not sent.
            token: Names this publish, for callers that may repeat it, such as tasks: another
                one with the same token within ten minutes publishes nothing, and returns the
                id of the first.
            retry_for: Seconds, at most 60, for which to try again while the broker is
                unavailable. However many attempts it takes, the event is stored once. Each
                attempt may itself take a few seconds.
            dumps: Makes JSON of the data.

        Returns:
            The event's id.

        Raises:
            ConfigurationError: If the channel, the token or the time to retry is unusable.
            EventError: If the data or the event type cannot be sent, or is larger than 1 MiB as
                an event.
            BrokerUnavailable: If it is not certain that the event was stored.

        """
        check_channel(channel)
        if token is not None and not (isinstance(token, str) and 0 < len(token) <= 200):
            raise ConfigurationError("token", "must be text of 1 to 200 characters")
        if not 0 <= retry_for <= MAX_RETRY:
            raise ConfigurationError("retry_for", f"must be 0 to {MAX_RETRY:.0f} seconds")
        body = ServerSentEvent(data if data is not None else "", event=event).encode(dumps)
        if len(body) > MAX_EVENT:
            raise EventError(
                "data",
                f"makes an event of {len(body):,} bytes, and a channel takes {MAX_EVENT:,}:"
                " publish where it can be fetched",
            )
        if retry_for and token is None:
            token = secrets.token_hex(8)
        deadline = self._clock() + retry_for
        pause = RETRY_PAUSES[0]
        while True:
            try:
                position = self._broker.publish(
                    channel, body, event=event, key=key, meta=meta, token=token
                )
            except BrokerUnavailable:
                left = deadline - self._clock()
                if left <= 0:
                    raise
                self._sleep(min(left, pause * random.uniform(0.5, 1.5)))
                pause = min(2 * pause, RETRY_PAUSES[1])
            else:
                # Not under a lock: a figure, not worth one.
                self._published += 1
                return str(position)

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

    def position(self) -> Position:
        """
        Return the position of the latest event of any channel, as the broker knows it now.

        Raises:
            BrokerUnavailable: If it cannot be asked.

        """
        return self._broker.position()

    def history(self, channels: Sequence[str], after: Position) -> History:
        """
        Return what is still there of some channels after a position.

        Args:
            channels: Which channels.
            after: Where a client left.

        Raises:
            BrokerUnavailable: If that cannot be read now.

        """
        return self._broker.history(channels, after)

    def statistics(self) -> HubStatistics:
        """
        Return what goes through the hub.

        """
        counts = [len(subscribers) for subscribers in list(self._subscribers.values())]
        return HubStatistics(
            channels=sum(1 for count in counts if count),
            subscriptions=sum(counts),
            published=self._published,
            received=self._received_events,
            delivered=self._delivered,
            interruptions=self._generation,
            problem=self.problem,
        )

    def close(self) -> None:
        """
        Close the broker. Idempotent.

        """
        self._broker.close()

    # What the broker calls.

    def receive(self, messages: Iterable[Message]) -> None:
        """
        Put events into mailboxes.

        Args:
            messages: Events in the order of their positions.

        """
        for message in messages:
            self._latest = message.position
            self._received_events += 1
            subscribers = self._subscribers.get(message.channel)
            if subscribers:
                # A copy, because subscribers come and go meanwhile; list() of it is atomic.
                everybody = list(subscribers)
                self._delivered += len(everybody)
                for subscriber in everybody:
                    _guarded(subscriber.put, message)

    def interrupted(self) -> None:
        """
        Tell all subscribers that events may be missing.

        """
        with self._lock:
            self._latest = None
            self._generation += 1
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
            logger.warning("events arrive again")
        elif problem is not None and self.problem is None:
            logger.warning("no events arrive for now: %s", problem)
        changed = (problem is None) != (self.problem is None)
        self.problem = problem
        if changed:
            with self._lock:
                everybody = self._everybody()
            for subscriber in everybody:
                _guarded(subscriber.degraded, problem)

    def review(self) -> None:
        """
        Give back channels that had no subscribers the last time either.

        """
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
        if self._are_received(channels):
            return
        with self._lock:
            self._wanted.update(channels)
        if not self._asking.acquire(timeout=PATIENCE):
            raise BrokerUnavailable("the broker", "others wait for it, too")
        try:
            with self._lock:
                missing = [channel for channel in self._wanted if channel not in self._received]
                generation = self._generation
                self._wanted.clear()
            if not missing:
                return
            self._give_back_idle()
            since = self._broker.subscribe(missing)
            with self._lock:
                if generation == self._generation:
                    self._received.update(dict.fromkeys(missing, since))
        finally:
            self._asking.release()

    def _are_received(self, channels: Sequence[str]) -> bool:
        with self._lock:
            return all(channel in self._received for channel in channels)

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


def _guarded(function: Callable[..., object], *args: object) -> None:
    # One subscriber's mistake must not cost the others an event.
    try:
        function(*args)
    except Exception:
        logger.exception("a subscriber failed")
