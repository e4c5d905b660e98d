"""One per process and broker: what applications and streams talk to."""

from __future__ import annotations

import json
import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict
from weakref import WeakSet

from ..brokers.base import TOKEN_AGE, Broker, History, Position, Publication, check_channel
from ..brokers.presence import Present
from ..event import Dumps, ServerSentEvent
from ..exceptions import BrokerUnavailable, ConfigurationError, EventError
from ..runtime.process import Clock, after_fork, monotonic
from .dispatcher import Dispatcher
from .presence import user_channel
from .schedule import Schedule, ScheduledPublisher
from .users import UserStreams

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Hub", "HubStatistics", "PublishOptions", "check_publish_options"]

logger = logging.getLogger("sse_sync")

# Bytes of an event. Each is kept by the broker and by every process, and a client's mailbox has
# room for as many by default.
MAX_EVENT = 1 << 20

# Seconds for which a publish may be tried again, well within the life of its token; and bounds of
# the pause between two attempts.
MAX_RETRY = 60.0
RETRY_PAUSES = (0.05, 2.0)


class PublishOptions(TypedDict, total=False):
    """Keywords of :meth:`Hub.publish`, and of all that publish by it."""

    event: str | None
    """Event type."""
    key: str | None
    """The event's subject, for filters and for :attr:`Overflow.LATEST`."""
    meta: Mapping[str, Any] | None
    """Any JSON value, for filters; it is not sent to clients."""
    token: str | None
    """Identifies this publish, for callers that may repeat it, such as tasks: another one with the
    same token within ten minutes publishes nothing, and returns the id of the first."""
    retry_for: float
    """Seconds, at most 60 and by default 0, for which to try again while the broker is unavailable.
    However many attempts it takes, the event is stored once. An attempt may itself take a few
    seconds."""
    keep: bool
    """Whether clients that come back get it, too; by default they do. Otherwise only current
    subscribers get it, such as that somebody is typing, and it takes no room in the history."""


@dataclass(frozen=True)
class HubStatistics:
    """Figures of one process and broker."""

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
    After a fork it begins anew in the child, with connections of its own and no subscribers.

    Args:
        broker: What keeps and carries events.
        clock: Tells the time.
        sleep: Waits, for so many seconds.
        schedule: What is published at intervals.
        within: Returns the context in which to call functions of the application.
        dumps: Makes JSON of what is published at intervals.
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
        self.dispatcher = Dispatcher(self._broker, self._review, self._subscribed)
        """Who subscribes."""
        self.users = UserStreams(
            self.dispatcher, self._broker, clock=self._clock, sleep=self._sleep
        )
        """Whose streams there are, and who is there."""
        self._scheduled = ScheduledPublisher(
            self._schedule,
            self.publish,
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

    def publish(
        self,
        channel: str,
        data: Any,
        *,
        token_age: float = TOKEN_AGE,
        dumps: Dumps = json.dumps,
        **options: Unpack[PublishOptions],
    ) -> str:
        """
        Publish an event to every subscriber of a channel, in all processes of the broker.

        It is encoded here, once.

        Args:
            channel: Where to publish.
            data: Text, or a value to be sent as JSON.
            token_age: Seconds for which a token is remembered.
            dumps: Makes JSON of the data.
            options: See :class:`PublishOptions`.

        Returns:
            The event's id.

        Raises:
            ConfigurationError: If the channel, the token or the time to retry is unusable.
            EventError: If the data, the event type or the meta cannot be sent, or are larger
                than 1 MiB together.
            BrokerUnavailable: If it is not certain that the event was stored.

        """
        check_channel(channel)
        check_publish_options(options)
        event, key, meta = options.get("event"), options.get("key"), options.get("meta")
        body = ServerSentEvent(data if data is not None else "", event=event).encode(dumps)
        size = len(body) + _size_beside(key, meta)
        if size > MAX_EVENT:
            raise EventError(
                "data",
                f"makes an event of {size:,} bytes, more than the {MAX_EVENT:,} that a"
                " channel takes: publish a link to it instead",
            )
        token, retry_for = options.get("token"), options.get("retry_for", 0.0)
        if retry_for and token is None:
            token = secrets.token_hex(8)
        keep = options.get("keep", True)
        publication = Publication(channel, body, event, key, meta, token, keep, token_age)
        position = self._try_to_publish(publication, retry_for)
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

        The page is told the reason: in a ``stream-end`` event if it is for good, and the browser
        does not come back; otherwise in a ``stream-disconnect`` event, and it comes back after
        its reconnection time, so that it is asked for its permission again. Whoever must
        not come back has to be refused then: call this after the permission is gone.

        Args:
            user: Whose streams; of both, those of the user on the channel.
            channel: Streams that relay this channel.
            reason: Text for the page.
            for_good: Whether browsers are told to stop. Clients that are not browsers may come
                back all the same.

        Raises:
            ConfigurationError: If neither is given, or one is unusable.
            BrokerUnavailable: If the other processes cannot be reached.

        """
        self.users.end(user, channel, final=for_good, reason=reason)

    def reauthorize(self, *, user: Any = None, channel: str | None = None) -> None:
        """
        End streams in all processes, so that their clients come back and are asked in a request
        whether they may read on, because a permission has changed.

        Args:
            user: Whose streams; of both, those of the user on the channel.
            channel: Streams that relay this channel.

        Raises:
            ConfigurationError: If neither is given, or one is unusable.
            BrokerUnavailable: If the other processes cannot be reached.

        """
        self.users.end(user, channel)

    def present(self, channel: str) -> list[Present]:
        """
        Return who is on a channel in any process, who came first first.

        Somebody is there from the first stream with ``presence=`` until the last one has ended and
        its grace is over; if a process is killed, for at most ten seconds longer.

        Args:
            channel: Where.

        Raises:
            ConfigurationError: If the channel's name is unusable.
            BrokerUnavailable: If that cannot be found out now.

        """
        return self.users.presence.present(channel)

    @property
    def problem(self) -> str | None:
        """Why nothing arrives at the moment; :obj:`None` if all is well."""
        return self.dispatcher.problem

    def position(self) -> Position:
        """
        Return the position of the latest event of any channel, as the broker knows it now.

        Raises:
            BrokerUnavailable: If it cannot be asked.

        """
        return self._broker.position()

    def history(
        self, channels: Sequence[str], after: Position, limit: int | None = None
    ) -> History:
        """
        Return what is still there of some channels after a position.

        Args:
            channels: Which channels.
            after: Where a client left.
            limit: Bytes of events after which it may stop; :obj:`None` for however many there are.

        Raises:
            BrokerUnavailable: If that cannot be read now.

        """
        return self._broker.history(channels, after, limit)

    def statistics(self) -> HubStatistics:
        """Return what goes through the hub."""
        dispatcher = self.dispatcher
        counts = dispatcher.counts()
        return HubStatistics(
            channels=len(counts),
            subscriptions=sum(counts),
            published=self._published,
            received=dispatcher.received,
            delivered=dispatcher.delivered,
            interruptions=dispatcher.interruptions,
            problem=dispatcher.problem,
        )

    def close(self) -> None:
        """Close the broker, for child processes, too. Idempotent."""
        _hubs.discard(self)
        self._broker.close()

    def _review(self) -> None:
        self.users.review()

    def _subscribed(self, channels: Sequence[str]) -> None:
        self._scheduled.subscribed(channels)


def check_publish_options(options: PublishOptions) -> None:
    """
    Refuse unusable keywords of a publish.

    Args:
        options: What was given.

    Raises:
        TypeError: If one is unknown.
        ConfigurationError: If the token or the time to retry is unusable.

    """
    for name in options.keys() - PublishOptions.__optional_keys__:
        hint = ": write event= instead" if name == "type" else ""
        raise TypeError(f"publish() got an unexpected keyword argument {name!r}{hint}")
    token = options.get("token")
    if token is not None and not (isinstance(token, str) and 0 < len(token) <= 200):
        raise ConfigurationError("token", "must be text of 1 to 200 characters")
    if not 0 <= options.get("retry_for", 0.0) <= MAX_RETRY:
        raise ConfigurationError("retry_for", f"must be 0 to {MAX_RETRY:.0f} seconds")


def _size_beside(key: str | None, meta: Mapping[str, Any] | None) -> int:
    # What travels beside the event. Checked here, so that it fails with every broker or with none.
    if key is not None and not isinstance(key, str):
        raise EventError("key", f"must be text, not {type(key).__name__}")
    if meta is None:
        return len(key or "")
    try:
        return len(key or "") + len(json.dumps(meta))
    except (TypeError, ValueError) as exc:
        raise EventError("meta", f"cannot be written as JSON: {exc}") from exc


_hubs: WeakSet[Hub] = WeakSet()


def _begin_anew() -> None:
    # In a child nothing of what was inherited can be relied on: not a lock, not a connection.
    for hub in list(_hubs):
        try:
            hub._broker.after_fork()
            hub._begin()
        except Exception:
            logger.exception("a hub could not start afresh in a child process")


after_fork(_begin_anew)
