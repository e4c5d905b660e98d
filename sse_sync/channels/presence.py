"""
Who is present in this process, how many streams it has by name, and how the broker learns that.

Theory of operation. Streams change the tracker, which records what has changed. Only two calls
block: asking for one more stream, and reporting a user as present before its stream goes on.
:meth:`PresenceTracker.flush` reports the changes to the broker's presence store, one caller at a
time, so that a leave never overtakes the join that followed it. A report that fails is repeated.
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
from ..jsonable import Dumps, to_json
from ..runtime.process import Clock, monotonic, native_lock
from ..validation import is_number, is_whole

__all__ = ["PresenceTracker", "Presence", "user_channel", "user_key"]

logger = logging.getLogger("sse_sync")

# Event types with which coming and leaving are announced.
ANNOUNCED = ("presence-join", "presence-leave")

# Seconds between two reports, so that three may fail before the lease is over.
TICK = LEASE / 4

# Seconds to wait for another caller that reports.
PATIENCE = 3.0

# Bytes of what others see of a user: whoever asks gets that of everybody.
MAX_INFO = 16 * 1024

# Seconds that are added to a grace, so that it is certainly over.
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
        if not is_number(grace) or not 0 <= grace <= 3600:
            raise ConfigurationError("grace", "must be 0 to 3600 seconds")
        try:
            self.join("")
            size = len(json.dumps(self.info))
        except (EventError, TypeError, ValueError) as exc:
            raise ConfigurationError("presence", f"cannot be announced: {exc}") from exc
        if size > MAX_INFO:
            raise ConfigurationError("info", f"must be at most {MAX_INFO:,} bytes as JSON")

    @classmethod
    def of(
        cls,
        user: Any,
        info: Any,
        grace: float,
        announce: bool | Sequence[str],
        dumps: Dumps = json.dumps,
    ) -> Presence | None:
        """
        Return how a stream shows its user, from the arguments of the fronts' ``subscribe()``.

        Args:
            user: Text, a number or a UUID; :obj:`None` for nobody.
            info: Anything that JSON can express.
            grace: Seconds after the end.
            announce: Whether to announce, or the two event types with which.
            dumps: Makes JSON of the info.

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
        try:
            # As JSON has it, so that those who see it get the same from every broker.
            info = json.loads(to_json(info, dumps))
        except (TypeError, ValueError) as exc:
            raise ConfigurationError("info", f"cannot be written as JSON: {exc}") from exc
        return cls(user_key(user), info, grace, (kinds[0], kinds[1]) if kinds else None)

    def join(self, channel: str) -> Join:
        """
        Return the report that the user is on a channel.

        Args:
            channel: Where the user is.

        Raises:
            EventError: If the event types or the info cannot be sent.
        """
        if self.announce is None:
            return Join(channel, self.user, self.info)
        events = [
            PresenceEvent(kind, self.user, ServerSentEvent(self._data(), event=kind).encode())
            for kind in self.announce
        ]
        return Join(channel, self.user, self.info, *events)

    def _data(self) -> dict[str, Any]:
        return {"user": self.user, "info": self.info}


_At = tuple[str, str]


@dataclass
class _Held:
    join: Join
    grace: float
    streams: int = 0


class PresenceTracker:
    """
    Keep who is present in this process, and how many streams it has by name.

    Its methods may be called from any thread or greenlet.

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
        # Held while the broker is asked or gets a report.
        self._reporting = threading.Lock()
        self._here: dict[_At, _Held] = {}
        self._counts: dict[str, int] = {}
        # What the broker may believe of this process, and what has to be reported.
        self._reported: set[_At] = set()
        self._stale: dict[_At | str, None] = {}
        # When somebody's grace is over.
        self._graces: list[float] = []
        self._begun = False
        self._reported_at = clock()

    def enter(self, channel: str, presence: Presence) -> None:
        """Record a stream that shows its user on a channel. It never blocks."""
        at = channel, presence.user
        join = presence.join(channel)
        with self._lock:
            held = self._here.get(at)
            # Without streams its leave is about to be reported, or is being reported right now.
            is_new = held is None or not held.streams or held.join != join
            if held is None:
                held = self._here[at] = _Held(join, presence.grace)
            held.join, held.grace = join, presence.grace
            held.streams += 1
            if is_new:
                self._stale[at] = None

    def leave(self, channel: str, presence: Presence) -> None:
        """Record that such a stream has ended. It never blocks."""
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
        Count one more stream under a name, unless there are as many as there may be.

        While the broker is unavailable, only the streams of this process count.

        Args:
            name: Whose streams.
            limit: How many all processes may have.
        """
        # Taken before the broker is asked, so that other callers count it meanwhile. The broker's
        # number may then be older than this one, so it is reported once more.
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
                    # What was reported meanwhile is one too many.
                    self._stale[name] = None
            self._changed()
        return allowed

    def give_place(self, name: str) -> None:
        """Count one stream less under a name. It never blocks."""
        with self._lock:
            self._counts[name] -= 1
            self._stale[name] = None
        self._changed()

    def flush(self) -> float | None:
        """
        Report what has changed, and that this process lives.

        Returns:
            Seconds until it has to be called again; :obj:`None` if there is nothing left.

        Raises:
            BrokerUnavailable: If the broker does not get the report.
        """
        with self._asking():
            self._report_stale()
            if self._here or self._counts or self._stale:
                delay = TICK
            elif not self._graces:
                return None
            else:
                delay = LEASE
            if self._graces:
                delay = min(delay, max(0.0, self._graces[0] - self._clock()))
            return delay

    def report(self) -> None:
        """
        Report what has changed, unless another caller has done so meanwhile, and that this process
        lives, unless that was reported lately.

        Raises:
            BrokerUnavailable: If the broker does not get the report.
        """
        with self._asking():
            is_late = self._clock() > self._reported_at + 2 * TICK
            if self._stale or (is_late and (self._here or self._counts)):
                self._report_stale()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        if not self._reporting.acquire(timeout=PATIENCE):
            raise BrokerUnavailable("the broker", "timed out while others reported presence")
        try:
            yield
        finally:
            self._reporting.release()

    def _report_stale(self) -> None:
        with self._lock:
            stale, self._stale = self._stale, {}
        try:
            if not self._send(stale):
                # The broker has forgotten this process: report everything once more, those who
                # are about to leave, too.
                with self._lock:
                    everything: dict[_At | str, None] = {
                        **dict.fromkeys(self._here),
                        **dict.fromkeys(self._reported),
                        **dict.fromkeys(self._counts),
                    }
                self._send(everything)
        except BaseException:
            with self._lock:
                self._stale = {**stale, **self._stale}
                if self._begun:
                    # How much of it arrived is not certain.
                    self._stale.update(dict.fromkeys(self._reported))
            raise

    def _send(self, stale: dict[_At | str, None]) -> bool:
        reports: list[Join | Leave] = []
        counts: dict[str, int] = {}
        with self._lock:
            for at in stale:
                if isinstance(at, str):
                    counts[at] = self._counts.get(at, 0)
                    continue
                held = self._here.get(at)
                if held is not None and held.streams:
                    reports.append(held.join)
                    self._reported.add(at)
                elif at in self._reported:
                    grace = held.grace if held is not None else 0.0
                    reports.append(Leave(*at, grace))
                elif held is not None:
                    del self._here[at]  # Come and gone between two reports.
        began, self._begun = self._begun, True
        known = self._store.report(reports, counts)
        self._reported_at = self._clock()
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
                    self._reported.discard(at)
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
    if not is_whole(user) and not isinstance(user, (str, uuid.UUID)):
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
