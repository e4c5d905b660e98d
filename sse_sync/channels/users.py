"""
Streams and whose they are: ending them everywhere, asking again, showing who is there.

Theory of operation. Whoever ends or re-checks streams publishes an order to a channel of our own,
which every process with streams receives; its name is none that a client or an application could
name. A stream is known from before its client's permission was asked, so that an order
that comes meanwhile is not missed.

"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .. import runtime as _runtime
from ..brokers.base import Broker, Message, Publication, check_channel
from ..brokers.presence import Present
from ..exceptions import BrokerUnavailable, ConfigurationError
from ..runtime.background import BackgroundTask
from ..runtime.clock import Clock, monotonic
from ..runtime.process import native_lock
from .presence import Presence, PresenceTracker, user_key
from .user_stream import UserStream

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["UserStreams"]

logger = logging.getLogger("sse_sync")

# Printable it is not, so that check_channel() refuses it to everybody else.
ORDERS = "\x01orders"

# Seconds until a broker that could not be told who is there is told again.
PAUSE = 1.0

# Bytes of the reason that a page is told.
MAX_REASON = 4096

# Seconds between two attempts to hear orders.
LISTEN_AGAIN = 1.0

# Seconds to wait for somebody else who makes the hub give us orders.
PATIENCE = 4.0


class UserStreams:
    """
    The streams of this process and whose they are, and those of all others by the broker.

    Its methods may be called from any thread or greenlet.

    Args:
        hub: What events come from.
        broker: What carries orders, and knows who is there.
        clock: Tells the time.
        sleep: Waits, for so many seconds.

    """

    def __init__(
        self,
        hub: Hub,
        broker: Broker,
        *,
        clock: Clock = monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._hub = hub
        self._broker = broker
        self.sleep = sleep
        """Waits, for so many seconds."""
        self._lock = native_lock()
        self._open: dict[UserStream, None] = {}
        # Those whose streams have not been opened yet; some never are.
        self._expected: WeakSet[UserStream] = WeakSet()
        self._is_listening = False
        # Whether orders may have come while nobody listened, although there were streams.
        self._may_have_missed = False
        # Held by who makes the hub give us orders.
        self._tuning = threading.Lock()
        self._is_told = True
        self._has_to_sweep = False
        self.book = BackgroundTask(self._keep_book, "sse-sync presence")
        """Tells the other processes who is there."""
        self._hearing = BackgroundTask(self._hear, "sse-sync orders")
        self.tracker = PresenceTracker(broker.presence, self.book.wake, clock=clock)
        """What this process holds."""

    # What fronts and applications call.

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
        user_stream = UserStream(self, key, channels, presence, tuple(limits))
        with self._lock:
            self._expected.add(user_stream)
        self._listen()
        return user_stream

    def disconnect(
        self,
        *,
        user: Any = None,
        channel: str | None = None,
        reason: str = "",
        for_good: bool = False,
    ) -> None:
        """
        End streams, in all processes. What to call is explained at :meth:`Hub.disconnect`.

        """
        self._order("disconnect", user, channel, {"reason": reason, "for_good": for_good})

    def reauthorize(self, *, user: Any = None, channel: str | None = None) -> None:
        """
        Have clients come back and be asked again. See :meth:`Hub.reauthorize`.

        """
        self._order("reauthorize", user, channel, {})

    def present(self, channel: str) -> list[Present]:
        """
        Return who is on a channel.

        """
        check_channel(channel)
        # So that nobody here has gone only because nothing could be told for a while.
        self.tracker.tell()
        return self._broker.presence.present(channel)

    # What streams call.

    def begun(self, user_stream: UserStream) -> None:
        """
        Note that a stream has been opened.

        """
        runtime = _runtime.current()
        for task in (self.book, self._hearing):
            task.live_in(runtime)
        with self._lock:
            self._open[user_stream] = None
            self._expected.discard(user_stream)
        self._listen()

    def ended(self, user_stream: UserStream) -> None:
        """
        Note that a stream has ended. It never blocks. Idempotent.

        """
        with self._lock:
            self._expected.discard(user_stream)
            self._open.pop(user_stream, None)
            self._listen_no_more()

    def review(self) -> None:
        """
        Let go of what nobody needs. Called now and then; it never blocks.

        """
        with self._lock:
            self._listen_no_more()
        self._has_to_sweep = True
        self.book.wake()

    # What the hub calls.

    clients = 0
    """Nobody's client gets orders."""

    def put(self, message: Message) -> None:
        """
        Take an order.

        """
        order = message.meta or {}
        found = self._find(order.get("user"), order.get("channel"))
        if message.event == "disconnect":
            for user_stream in found:
                user_stream.dismiss(order["reason"], order["for_good"])
        elif message.event == "reauthorize":
            for user_stream in found:
                user_stream.dismiss("", False)

    def interrupted(self) -> None:
        """
        Note that orders may be missing: everybody who has a user has to come back.

        """
        for user_stream in self._find(None, None):
            if user_stream.user is not None:
                user_stream.dismiss("", False)

    def degraded(self, problem: str | None) -> None:
        """
        Note that nothing arrives for now. Orders wait in the broker until it does again.

        """

    def _order(self, kind: str, user: Any, channel: str | None, arguments: dict[str, Any]) -> None:
        if user is None and channel is None:
            raise ConfigurationError(kind, "needs a user or a channel")
        if channel is not None:
            check_channel(channel)
        _check_reason(arguments.get("reason", ""))
        key = None if user is None else user_key(user)
        meta = {"user": key, "channel": channel, **arguments}
        self._broker.publish(Publication(ORDERS, b"", kind, meta=meta))

    def _find(self, user: str | None, channel: str | None) -> list[UserStream]:
        with self._lock:
            everybody = [*self._open, *self._expected]
        return [
            user_stream
            for user_stream in everybody
            if (user is None or user_stream.is_of(user))
            and (channel is None or channel in user_stream.channels)
        ]

    def _listen(self) -> None:
        # Whoever opens a stream tries; if that fails, it is tried again until it succeeds.
        if not self._is_listening:
            self._tune_in()
            if not self._is_listening:
                self._hearing.wake()

    def _tune_in(self) -> None:
        # One at a time: who fails takes back what another one has just got.
        if not self._tuning.acquire(timeout=PATIENCE):
            return
        try:
            if self._is_listening:
                return
            self._hub.dispatcher.add(self, (ORDERS,))
            self._is_listening = True
            has_missed, self._may_have_missed = self._may_have_missed, False
        except BrokerUnavailable as exc:
            if not self._may_have_missed:
                logger.warning(
                    "disconnect() and reauthorize() in other processes do not reach this one,"
                    " retrying: %s",
                    exc,
                )
            self._may_have_missed = True
            return
        finally:
            self._tuning.release()
        if has_missed:
            self.interrupted()

    def _hear(self) -> float | None:
        with self._lock:
            is_wanted = bool(self._open) and not self._is_listening
        if not is_wanted:
            return None
        self._tune_in()
        return None if self._is_listening else LISTEN_AGAIN

    def _listen_no_more(self) -> None:
        if self._is_listening and not self._open and not self._expected:
            self._is_listening = False
            self._hub.dispatcher.remove(self, (ORDERS,))

    def _keep_book(self) -> float | None:
        was_told = self._is_told
        try:
            if self._has_to_sweep:
                self._has_to_sweep = False
                self._broker.presence.sweep()
            delay = self.tracker.flush()
            self._is_told = True
            return delay
        except BrokerUnavailable as exc:
            self._is_told = False
            if was_told:
                logger.warning("presence not reported, will retry: %s", exc)
            return PAUSE


def _check_reason(reason: object) -> None:
    if not isinstance(reason, str):
        raise ConfigurationError("reason", f"must be text, not {type(reason).__name__}")
    try:
        size = len(reason.encode())
    except UnicodeEncodeError as exc:
        raise ConfigurationError("reason", f"cannot be sent: {exc}") from exc
    if size > MAX_REASON:
        raise ConfigurationError("reason", f"must be at most {MAX_REASON:,} bytes")
