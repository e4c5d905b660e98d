"""Whose streams this process has, and how they are ended, here and in all other processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakSet

from .. import runtime as _runtime
from ..brokers.base import Broker, check_channel
from ..closing import CloseReason, End
from ..exceptions import ConfigurationError
from ..runtime.process import Clock, monotonic, native_lock
from .control import ControlChannel
from .dispatcher import Dispatcher
from .limits import Places
from .presence import Presence, user_key
from .reporting import PresenceReporter
from .user_stream import Surroundings, UserStream

__all__ = ["UserStreams", "check_reason"]

# Bytes of the reason that a page is told.
MAX_REASON = 4096


class UserStreams:
    """
    Keep which streams of whom this process has.

    Its methods may be called from any thread or greenlet.

    Args:
        dispatcher: Gives the process its events.
        broker: Carries control messages, and knows who is there.
        clock: Tells the time.
        sleep: Sleeps for the given number of seconds.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        broker: Broker,
        *,
        clock: Clock = monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._lock = native_lock()
        self._open: dict[UserStream, None] = {}
        # Those whose streams have not been opened yet; some never are.
        self._expected: WeakSet[UserStream] = WeakSet()
        self._control = ControlChannel(
            dispatcher, broker, self._end_found, self._end_everybody, self._has_any
        )
        self.presence = PresenceReporter(broker.presence, clock=clock)
        """Who is there."""
        places = Places(self.presence.tracker, sleep)
        self._surroundings = Surroundings(self._opened, self._ended, places, self.presence)

    def expect(
        self,
        *,
        user: Any = None,
        channels: tuple[str, ...] = (),
        presence: Presence | None = None,
        limits: Iterable[tuple[str, int]] = (),
    ) -> UserStream:
        """
        Expect a stream. To be called before its client's permission is asked.

        Args:
            user: Whose it is; :obj:`None` if nobody knows.
            channels: Which channels it relays.
            presence: How it shows its user on them.
            limits: Names under which it is counted, and how many there may be of each.

        Raises:
            ConfigurationError: If the user is unusable.
        """
        key = None if user is None else user_key(user)
        user_stream = UserStream(self._surroundings, key, channels, presence, tuple(limits))
        with self._lock:
            self._expected.add(user_stream)
        self._control.subscribe()
        return user_stream

    def end(self, user: Any, channel: str | None, *, final: bool = False, reason: str = "") -> None:
        """
        End streams, in all processes. See :meth:`Hub.disconnect`.

        Args:
            user: Whose streams; of both, those of the user on the channel.
            channel: Streams that relay this channel.
            final: Whether their clients are told to stop.
            reason: Text for the page.
        """
        if user is None and channel is None:
            raise ConfigurationError("user", "or a channel must be given")
        if channel is not None:
            check_channel(channel)
        check_reason(reason)
        key = None if user is None else user_key(user)
        self._control.send(key, channel, End(CloseReason.DISMISSED, final, reason))

    def review(self) -> None:
        """Let go of what nobody needs. Called now and then; it never blocks."""
        with self._lock:
            self._unsubscribe_if_idle()
        self._surroundings.places.collect()
        self.presence.sweep()

    # What user streams call.

    def _opened(self, user_stream: UserStream) -> None:
        runtime = _runtime.current()
        for task in (self.presence.task, self._control.task):
            task.live_in(runtime)
        with self._lock:
            self._open[user_stream] = None
            self._expected.discard(user_stream)
        self._control.subscribe()

    def _ended(self, user_stream: UserStream) -> None:
        with self._lock:
            self._expected.discard(user_stream)
            self._open.pop(user_stream, None)
            self._unsubscribe_if_idle()

    # What the control channel calls.

    def _end_found(self, user: str | None, channel: str | None, end: End) -> None:
        for user_stream in self._all():
            if user is not None and not user_stream.is_of(user):
                continue
            if channel is None or channel in user_stream.channels:
                user_stream.end_with(end)

    def _end_everybody(self) -> None:
        # Of whom a permission may have changed.
        for user_stream in self._all():
            if user_stream.user is not None:
                user_stream.end_with(End(CloseReason.DISMISSED))

    def _has_any(self) -> bool:
        return bool(self._open or self._expected)

    def _all(self) -> list[UserStream]:
        with self._lock:
            return [*self._open, *self._expected]

    def _unsubscribe_if_idle(self) -> None:
        if not self._has_any():
            self._control.unsubscribe()


def check_reason(reason: object) -> None:
    """
    Refuse what a page cannot be told as a reason.

    Args:
        reason: What was given.

    Raises:
        ConfigurationError: If it is not text of at most 4 KiB.
    """
    if not isinstance(reason, str):
        raise ConfigurationError("reason", f"must be text, not {type(reason).__name__}")
    try:
        size = len(reason.encode())
    except UnicodeEncodeError as exc:
        raise ConfigurationError("reason", f"cannot be sent: {exc}") from exc
    if size > MAX_REASON:
        raise ConfigurationError("reason", f"must be at most {MAX_REASON:,} bytes")
