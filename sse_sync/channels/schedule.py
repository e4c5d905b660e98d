"""
Publishing at intervals: once for all processes that have subscribers.

Theory of operation. Intervals are counted from the epoch, so every process calls a function at the
same moments, and publishes with a token that names the moment. The broker stores the first publish
with a token and ignores the others. No process leads, so none can fail to.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, TypeVar

from .. import runtime as _runtime
from ..brokers.base import TOKEN_AGE, check_channel
from ..event import ServerSentEvent, text_of
from ..exceptions import BrokerClosed, BrokerUnavailable, ConfigurationError
from ..jsonable import Dumps
from ..runtime.background import BackgroundTask
from ..validation import is_number
from .publishing import PublishOptions

__all__ = ["ScheduledEvent", "ScheduledPublisher", "Published", "Schedule"]

logger = logging.getLogger("sse_sync")

# Seconds. Clocks of machines that are set by NTP differ by less than the first of these.
BOUNDS = (0.05, 86400.0)

Published = TypeVar("Published", bound=Callable[[], Any])


@dataclass(frozen=True, eq=False)
class ScheduledEvent:
    """A function whose result an application publishes at intervals."""

    function: Callable[[], Any]
    """Returns the data, or :obj:`None` if nothing is to be published."""
    seconds: float
    """The interval."""
    channel: str
    """The channel to publish to."""
    event: str | None = None
    """Event type."""
    key: str | None = None
    """The event's subject."""
    keep: bool = False
    """Whether clients that come back get it."""
    name: str = field(init=False)
    """The same in each process of the application."""

    def __post_init__(self) -> None:
        check_channel(self.channel)
        ServerSentEvent("", event=self.event)
        if not isinstance(self.key, str | None):
            raise ConfigurationError("key", f"must be text, not {self.key!r}")
        if not isinstance(self.keep, bool):
            raise ConfigurationError("keep", f"must be True or False, not {self.keep!r}")
        low, high = BOUNDS
        if not is_number(self.seconds):
            raise ConfigurationError("seconds", f"must be a number, not {self.seconds!r}")
        if not low <= self.seconds <= high:
            raise ConfigurationError("seconds", f"must be {low} to {high:.0f}, not {self.seconds}")
        if not callable(self.function):
            raise ConfigurationError("function", f"must be a function, not {self.function!r}")
        if any(is_one(self.function) for is_one in _NO_FUNCTIONS):
            raise ConfigurationError("function", "must be a plain function that returns the data")
        function = _plain(self.function)
        names = (
            *(getattr(function, "__module__", ""), getattr(function, "__qualname__", "")),
            *(self.channel, self.event, self.key, self.seconds),
        )
        digest = hashlib.sha256(repr(names).encode()).hexdigest()[:24]
        object.__setattr__(self, "name", f"sse-sync every {digest}")


# What returns something else than data.
_NO_FUNCTIONS = (isgeneratorfunction, iscoroutinefunction, isasyncgenfunction)


def _plain(function: Any) -> Any:
    # A partial, or a method of an object, has no name and no code of its own.
    while inner := getattr(function, "func", None) or getattr(function, "__func__", None):
        function = inner
    return function


def _origin(function: Any) -> tuple[Any, ...]:
    # The same where a function is made twice, as in a factory of applications.
    plain = _plain(function)
    code = getattr(plain, "__code__", plain)
    return code, getattr(function, "args", ()), getattr(function, "keywords", {})


class Schedule:
    """Everything that an application publishes at intervals."""

    def __init__(self) -> None:
        self._by_channel: dict[str, dict[str, ScheduledEvent]] = {}

    def publish_every(
        self,
        seconds: float,
        channel: str,
        *,
        event: str | None = None,
        key: str | None = None,
        keep: bool = False,
    ) -> Callable[[Published], Published]:
        """
        Publish what a function returns, at intervals, while the channel has subscribers.

        Every process that has subscribers calls it at the same moments, which are multiples of the
        interval; the first one publishes, so that each event comes once. If it returns None,
        nothing is published. If it raises an exception, that is logged, and the next call is at
        the next moment. If it takes longer than the interval, moments are left out.

        Args:
            seconds: The interval, 0.05 to 86,400.
            channel: Where to publish.
            event: Event type.
            key: The event's subject, for filters and for :attr:`Overflow.LATEST`.
            keep: Whether clients that come back get what they have missed, and not only the next.

        Returns:
            A decorator, which leaves the function as it is. A function that is given twice, as by
            a factory that makes several applications, is called once.

        Raises:
            ConfigurationError: If an argument is unusable.
            EventError: If the event type cannot be sent.
        """

        def add(function: Published) -> Published:
            scheduled = ScheduledEvent(function, seconds, channel, event, key, keep)
            others = self._by_channel.setdefault(channel, {})
            same = others.get(scheduled.name)
            if same is not None and _origin(same.function) != _origin(function):
                raise ConfigurationError(
                    "function",
                    f"shares its name and event type with another one published to {channel}:"
                    " give it a name of its own",
                )
            others[scheduled.name] = scheduled
            return function

        return add

    def of(self, channel: str) -> list[ScheduledEvent]:
        """Return what is published to a channel."""
        found = self._by_channel.get(channel)
        return list(found.values()) if found else []


class ScheduledPublisher:
    """
    Publish what is in a schedule, to channels with subscribers in this process.

    Args:
        schedule: What to publish.
        publish: Takes a channel, text, the keywords of :meth:`Hub.publish` as a dictionary, and for
            how many seconds the token is remembered.
        has_subscribers: Returns whether a channel has subscribers in this process.
        within: Returns the context in which to call a function.
        dumps: Makes JSON of what it returns.
        now: Tells the time of day, in seconds since the epoch.
    """

    def __init__(
        self,
        schedule: Schedule,
        publish: Callable[..., object],
        has_subscribers: Callable[[str], bool],
        *,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
        dumps: Dumps = json.dumps,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._schedule = schedule
        self._publish = publish
        self._within = within
        self._dumps = dumps
        self.has_subscribers = has_subscribers
        """Returns whether a channel has subscribers in this process."""
        self.now = now
        """Tells the time of day, in seconds since the epoch."""
        self._running: dict[str, _Running] = {}

    def subscribed(self, channels: Sequence[str]) -> None:
        """Record that channels have another subscriber. It never blocks."""
        for channel in channels:
            for scheduled in self._schedule.of(channel):
                running = self._running.get(scheduled.name)
                if running is None:
                    running = self._running.setdefault(scheduled.name, _Running(self, scheduled))
                running.begin()

    def publish(self, scheduled: ScheduledEvent, number: int) -> None:
        """
        Call a function and publish its result, unless another process has published this number.

        Args:
            scheduled: What to publish.
            number: The interval's, counted from the epoch.
        """
        with self._within():
            data = scheduled.function()
            # Here, because it may need the context, too.
            text = None if data is None else text_of(data, self._dumps)
        if text is None:
            return
        options: PublishOptions = {
            "event": scheduled.event,
            "key": scheduled.key,
            "keep": scheduled.keep,
            "token": f"{scheduled.name} {number}",
        }
        # Longer than a process may be late, and no longer: a clock that is set back comes to the
        # same moments again.
        token_age = min(2 * scheduled.seconds + 5.0, TOKEN_AGE)
        self._publish(scheduled.channel, text, options, token_age=token_age)


class _Running:
    def __init__(self, publisher: ScheduledPublisher, scheduled: ScheduledEvent) -> None:
        self._publisher = publisher
        self._scheduled = scheduled
        # The number of the interval that was published last; None at work, and while nobody
        # subscribes.
        self._latest: int | None = None
        self._has_failed = False
        self._task = BackgroundTask(self._work, f"sse-sync every {scheduled.seconds} s")

    def begin(self) -> None:
        # To be called when the subscriber is registered. Where there is a number, it is taken away
        # before subscribers are looked for the next time, so that this one is found.
        if self._latest is None or self._task.is_idle:
            self._task.live_in(_runtime.current())
            self._task.wake()

    def _work(self) -> float | None:
        latest, self._latest = self._latest, None
        if not self._publisher.has_subscribers(self._scheduled.channel):
            return None
        number = self._number()
        if latest is not None and number > latest:
            self._try_to_publish(number)
        # Of now, because the function may have taken a while, and a clock may be set back.
        self._latest = number = self._number()
        return max(0.0, (number + 1) * self._scheduled.seconds - self._publisher.now())

    def _try_to_publish(self, number: int) -> None:
        channel = self._scheduled.channel
        try:
            self._publisher.publish(self._scheduled, number)
            self._has_failed = False
        except BrokerUnavailable as exc:
            # The log already says once that nothing arrives; not every second here.
            logger.debug("scheduled publish to %s postponed: %s", channel, exc)
        except BrokerClosed:
            raise  # It is not tried again.
        except BaseException as exc:
            if _runtime.is_exit(exc):
                raise
            level = logging.DEBUG if self._has_failed else logging.ERROR
            self._has_failed = True
            logger.log(
                level,
                "scheduled publish to %s failed; repeats are logged at DEBUG until it succeeds",
                channel,
                exc_info=True,
            )

    def _number(self) -> int:
        return math.floor(self._publisher.now() / self._scheduled.seconds)
