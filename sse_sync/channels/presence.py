"""
What this process holds: people on channels, and streams by name; and how the others learn it.

Theory of operation. Streams change the tracker, which notes what has changed; nothing blocks but
who asks whether one more stream is allowed, or wants to be known as present before it goes on.
:meth:`PresenceTracker.flush` tells the broker's presence store what is different now, one caller
at a time, so that a departure never overtakes an arrival that came after it. What could not be
told is told the next time.

"""

from __future__ import annotations

import heapq
import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..brokers.presence import LEASE, Join, Leave, PresenceEvent, PresenceStore
from ..event import ServerSentEvent
from ..exceptions import BrokerUnavailable, ConfigurationError, EventError
from ..runtime.process import Clock, monotonic, native_lock

__all__ = ["PresenceTracker", "Presence", "user_channel", "user_key"]

logger = logging.getLogger("sse_sync")

# Event types with which coming and leaving are announced.
ANNOUNCED = ("presence-join", "presence-leave")

# Seconds between two reports, so that three may fail before the lease is over.
TICK = LEASE / 4

# Seconds to wait for others who tell the broker something.
PATIENCE = 3.0

# Bytes of what others see of somebody: everybody who asks gets that of everybody.
MAX_INFO = 16 * 1024

# Seconds longer than a grace that are waited, so that it is certainly over.
MARGIN = 0.005


@dataclass(frozen=True)
class Presence:
    """How a stream shows that its user is there."""

    user: str
    """Who."""
    info: Any = None
    """Anything that JSON can express, for others to see."""
    grace: float = 5.0
    """Seconds after the last stream's end for which the user is still taken to be there."""
    announce: tuple[str, str] | None = None
    """Event types with which coming and leaving are published; :obj:`None` for not at all."""

    def __post_init__(self) -> None:
        grace = self.grace
        if isinstance(grace, bool) or not isinstance(grace, (int, float)) or not 0 <= grace <= 3600:
            raise ConfigurationError("grace", "must be 0 to 3600 seconds")
        try:
            self.arrival("")
            size = len(json.dumps(self.info))
        except (EventError, TypeError, ValueError) as exc:
            raise ConfigurationError("presence", f"cannot be announced: {exc}") from exc
        if size > MAX_INFO:
            raise ConfigurationError("info", f"must be at most {MAX_INFO:,} bytes as JSON")

    @classmethod
    def of(
        cls, user: Any, info: Any, grace: float, announce: bool | Sequence[str]
    ) -> Presence | None:
        """
        Return how a stream shows its user, as the fronts' ``subscribe()`` is told.

        Args:
            user: Text, a number or a UUID; :obj:`None` for nobody.
            info: Anything that JSON can express.
            grace: Seconds after the end.
            announce: Whether to announce, or the two event types with which.

        Raises:
            ConfigurationError: If one is unusable, or there is info but no user.

        """
        if user is None:
            if info is not None or announce:
                raise ConfigurationError(
                    "presence", "must name the user to whom info and announce apply"
                )
            return None
        kinds = ANNOUNCED if announce is True else tuple(announce or ())
        if len(kinds) not in (0, 2) or isinstance(announce, str):
            raise ConfigurationError("announce", "must be True, or two event types")
        return cls(user_key(user), info, grace, (kinds[0], kinds[1]) if kinds else None)

    def arrival(self, channel: str) -> Join:
        """
        Return what the presence store is told.

        Args:
            channel: Where the user is.

        Raises:
            EventError: If the event types or the info cannot be sent.

        """
        if self.announce is None:
            return Join(channel, self.user, self.info)
        told = [
            PresenceEvent(kind, self.user, ServerSentEvent(self._data(), event=kind).encode())
            for kind in self.announce
        ]
        return Join(channel, self.user, self.info, *told)

    def _data(self) -> dict[str, Any]:
        return {"user": self.user, "info": self.info}


_At = tuple[str, str]


@dataclass
class _Held:
    arrival: Join
    grace: float
    streams: int = 0


class PresenceTracker:
    """
    Keep what this process holds. Its methods may be called from any thread or greenlet.

    Args:
        store: The broker's presence store.
        changed: Called when :meth:`flush` has something to do; it must not block.
        clock: Tells the time.

    """

    def __init__(
        self,
        store: PresenceStore,
        changed: Callable[[], object],
        *,
        clock: Clock = monotonic,
    ) -> None:
        self._store = store
        self._changed = changed
        self._clock = clock
        # Held while the dictionaries change; nothing blocks or calls out under it.
        self._lock = native_lock()
        # Held while the broker is told or asked.
        self._telling = threading.Lock()
        self._here: dict[_At, _Held] = {}
        self._counts: dict[str, int] = {}
        # What the book may say of us, and what it has to be told.
        self._told: set[_At] = set()
        self._stale: dict[_At | str, None] = {}
        # When somebody's grace is over.
        self._graces: list[float] = []
        self._begun = False
        self._told_at = clock()

    def enter(self, channel: str, presence: Presence) -> None:
        """Note a stream that shows its user on a channel."""
        at = channel, presence.user
        arrival = presence.arrival(channel)
        with self._lock:
            held = self._here.get(at)
            # Without streams its departure is about to be told, or is being told right now.
            is_new = held is None or not held.streams or held.arrival != arrival
            if held is None:
                held = self._here[at] = _Held(arrival, presence.grace)
            held.arrival, held.grace = arrival, presence.grace
            held.streams += 1
            if is_new:
                self._stale[at] = None

    def leave(self, channel: str, presence: Presence) -> None:
        """Note that such a stream has ended. It never blocks."""
        at = channel, presence.user
        with self._lock:
            held = self._here[at]
            held.streams -= 1
            if not held.streams:
                held.grace = presence.grace
                self._stale[at] = None
        self._changed()

    def take_place(self, name: str, limit: int) -> bool:
        """
        Note one more stream of a name, unless there are as many as there may be.

        Where the other processes cannot be asked, those of this one count.

        Args:
            name: Whose streams.
            limit: How many all processes may have.

        """
        # Taken before anybody is asked, so that others who ask meanwhile count it. What the book
        # says then may be older than what holds, so it is told once more.
        with self._lock:
            own = self._counts[name] = self._counts.get(name, 0) + 1
            self._stale[name] = None
        allowed = False
        try:
            allowed = own <= limit and self._store.count(name, own, limit)
        except BrokerUnavailable as exc:
            logger.warning("stream limits cover only this process for now: %s", exc)
            allowed = True
        finally:
            if not allowed:
                with self._lock:
                    self._counts[name] -= 1
                    # What was told meanwhile is one too many.
                    self._stale[name] = None
            self._changed()
        return allowed

    def give_place(self, name: str) -> None:
        """Note one stream less. It never blocks."""
        with self._lock:
            self._counts[name] -= 1
            self._stale[name] = None
        self._changed()

    def flush(self) -> float | None:
        """
        Tell the broker what has changed, and that this process lives.

        Returns:
            Seconds until it has to be called again; :obj:`None` if there is nothing left.

        Raises:
            BrokerUnavailable: If it cannot be told now.

        """
        with self._asking():
            self._tell()
            if self._here or self._counts or self._stale:
                delay = TICK
            elif not self._graces:
                return None
            else:
                delay = LEASE
            if self._graces:
                delay = min(delay, max(0.0, self._graces[0] - self._clock()))
            return delay

    def tell(self) -> None:
        """
        Tell the broker what has changed, unless somebody else has done so meanwhile, and that this
        process lives, unless it has been told lately.

        Raises:
            BrokerUnavailable: If it cannot be told now.

        """
        with self._asking():
            is_late = self._clock() > self._told_at + 2 * TICK
            if self._stale or (is_late and (self._here or self._counts)):
                self._tell()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        if not self._telling.acquire(timeout=PATIENCE):
            raise BrokerUnavailable("the broker", "timed out while others reported presence")
        try:
            yield
        finally:
            self._telling.release()

    def _tell(self) -> None:
        with self._lock:
            stale, self._stale = self._stale, {}
        try:
            if not self._report(stale):
                # It has forgotten us: everything once more. What was begun before counts, too.
                with self._lock:
                    everything: dict[_At | str, None] = {
                        **dict.fromkeys(self._here),
                        **dict.fromkeys(self._told),
                        **dict.fromkeys(self._counts),
                    }
                self._report(everything)
        except BaseException:
            with self._lock:
                self._stale = {**stale, **self._stale}
                if self._begun:
                    # What of it was told is not certain.
                    self._stale.update(dict.fromkeys(self._told))
            raise

    def _report(self, stale: dict[_At | str, None]) -> bool:
        reports: list[Join | Leave] = []
        counts: dict[str, int] = {}
        with self._lock:
            for at in stale:
                if isinstance(at, str):
                    counts[at] = self._counts.get(at, 0)
                    continue
                held = self._here.get(at)
                if held is not None and held.streams:
                    reports.append(held.arrival)
                    self._told.add(at)
                elif at in self._told:
                    grace = held.grace if held is not None else 0.0
                    reports.append(Leave(*at, grace))
                elif held is not None:
                    del self._here[at]  # Come and gone before anybody was told.
        began, self._begun = self._begun, True
        known = self._store.report(reports, counts)
        self._told_at = self._clock()
        self._forget(reports, counts)
        return known or not began

    def _forget(self, reports: list[Join | Leave], counts: dict[str, int]) -> None:
        now = self._clock()
        with self._lock:
            while self._graces and self._graces[0] <= now:
                heapq.heappop(self._graces)
            for each in reports:
                if isinstance(each, Leave):
                    at = each.channel, each.user
                    self._told.discard(at)
                    heapq.heappush(self._graces, now + each.grace + MARGIN)
                    held = self._here.get(at)
                    if held is not None and not held.streams:
                        del self._here[at]
            for name, own in counts.items():
                if not own and not self._counts.get(name, 0):
                    self._counts.pop(name, None)


def user_key(user: Any) -> str:
    """
    Return the text by which a user is known.

    Args:
        user: Text, a number or a UUID.

    Raises:
        ConfigurationError: If it is anything else, or no text of 1 to 200 printable characters.

    """
    if isinstance(user, bool) or not isinstance(user, (str, int, uuid.UUID)):
        raise ConfigurationError(
            "user", f"must be text, a number or a UUID, not {type(user).__name__}"
        )
    key = str(user)
    if not 0 < len(key) <= 200 or not key.isprintable():
        raise ConfigurationError("user", "must have 1 to 200 printable characters")
    return key


def user_channel(user: Any) -> str:
    """
    Return the name of a user's own channel: subscribe to it, and publish to it, to reach the user
    wherever streams are open.

    Args:
        user: Text, a number or a UUID.

    Raises:
        ConfigurationError: If it is anything else, or too long.

    """
    return f"user:{user_key(user)}"
