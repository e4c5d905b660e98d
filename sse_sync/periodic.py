"""
Publishing at intervals, by whatever process has subscribers, and once by all of them.

Theory of operation. Intervals are counted from the epoch, so every process calls a function at the
same moments and publishes with a token that names the moment. The broker takes the first publish
with a token, and the others are none. No process is the one that has to do it, so none can fail to.

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
from inspect import iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, TypeVar

from . import runtime as _runtime
from .brokers.base import Message, check_channel
from .chores import Chore
from .event import Dumps, ServerSentEvent
from .exceptions import BrokerUnavailable, ConfigurationError

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["Periodic", "Periodicals", "Published", "Timetable"]

logger = logging.getLogger("sse_sync")

# Seconds. Clocks of machines that are set by NTP differ by less than the first of these.
BOUNDS = (0.05, 86400.0)

Published = TypeVar("Published", bound=Callable[[], Any])


@dataclass(frozen=True, eq=False)
class Periodic:
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
        ServerSentEvent("", event=self.event)
        low, high = BOUNDS
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, (int, float)):
            raise ConfigurationError("seconds", f"must be a number, not {self.seconds!r}")
        if not low <= self.seconds <= high:
            raise ConfigurationError("seconds", f"must be {low} to {high:.0f}, not {self.seconds}")
        if not callable(self.function):
            raise ConfigurationError("function", f"must be a function, not {self.function!r}")
        if isgeneratorfunction(self.function) or iscoroutinefunction(self.function):
            raise ConfigurationError("function", "must return its data: it is called each time")
        if self.event in self.after:
            raise ConfigurationError("after", f"names its own event type, {self.event}")
        # A partial has no name of its own.
        function = getattr(self.function, "func", self.function)
        names = (
            *(getattr(function, "__module__", ""), getattr(function, "__qualname__", "")),
            *(self.channel, self.event, self.key, self.seconds),
        )
        digest = hashlib.sha256(repr(names).encode()).hexdigest()[:24]
        object.__setattr__(self, "name", f"sse-sync every {digest}")


class Timetable:
    """
    All that an application publishes at intervals.

    """

    def __init__(self) -> None:
        self._by_channel: dict[str, dict[str, Periodic]] = {}

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
            A decorator. A function that is given twice is called once.

        Raises:
            ConfigurationError: If an argument is unusable.
            EventError: If the event type cannot be sent.

        """
        if isinstance(after, str):
            raise ConfigurationError("after", f"must be several event types, not text: {after!r}")

        def add(function: Published) -> Published:
            periodic = Periodic(function, seconds, channel, event, key, frozenset(after), keep)
            self._by_channel.setdefault(channel, {})[periodic.name] = periodic
            return function

        return add

    def of(self, channel: str) -> list[Periodic]:
        """
        Return what is published to a channel.

        """
        found = self._by_channel.get(channel)
        return list(found.values()) if found else []


class Periodicals:
    """
    Publish what is in a timetable, to channels that somebody subscribes to in this process.

    Args:
        hub: Where to publish.
        timetable: What.
        within: Returns the context in which to call a function.
        dumps: Makes JSON of what it returns.
        now: Tells the time of day, in seconds since the epoch.

    """

    def __init__(
        self,
        hub: Hub,
        timetable: Timetable,
        *,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
        dumps: Dumps = json.dumps,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._hub = hub
        self._timetable = timetable
        self._within = within
        self._dumps = dumps
        self.now = now
        """Tells the time of day, in seconds since the epoch."""
        self._running: dict[str, _Running] = {}

    def subscribed(self, channels: Sequence[str]) -> None:
        """
        Note that channels have another subscriber. It never blocks.

        """
        for channel in channels:
            for periodic in self._timetable.of(channel):
                running = self._running.get(periodic.name)
                if running is None:
                    running = self._running.setdefault(periodic.name, _Running(self, periodic))
                running.chore.live_in(_runtime.current())
                running.chore.wake()

    def received(self, message: Message) -> None:
        """
        Note an event of a channel with subscribers. It never blocks.

        """
        for periodic in self._timetable.of(message.channel):
            running = self._running.get(periodic.name)
            if running is not None and message.event in periodic.after:
                running.after = message
                running.chore.wake()

    def has_subscribers(self, channel: str) -> bool:
        """
        Return whether somebody in this process has subscribed to a channel.

        """
        return self._hub.dispatch.has_subscribers(channel)

    def publish(self, periodic: Periodic, moment: str) -> None:
        """
        Publish once, unless another process has done it already.

        Args:
            periodic: What.
            moment: A name of the moment.

        """
        try:
            with self._within():
                data = periodic.function()
            if data is not None:
                self._hub.publish(
                    periodic.channel,
                    data,
                    event=periodic.event,
                    key=periodic.key,
                    keep=periodic.keep,
                    token=f"{periodic.name} {moment}",
                    dumps=self._dumps,
                )
        except BrokerUnavailable as exc:
            # That nothing arrives is told by others, once and not every second.
            logger.debug("nothing is published to %s at the moment: %s", periodic.channel, exc)
        except BaseException as exc:
            if _runtime.is_exit(exc):
                raise
            logger.exception("what is published to %s at intervals failed", periodic.channel)


class _Running:
    def __init__(self, periodicals: Periodicals, periodic: Periodic) -> None:
        self._periodicals = periodicals
        self._periodic = periodic
        # The number of the interval that was published last; None while nobody subscribes.
        self._latest: int | None = None
        # The last event after which to publish; one call does for those that came before.
        self.after: Message | None = None
        self.chore = Chore(self._work, f"sse-sync every {periodic.seconds} s")

    def _work(self) -> float | None:
        periodicals, periodic = self._periodicals, self._periodic
        if not periodicals.has_subscribers(periodic.channel):
            self._latest = self.after = None
            return None
        after, self.after = self.after, None
        if after is not None:
            periodicals.publish(periodic, f"after {after.position}")
        number = self._number()
        if self._latest is not None and number > self._latest:
            periodicals.publish(periodic, str(number))
        # Of now, because the function may have taken a while, and a clock may be set back.
        self._latest = self._number()
        return max(0.0, (self._latest + 1) * periodic.seconds - periodicals.now())

    def _number(self) -> int:
        return math.floor(self._periodicals.now() / self._periodic.seconds)
