"""The hub, one per process and broker: what applications and streams talk to."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

from ..brokers.base import NO_FLOORS, TOKEN_AGE, Beginning, Broker, History, Position, Publication
from ..brokers.presence import Present
from ..exceptions import BrokerUnavailable
from ..jsonable import Dumps
from ..runtime.process import Clock, after_fork, monotonic
from .dispatcher import Dispatcher
from .presence import user_channel
from .publishing import PublishOptions, channel_first, make_publication
from .schedule import Schedule, ScheduledPublisher
from .users import UserStreams

if TYPE_CHECKING:
    from typing_extensions import Unpack

Result = TypeVar("Result")

__all__ = ["Hub", "HubStatistics"]

logger = logging.getLogger("sse_sync")

# Seconds; bounds of the pause between two attempts to publish.
RETRY_PAUSES = (0.05, 2.0)


@dataclass(frozen=True)
class HubStatistics:
    """Figures about one process and broker."""

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
    """How often events may have been missed, so that clients had to resume or start afresh."""
    problem: str | None
    """Why no events arrive at the moment; :obj:`None` if all is well."""


class Part(Protocol):
    """What another part of the package keeps of a hub's process and broker."""

    def close(self) -> None:
        """End what it does. Called once the broker is closed; it never blocks."""


class Hub:
    """
    Publish events, and deliver them to this process's subscribers.

    Its methods may be called from any thread or greenlet. As a context manager it closes itself.
    In a forked child it starts afresh, with connections of its own and no subscribers.

    Args:
        broker: Stores events, and carries them between processes.
        clock: Tells the time.
        sleep: Sleeps for the given number of seconds.
        schedule: What to publish at intervals.
        within: Returns the context in which to call the application's functions.
        dumps: Encodes their results as JSON.
        now: Tells the time of day, in seconds since the epoch.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        clock: Clock = monotonic,
        sleep: Callable[[float], object] | None = None,
        schedule: Schedule | None = None,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
        dumps: Dumps = json.dumps,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._schedule = schedule or Schedule()
        self._within = within
        self._dumps = dumps
        self._now = now
        # Looked up here, not at import, so that gevent may have patched it.
        self._sleep = sleep or time.sleep
        self._begin()
        _hubs.add(self)

    def _begin(self) -> None:
        self._published = 0
        self.parts: dict[type, Part] = {}
        """What other parts of the package keep of this process and broker, by its class."""
        self.dispatcher = Dispatcher(self._broker, self._review, self._subscribed)
        """Delivers events to subscribers."""
        self.users = UserStreams(
            self.dispatcher, self._broker, clock=self._clock, sleep=self._sleep
        )
        """Whose streams this process has, and who is present."""
        self._scheduled = ScheduledPublisher(
            self._schedule,
            self._publish,
            self.dispatcher.has_subscribers,
            within=self._within,
            dumps=self._dumps,
            now=self._now,
        )
        self._broker.start(self.dispatcher)

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @channel_first
    def publish(
        self,
        channel: str,
        data: Any,
        *,
        dumps: Dumps = json.dumps,
        **options: Unpack[PublishOptions],
    ) -> str:
        """
        Publish an event to every subscriber of a channel, in all processes of the broker.

        Args:
            channel: The channel to publish to.
            data: Text, or a value to be sent as JSON.
            dumps: Encodes the data as JSON.
            options: ``event``, ``key``, ``meta``, ``token``, ``retry_for``, ``keep`` and
                ``sender``; see :class:`PublishOptions`.

        Returns:
            The event's id.

        Raises:
            TypeError: If a keyword is unknown.
            ConfigurationError: If the channel, the token or the time to retry is unusable.
            EventError: If the data, the event type or the meta cannot be sent, or are larger
                than 1 MiB together.
            BrokerUnavailable: If it is not certain that the event was stored.
        """
        return self._publish(channel, data, options, dumps=dumps)

    def _publish(
        self,
        channel: str,
        data: Any,
        options: PublishOptions,
        *,
        token_age: float = TOKEN_AGE,
        dumps: Dumps = json.dumps,
    ) -> str:
        publication = make_publication(channel, data, options, token_age, dumps)
        position = self._try_to_publish(publication, options.get("retry_for", 0.0))
        # Not under a lock: a figure, not worth one.
        self._published += 1
        return str(position)

    def _try_to_publish(self, publication: Publication, retry_for: float) -> Position:
        deadline = self._clock() + retry_for
        pause = RETRY_PAUSES[0]
        while True:
            try:
                return self._broker.publish(publication)
            except BrokerUnavailable:
                left = deadline - self._clock()
                if left <= 0:
                    raise
                self._sleep(min(left, pause * random.uniform(0.5, 1.5)))
                pause = min(2 * pause, RETRY_PAUSES[1])

    def publish_to_user(self, user: Any, data: Any, **options: Unpack[PublishOptions]) -> str:
        """
        Publish an event to a user's own channel, see :func:`~sse_sync.user_channel`.

        Args:
            user: Text, a number or a UUID.
            data: Text, or a value to be sent as JSON.
            options: See :class:`PublishOptions`.
        """
        return self.publish(user_channel(user), data, **options)

    def disconnect(
        self,
        *,
        user: Any = None,
        channel: str | None = None,
        reason: str = "",
        for_good: bool = False,
    ) -> None:
        """
        End the streams of a user, or of a channel, in all processes.

        The page gets the reason. If it is for good, it comes in a ``stream-end`` event, and the
        browser does not reconnect. Otherwise it comes in a ``stream-disconnect`` event, and the
        browser reconnects after its reconnection time, and its permission is checked again. Call
        this after you have taken the permission away, or the client is let in again.

        Args:
            user: Whose streams to end; together with a channel, only the user's streams of it.
            channel: The channel whose streams to end.
            reason: Text for the page.
            for_good: Whether browsers are told to stop. Other clients may reconnect all the same.

        Raises:
            ConfigurationError: If neither is given, or one is unusable.
            BrokerUnavailable: If the other processes cannot be reached.
        """
        self.users.end(user, channel, final=for_good, reason=reason)

    def reauthorize(self, *, user: Any = None, channel: str | None = None) -> None:
        """
        Have clients reconnect, in all processes, so that a request checks their permission again.

        Call this after a permission has changed. The streams end, and their clients come back
        spread over one to two reconnection times.

        Args:
            user: Whose streams to end; together with a channel, only the user's streams of it.
            channel: The channel whose streams to end.

        Raises:
            ConfigurationError: If neither is given, or one is unusable.
            BrokerUnavailable: If the other processes cannot be reached.
        """
        self.users.end(user, channel)

    def present(self, channel: str) -> list[Present]:
        """
        Return who is present on a channel, in any process, ordered by arrival.

        A user is present from the first stream with ``presence=`` until the last one has ended and
        its grace is over; if a process is killed, for at most ten seconds longer.

        Args:
            channel: The channel.

        Raises:
            ConfigurationError: If the channel's name is unusable.
            BrokerUnavailable: If the broker cannot be asked now.
        """
        return self.users.presence.present(channel)

    @property
    def problem(self) -> str | None:
        """Why no events arrive at the moment; :obj:`None` if all is well."""
        return self.dispatcher.problem

    def position(self) -> Position:
        """
        Return the position of the latest event of any channel. Everything that is published later
        comes after it.

        Its text is an event ID: a client that starts at it, by ``subscribe(since=...)`` or as its
        last event ID, gets what was published since then. So take it before you read the state that
        a page shows.

        Raises:
            BrokerUnavailable: If it cannot be determined now.
        """
        return self._broker.position()

    def beginning(self, channels: Sequence[str], events: int | None) -> Beginning:
        """Return where the latest events of some channels begin. See :meth:`Broker.beginning`."""
        return self._broker.beginning(channels, events)

    def history(
        self,
        channels: Sequence[str],
        after: Position,
        limit: int | None = None,
        floors: Mapping[str, int] = NO_FLOORS,
    ) -> History:
        """Return stored events of some channels after a position. See :meth:`Broker.history`."""
        return self._broker.history(channels, after, limit, floors)

    @property
    def broker(self) -> Broker:
        """Stores events, and carries them between processes."""
        return self._broker

    def within(self) -> AbstractContextManager[Any]:
        """Return the context in which to call functions of the application: no request's."""
        return self._within()

    def call(self, function: Callable[[], Result]) -> Result:
        """
        Call a function of the application, in its context and in no request's. It may block.

        Args:
            function: The function.
        """
        with self._within():
            return function()

    def statistics(self) -> HubStatistics:
        """Return figures about this process."""
        dispatcher = self.dispatcher
        counts = dispatcher.counts()
        return HubStatistics(
            channels=len(counts),
            subscriptions=sum(counts),
            published=self._published,
            received=dispatcher.figures.received,
            delivered=dispatcher.figures.delivered,
            interruptions=dispatcher.interruptions,
            problem=dispatcher.problem,
        )

    def close(self) -> None:
        """Close the broker, for child processes, too. Idempotent."""
        _hubs.discard(self)
        self._broker.close()
        for part in list(self.parts.values()):
            part.close()

    def _review(self) -> None:
        self.users.review()

    def _subscribed(self, channels: Sequence[str]) -> None:
        self._scheduled.subscribed(channels)


_hubs: WeakSet[Hub] = WeakSet()


def _begin_anew() -> None:
    # Nothing that a child inherits can be relied on: not a lock, not a connection.
    for hub in list(_hubs):
        try:
            hub._broker.after_fork()
            hub._begin()
        except Exception:
            logger.exception("a hub could not start afresh in a child process")


after_fork(_begin_anew)
