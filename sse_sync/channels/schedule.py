"""
Publishing at intervals, by whatever process has subscribers, and once by all of them.

Theory of operation. Intervals are counted from the epoch, so every process calls a function at the
same moments and publishes with a token that names the moment. The broker takes the first publish
with a token, and the others are none. No process is the one that has to do it, so none can fail to.
After an event of some type the token names that event. But whoever has published something that may
have been found out before the event publishes in any case, so that the last word is never an older
one.

"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, TypeVar

from .. import runtime as _runtime
from ..brokers.base import TOKEN_AGE, Message, Position, check_channel
from ..event import Dumps, ServerSentEvent, text_of
from ..exceptions import BrokerClosed, BrokerUnavailable, ConfigurationError
from ..runtime.background import BackgroundTask
from ..runtime.clock import Clock, monotonic

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["ScheduledEvent", "ScheduledPublisher", "Published", "Schedule"]

logger = logging.getLogger("sse_sync")

# Seconds. Clocks of machines that are set by NTP differ by less than the first of these.
BOUNDS = (0.05, 86400.0)

# Seconds between two times that something is published after events, and until an event after which
# it could not be published is thought of again.
GAP = 0.05
PAUSE = 1.0

Published = TypeVar("Published", bound=Callable[[], Any])


@dataclass(frozen=True, eq=False)
class ScheduledEvent:
    """
    What an application publishes at intervals.

    """

    function: Callable[[], Any]
    """Returns the data, or :obj:`None` if nothing is to be published."""
    seconds: float
    """From one time to the next."""
    channel: str
    """Where it is published."""
    event: str | None = None
    """Event type."""
    key: str | None = None
    """What the event is about."""
    after: frozenset[str] = frozenset()
    """Types of events of the channel after which it is published, too."""
    keep: bool = False
    """Whether clients that come back get it."""
    name: str = field(init=False)
    """The same in each process of the application."""

    def __post_init__(self) -> None:
        check_channel(self.channel)
        for event in (self.event, *self.after):
            ServerSentEvent("", event=event)
        if not isinstance(self.key, str | None):
            raise ConfigurationError("key", f"must be text, not {self.key!r}")
        if not isinstance(self.keep, bool):
            raise ConfigurationError("keep", f"must be True or False, not {self.keep!r}")
        low, high = BOUNDS
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, (int, float)):
            raise ConfigurationError("seconds", f"must be a number, not {self.seconds!r}")
        if not low <= self.seconds <= high:
            raise ConfigurationError("seconds", f"must be {low} to {high:.0f}, not {self.seconds}")
        if not callable(self.function):
            raise ConfigurationError("function", f"must be a function, not {self.function!r}")
        if any(is_one(self.function) for is_one in _NO_FUNCTIONS):
            raise ConfigurationError("function", "must be a plain function that returns the data")
        if self.event in self.after:
            raise ConfigurationError("after", f"names its own event type, {self.event}")
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
    """
    All that an application publishes at intervals.

    """

    def __init__(self) -> None:
        self._by_channel: dict[str, dict[str, ScheduledEvent]] = {}

    def publish_every(
        self,
        seconds: float,
        channel: str,
        *,
        event: str | None = None,
        key: str | None = None,
        after: Sequence[str] = (),
        keep: bool = False,
    ) -> Callable[[Published], Published]:
        """
        Publish what a function returns, at intervals.

        Args:
            seconds: From one time to the next.
            channel: Where to publish.
            event: Event type.
            key: What the event is about.
            after: Types of events of the channel after which to publish, too.
            keep: Whether clients that come back get it.

        Returns:
            A decorator. A function that is given twice, as by a factory that makes several
            applications, is called once.

        Raises:
            ConfigurationError: If an argument is unusable.
            EventError: If the event type cannot be sent.

        """
        if isinstance(after, str) or not isinstance(after, Iterable):
            raise ConfigurationError("after", f"must be several event types, not {after!r}")
        types = frozenset(after)

        def add(function: Published) -> Published:
            periodic = ScheduledEvent(function, seconds, channel, event, key, types, keep)
            others = self._by_channel.setdefault(channel, {})
            same = others.get(periodic.name)
            if same is not None and _origin(same.function) != _origin(function):
                raise ConfigurationError(
                    "function",
                    f"shares its name and event type with another one published to {channel}:"
                    " give it a name of its own",
                )
            for other in others.values():
                if other.event in types and event in other.after:
                    raise ConfigurationError(
                        "after", f"is a circle with the event type {other.event}"
                    )
            others[periodic.name] = periodic
            return function

        return add

    def of(self, channel: str) -> list[ScheduledEvent]:
        """
        Return what is published to a channel.

        """
        found = self._by_channel.get(channel)
        return list(found.values()) if found else []


class ScheduledPublisher:
    """
    Publish what is in a schedule, to channels that somebody subscribes to in this process.

    Args:
        hub: Where to publish.
        schedule: What.
        within: Returns the context in which to call a function.
        dumps: Makes JSON of what it returns.
        now: Tells the time of day, in seconds since the epoch.
        clock: Tells the time, in seconds, and is never set.

    """

    def __init__(
        self,
        hub: Hub,
        schedule: Schedule,
        *,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
        dumps: Dumps = json.dumps,
        now: Callable[[], float] = time.time,
        clock: Clock = monotonic,
    ) -> None:
        self._hub = hub
        self._schedule = schedule
        self._within = within
        self._dumps = dumps
        self.now = now
        """Tells the time of day, in seconds since the epoch."""
        self.clock = clock
        """Tells the time, in seconds, and is never set."""
        self.process = secrets.token_hex(8)
        """A name that no other process has."""
        self._running: dict[str, _Running] = {}

    def subscribed(self, channels: Sequence[str]) -> None:
        """
        Note that channels have another subscriber. It never blocks.

        """
        for channel in channels:
            for periodic in self._schedule.of(channel):
                running = self._running.get(periodic.name)
                if running is None:
                    running = self._running.setdefault(periodic.name, _Running(self, periodic))
                running.begin()

    def received(self, message: Message) -> None:
        """
        Note an event of a channel with subscribers. It never blocks.

        """
        for periodic in self._schedule.of(message.channel):
            running = self._running.get(periodic.name)
            if running is not None and message.event in periodic.after:
                running.after = message
                running.task.wake()

    def has_subscribers(self, channel: str) -> bool:
        """
        Return whether somebody in this process has subscribed to a channel.

        """
        return self._hub.dispatcher.has_subscribers(channel)

    def find_out(self, periodic: ScheduledEvent) -> str | None:
        """
        Call a function, and return what it says as the text of an event; :obj:`None` if nothing.

        """
        with self._within():
            data = periodic.function()
            # Here, because it may need the context, too.
            return None if data is None else text_of(data, self._dumps)

    def publish(self, periodic: ScheduledEvent, text: str, moment: str) -> Position | None:
        """
        Publish once, unless another process has done it already.

        Args:
            periodic: What it is.
            text: What to publish.
            moment: A name of the moment.

        Returns:
            Its position.

        """
        return Position.parse(
            self._hub.publish(
                periodic.channel,
                text,
                event=periodic.event,
                key=periodic.key,
                keep=periodic.keep,
                token=f"{periodic.name} {moment}",
                # Longer than a process may be late, and no longer: a clock that is set back comes
                # to the same moments again.
                token_age=min(2 * periodic.seconds + 5.0, TOKEN_AGE),
            )
        )


class _Running:
    def __init__(self, scheduled: ScheduledPublisher, periodic: ScheduledEvent) -> None:
        self._periodicals = scheduled
        self._periodic = periodic
        # The number of the interval that was published last; None at work, and while nobody
        # subscribes.
        self._latest: int | None = None
        # The last event after which to publish; one call does for those that came before.
        self.after: Message | None = None
        # When that may be done again.
        self._not_before = 0.0
        # What was published last; another process may have published it.
        self._published: Position | None = None
        self._has_failed = False
        self.task = BackgroundTask(self._work, f"sse-sync every {periodic.seconds} s")

    def begin(self) -> None:
        # To be called when the subscriber is registered. Where there is a number, it is taken away
        # before subscribers are looked for the next time, so that this one is found.
        if self._latest is None or self.task.is_idle:
            self.task.live_in(_runtime.current())
            self.task.wake()

    def _work(self) -> float | None:
        scheduled, periodic = self._periodicals, self._periodic
        latest, self._latest = self._latest, None
        if not scheduled.has_subscribers(periodic.channel):
            self.after = None
            return None
        if self.after is not None and scheduled.clock() >= self._not_before:
            self._publish_after(self.after)
        number = self._number()
        if latest is not None and number > latest:
            self._publish(str(number))
        # Of now, because the function may have taken a while, and a clock may be set back.
        self._latest = number = self._number()
        delay = (number + 1) * periodic.seconds - scheduled.now()
        if self.after is not None:
            delay = min(delay, self._not_before - scheduled.clock())
        return max(0.0, delay)

    def _publish_after(self, message: Message) -> None:
        self.after = None
        moment = f"after {message.position}"
        if self._published is not None and not _is_behind(message.position, self._published):
            # It may not have been known yet when the function was called.
            moment += f" {self._periodicals.process}"
        pause = GAP
        if not self._publish(moment):
            self.after = self.after or message
            pause = PAUSE
        self._not_before = self._periodicals.clock() + pause

    def _publish(self, moment: str) -> bool:
        # Whether there is no reason to try it again.
        scheduled, periodic = self._periodicals, self._periodic
        try:
            text = scheduled.find_out(periodic)
            if text is not None:
                self._published = scheduled.publish(periodic, text, moment)
            self._has_failed = False
        except BrokerUnavailable as exc:
            # That nothing arrives is told by others, once and not every second.
            logger.debug("scheduled publish to %s postponed: %s", periodic.channel, exc)
            return False
        except BrokerClosed:
            logger.debug(
                "scheduled publishing to %s stopped: the broker is closed", periodic.channel
            )
        except BaseException as exc:
            if _runtime.is_exit(exc):
                raise
            level = logging.DEBUG if self._has_failed else logging.ERROR
            self._has_failed = True
            logger.log(
                level,
                "scheduled publish to %s failed; repeats are logged at DEBUG until it succeeds",
                periodic.channel,
                exc_info=True,
            )
        return True

    def _number(self) -> int:
        return math.floor(self._periodicals.now() / self._periodic.seconds)


def _is_behind(position: Position, other: Position) -> bool:
    # Of another epoch nothing is known.
    return position.epoch == other.epoch and position.number > other.number
