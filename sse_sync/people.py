"""
Streams and whose they are: ending them everywhere, asking again, showing who is there.

Theory of operation. Whoever ends or re-checks streams publishes an order to a channel of our own,
which every process with streams receives; its name is none that a client or an application could
name. A stream's visit is known from before its client's permission was asked, so that an order
that comes meanwhile is not missed.

"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from .access import is_yes
from .admission import Refusal
from .brokers.attendance import Present
from .brokers.base import Broker, Message, check_channel
from .chores import Chore
from .clock import Clock, monotonic
from .exceptions import BrokerUnavailable, ConfigurationError
from .ledger import Ledger, Presence, user_key
from .natives import native_lock

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["People", "Recheck", "Visit"]

logger = logging.getLogger("sse_sync")

# Printable it is not, so that check_channel() refuses it to everybody else.
ORDERS = "\x01orders"

# Seconds until a broker that could not be told who is there is told again.
PAUSE = 1.0

# Seconds until a re-check that raised an exception is made again, and how often that may happen
# before the client has to come back and be asked in a request.
RETRY = 5.0
PATIENCE = 5

Recheck = Callable[[str | None, tuple[str, ...]], Any]
"""Takes a user key and channels; tells whether the user may still read them."""


class Dismissable(Protocol):
    """
    A stream.

    """

    def dismiss(self, reason: str, for_good: bool) -> None:
        """
        End the stream soon. It never blocks, and anything may call it.

        Args:
            reason: What the page is told.
            for_good: Whether the client is told to stop; otherwise it comes back.

        """


class Visit:
    """
    One stream and whose it is. Made by :meth:`People.visit`.

    """

    __slots__ = (
        *("__weakref__", "_entered", "_order", "_places", "_stream"),
        *("channels", "failures", "limits", "people", "presence", "user"),
    )

    def __init__(
        self,
        people: People,
        user: str | None,
        channels: tuple[str, ...],
        presence: Presence | None,
        limits: tuple[tuple[str, int], ...],
    ) -> None:
        self.people = people
        self.user = user
        self.channels = channels
        self.presence = presence
        self.limits = limits
        self.failures = 0
        """How many re-checks in a row have raised an exception."""
        self._stream: Dismissable | None = None
        self._order: tuple[str, bool] | None = None
        self._places: list[str] = []
        self._entered = False

    def begin(self, stream: Dismissable) -> Refusal | None:
        """
        Count the stream, and let it be reached from now on. It may block.

        Args:
            stream: The stream.

        Returns:
            Why it may not be opened, or :obj:`None` if it may.

        """
        ledger = self.people.ledger
        for name, limit in self.limits:
            if not ledger.take_place(name, limit):
                logger.warning("no more streams for %s: %d are open", name, limit)
                self._give_places()
                return Refusal.LIMITED
            self._places.append(name)
        self._stream = stream
        self.people.begun(self)
        if self._order is not None:
            stream.dismiss(*self._order)
        return None

    def arrive(self) -> None:
        """
        Show the user on the channels. It may block.

        """
        if self.presence is None or not self._is_open():
            return
        for channel in self.channels:
            self.people.ledger.enter(channel, self.presence)
        self._entered = True
        if not self._is_open():
            self._leave()  # It has ended meanwhile.
            return
        try:
            self.people.ledger.settle()
        except BrokerUnavailable as exc:
            logger.warning("the presence of a user is told later: %s", exc)
        self.people.book.wake()

    def end(self) -> None:
        """
        Note that the stream has ended. It never blocks. Idempotent.

        """
        self._stream = None
        self.people.ended(self)
        self._leave()
        self._give_places()

    def dismiss(self, reason: str, for_good: bool) -> None:
        """
        End the stream, or keep it from being opened. It never blocks.

        """
        self._order = reason, for_good
        stream = self._stream
        if stream is not None:
            stream.dismiss(reason, for_good)

    def _is_open(self) -> bool:
        return self._stream is not None

    def _leave(self) -> None:
        entered, self._entered = self._entered, False
        if entered and self.presence is not None:
            for channel in self.channels:
                self.people.ledger.leave(channel, self.presence)

    def _give_places(self) -> None:
        while self._places:
            self.people.ledger.give_place(self._places.pop())


class People:
    """
    The streams of this process and whose they are, and those of all others by the broker.

    Its methods may be called from any thread or greenlet.

    Args:
        hub: What events come from.
        broker: What carries orders, and knows who is there.
        recheck: Asked whether an open stream may go on, in a greenlet or thread of its own.
            Without it, the client has to come back and be asked in a request.
        every: Seconds between two times that everybody is asked; :obj:`None` for only when told.
        within: Returns the context in which to ask.
        clock: Tells the time.

    """

    def __init__(
        self,
        hub: Hub,
        broker: Broker,
        *,
        recheck: Callable[[], Recheck | None] = lambda: None,
        every: float | None = None,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
        clock: Clock = monotonic,
    ) -> None:
        self._hub = hub
        self._broker = broker
        self._recheck = recheck
        self._every = every
        self._within = within
        self._clock = clock
        self._lock = native_lock()
        self._visits: dict[Visit, None] = {}
        # Those whose streams have not been opened yet; some never are.
        self._expected: WeakSet[Visit] = WeakSet()
        self._doubted: dict[Visit, None] = {}
        self._next_round = 0.0
        self._is_listening = False
        self._is_told = True
        self.book = Chore(self._keep_book, "sse-sync presence")
        """Tells the other processes who is there."""
        self._asking = Chore(self._ask, "sse-sync recheck")
        self.ledger = Ledger(broker.attendance, self.book.wake, clock=clock)
        """What this process holds."""

    # What fronts and applications call.

    def visit(
        self,
        *,
        user: Any = None,
        channels: tuple[str, ...] = (),
        presence: Presence | None = None,
        limits: Iterable[tuple[str, int]] = (),
    ) -> Visit:
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
        visit = Visit(self, key, channels, presence, tuple(limits))
        with self._lock:
            self._expected.add(visit)
        self._listen()
        return visit

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
        Ask again whether streams may go on, in all processes. See :meth:`Hub.reauthorize`.

        """
        self._order("reauthorize", user, channel, {})

    def present(self, channel: str) -> list[Present]:
        """
        Return who is on a channel.

        """
        check_channel(channel)
        return self._broker.attendance.present(channel)

    # What visits call.

    def begun(self, visit: Visit) -> None:
        """
        Note that a stream has been opened.

        """
        with self._lock:
            self._visits[visit] = None
            self._expected.discard(visit)
        self._listen()
        if self._every is not None and visit.user is not None:
            self._asking.wake()

    def ended(self, visit: Visit) -> None:
        """
        Note that a stream has ended. It never blocks. Idempotent.

        """
        with self._lock:
            self._expected.discard(visit)
            self._visits.pop(visit, None)
            self._listen_no_more()

    def review(self) -> None:
        """
        Let go of what nobody needs. Called now and then; it may block.

        """
        with self._lock:
            self._listen_no_more()
        self._broker.attendance.sweep()

    # What the hub calls.

    def put(self, message: Message) -> None:
        """
        Take an order.

        """
        order = message.meta or {}
        found = self._find(order.get("user"), order.get("channel"))
        if message.event == "disconnect":
            for visit in found:
                visit.dismiss(order["reason"], order["for_good"])
        elif message.event == "reauthorize":
            self._doubt(found)

    def interrupted(self) -> None:
        """
        Note that orders may be missing: ask about everybody, if there is anybody to ask.

        """
        if self._recheck() is not None:
            self._doubt(self._find(None, None))

    def degraded(self, problem: str | None) -> None:
        """
        Note that nothing arrives for now. Orders wait in the broker until it does again.

        """

    def _order(self, kind: str, user: Any, channel: str | None, arguments: dict[str, Any]) -> None:
        if user is None and channel is None:
            raise ConfigurationError(kind, "needs a user or a channel")
        if channel is not None:
            check_channel(channel)
        key = None if user is None else user_key(user)
        meta = {"user": key, "channel": channel, **arguments}
        self._broker.publish(ORDERS, b"", event=kind, meta=meta)

    def _find(self, user: str | None, channel: str | None) -> list[Visit]:
        with self._lock:
            everybody = [*self._visits, *self._expected]
        return [
            visit
            for visit in everybody
            if (user is None or visit.user == user)
            and (channel is None or channel in visit.channels)
        ]

    def _listen(self) -> None:
        if self._is_listening:
            return
        try:
            self._hub.dispatch.add(self, (ORDERS,))
            self._is_listening = True
        except BrokerUnavailable as exc:
            # A stream of channels ends by itself then. Another one is reached as soon as another
            # is opened.
            logger.warning("streams cannot be ended from other processes now: %s", exc)

    def _listen_no_more(self) -> None:
        if self._is_listening and not self._visits and not self._expected:
            self._is_listening = False
            self._hub.dispatch.remove(self, (ORDERS,))

    def _keep_book(self) -> float | None:
        was_told = self._is_told
        try:
            delay = self.ledger.settle()
            self._is_told = True
            return delay
        except BrokerUnavailable as exc:
            self._is_told = False
            if was_told:
                logger.warning("who is present is told later: %s", exc)
            return PAUSE

    def _doubt(self, visits: list[Visit]) -> None:
        if self._recheck() is None:
            for visit in visits:
                visit.dismiss("", False)
            return
        self._doubted.update(dict.fromkeys(visits))
        self._asking.wake()

    def _ask(self) -> float | None:
        now = self._clock()
        if self._every is not None and now >= self._next_round:
            self._next_round = now + self._every * random.uniform(0.9, 1.0)
            self._doubted.update(dict.fromkeys(v for v in list(self._visits) if v.user is not None))
        failed = self._ask_about(self._take_doubted())
        self._doubted.update(dict.fromkeys(failed))
        if failed:
            return RETRY
        if self._every is not None and any(v.user is not None for v in list(self._visits)):
            return max(0.0, self._next_round - self._clock())
        return None

    def _take_doubted(self) -> list[Visit]:
        doubted = []
        while self._doubted:
            doubted.append(self._doubted.popitem()[0])
        return doubted

    def _ask_about(self, visits: list[Visit]) -> list[Visit]:
        # Once for all streams of a user that have the same channels. Returns whom to ask about
        # again.
        same = defaultdict(list)
        for visit in visits:
            same[visit.user, visit.channels].append(visit)
        hook, failed = self._recheck(), []
        if hook is None:
            return []
        for (user, channels), some in same.items():
            try:
                with self._within():
                    allowed = hook(user, channels)
            except Exception:
                logger.exception("asking whether a stream may go on failed")
                failed += [visit for visit in some if not self._give_up(visit)]
                continue
            for visit in some:
                visit.failures = 0
                if not is_yes(allowed, "recheck"):
                    logger.info("a stream of %s has lost its permission", user)
                    visit.dismiss("", False)
        return failed

    def _give_up(self, visit: Visit) -> bool:
        visit.failures += 1
        if visit.failures < PATIENCE:
            return False
        visit.dismiss("", False)
        return True
