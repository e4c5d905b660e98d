"""A stream that relays channels: where it starts, what it skips, and when it gives up."""

from __future__ import annotations

import contextvars
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..brokers.base import Message, Position, check_channel
from ..closing import CloseReason, End
from ..event import ServerSentEvent
from ..exceptions import BrokerUnavailable, ConfigurationError
from ..feed import Encode, FeedSource
from ..runtime import Signal
from ..validation import is_whole
from .dispatcher import degraded_event
from .hub import Hub
from .mailbox import Mailbox, Overflow, join
from .resume import ChannelReader
from .selection import ANYTHING, Selection
from .user_stream import UserStream

__all__ = ["ChannelFeed", "Filter", "Subscription"]

logger = logging.getLogger("sse_sync")

# Events of at least this many bytes are chunks of their own.
LARGE = 4096

Filter = Callable[[str | None, str | None, Mapping[str, Any]], bool]
"""Takes an event's type, key and meta; returns whether this subscriber gets it."""


@dataclass(frozen=True)
class Subscription(FeedSource):
    """What a stream is to relay. A source for :class:`~sse_sync.EventStream`."""

    hub: Hub
    """The hub of the channels."""
    channels: tuple[str, ...]
    """Names of channels."""
    last_event_id: str | None = None
    """Where the client left off; untrusted."""
    filter: Filter | None = None
    """Selects the events that this client gets; :obj:`None` for all."""
    selection: Selection = ANYTHING
    """Where a new client starts, and what it gets."""
    snapshot: Callable[[], Iterable[Any]] | None = None
    """Returns events that describe the current state, for a client that does not resume."""
    overflow: Overflow = Overflow.DISCONNECT
    """What happens when the client is slower than its events."""
    max_events: int = 1000
    """Events that may wait for the client."""
    max_bytes: int = 1 << 20
    """Bytes that may wait for the client."""
    tell_degraded: bool = False
    """Whether ``stream-degraded`` events tell the client when no events can arrive, and when they
    can again."""
    user_stream: UserStream | None = None
    """The user and channels the stream is counted and shown under."""
    is_whole: bool = False
    """Whether it is a job's output, all of which is in the history for whoever lacks some of it."""

    def __post_init__(self) -> None:
        if not self.channels:
            raise ConfigurationError("channels", "must name at least one channel")
        for channel in () if self.is_whole else self.channels:
            check_channel(channel)
        if self.selection.replay is not None and self.snapshot is not None:
            raise ConfigurationError(
                "replay", "and snapshot both give a new client what it lacks: give one"
            )
        for name in ("max_events", "max_bytes"):
            value = getattr(self, name)
            if not is_whole(value) or value < 1:
                raise ConfigurationError(name, f"must be a positive whole number, not {value!r}")

    @property
    def ends_by_itself(self) -> bool:  # type: ignore[override]
        """Whether it is a job's output, which has an end."""
        return self.is_whole

    @property
    def is_at_hand(self) -> bool:
        """Whether neither the broker nor the application has to be asked first."""
        if self.last_event_id is not None or self.snapshot is not None:
            return False
        if not self.selection.is_present:
            return False
        if self.user_stream is not None and self.user_stream.presence is not None:
            return False
        return self.hub.dispatcher.receives(self.channels)

    def open(
        self, signal: Signal, encode: Encode, context: contextvars.Context, *, plain: bool = False
    ) -> ChannelFeed:
        """Return the feed of a stream. Snapshot and filter run in the context."""
        return ChannelFeed(self, signal, encode, context, plain=plain)


class ChannelFeed:
    """A :class:`~sse_sync.feed.Feed` from channels, and a subscriber to them."""

    # Slots, because with thousands of streams each dictionary is a cache miss per event.
    __slots__ = (
        *("_asks", "_context", "_degraded", "_encode", "_is_plain", "_is_replaying"),
        *("_ready", "_signal", "done", "end", "error", "mailbox", "reader", "reason"),
        "subscription",
        "__weakref__",
    )

    clients = 1

    def __init__(
        self,
        subscription: Subscription,
        signal: Signal,
        encode: Encode,
        context: contextvars.Context,
        *,
        plain: bool = False,
    ) -> None:
        self.done = False
        self.error: BaseException | None = None
        self.reason = CloseReason.FINISHED
        self.end: End | None = None
        self.subscription = subscription
        """What it relays."""
        self.reader = ChannelReader(
            *(subscription.hub, subscription.channels, subscription.selection),
            None if subscription.filter is None else _accepting(subscription.filter),
            tells=not plain,
        )
        """The client's place in the history."""
        self.mailbox = Mailbox(
            subscription.max_events, subscription.max_bytes, subscription.overflow
        )
        """Events that have arrived, and have not been filtered yet."""
        # Whether events have to be looked at one by one.
        self._asks = bool(subscription.filter or subscription.selection.until)
        self._signal = signal
        self._encode = encode
        self._context = context
        self._is_plain = plain
        self._ready: deque[bytes] = deque()
        self._is_replaying = False
        self._degraded: bool | None = None

    # What the stream calls.

    def start(self) -> None:
        """Register, and read what the client missed."""
        try:
            self._context.run(self._begin)
        except Exception as exc:
            self._fail(exc)

    def take(self) -> bytes | None:
        if self._is_live():
            # The usual case by far: none of the application's code runs, and nothing can fail.
            if not self.mailbox:
                return None
            messages = self.mailbox.take()
            # Interrupted just now, so that these may come after a gap. They will be read again.
            new = () if self.reader.has_missed else self.reader.follow(messages)
            wires = [message.wire for message in new]
            if len(wires) == 1:
                return wires[0]
            self._ready.extend(wires)
        elif not self._ready and not self.done:
            try:
                if self.reader.has_missed:
                    self._context.run(self._start_again)
                elif self._is_replaying:
                    self._context.run(self._replay_on)
                else:
                    self._context.run(self._collect)
            except Exception as exc:
                self._fail(exc)
        if self._degraded is not None and not self.done:
            degraded, self._degraded = self._degraded, None
            self._ready.append(degraded_event(degraded))
        ready = self._ready
        if not ready:
            if self.reader.has_missed:
                self._signal.set()  # To be checked again at once.
            return None
        # All streams share a large event; joined with others it would be copied in each stream.
        alone = len(ready) == 1 or len(ready[0]) >= LARGE
        return ready.popleft() if alone else join(ready)

    def rest(self, end: End) -> tuple[bytes, End]:
        # What was published before the application ended the stream belongs to it.
        if end.reason is CloseReason.CLOSED and self.error is None:
            if self.reader.has_missed or self._is_replaying:
                end = End(CloseReason.INTERRUPTED)
            else:
                end = self._collect_rest(end)
        rest = b"".join(self._ready)
        self._ready.clear()
        return rest, end

    def _collect_rest(self, end: End) -> End:
        overflowed = self.mailbox.overflowed
        try:
            self._context.run(self._collect)
        except Exception as exc:
            self._fail(exc)
            return End(CloseReason.FAILED)
        return End(CloseReason.OVERFLOWED) if overflowed else end

    def wait(self) -> None:
        self._signal.wait()

    def stop(self) -> None:
        self.done = True
        self.reader.stop(self)

    # What a hand-off calls.

    def why_not_handed_off(self) -> str:
        """Return why it must stay with its request; an empty string if it need not."""
        if self.subscription.filter is not None:
            return "its filter needs the request"
        if self._ready or self._is_replaying or self._degraded is not None:
            return "it still has events to send"
        if not self.reader.is_current:
            return "it may have missed events"
        return ""

    # What the dispatcher calls.

    def put(self, message: Message) -> None:
        self.mailbox.put(message)
        self._signal.set()

    def interrupted(self) -> None:
        self.reader.has_missed = True
        self._signal.set()

    def degraded(self, problem: str | None) -> None:
        if self.subscription.tell_degraded and not self._is_plain:
            self._degraded = problem is not None
            self._signal.set()

    def _begin(self) -> None:
        wanted = self.subscription
        here = self.reader.start(self)
        if wanted.user_stream is not None:
            # So that the snapshot includes the user, and the announcement comes after it.
            wanted.user_stream.arrive()
        if wanted.last_event_id is not None:
            self._return(Position.parse(wanted.last_event_id))
        elif wanted.selection.since is not None:
            self._return(wanted.selection.since, is_new=True)
        elif wanted.selection.replay is not None:
            self._begin_in_history()
        else:
            self.reader.seen = here
            self._say_position("stream-open")
            self._say_state()
        if wanted.hub.problem is not None:
            self.degraded(wanted.hub.problem)

    def _return(self, after: Position | None, *, is_new: bool = False) -> None:
        told = "stream-open" if is_new else ""
        if after is None or not self._replay(self.reader.bounded(after), told):
            # Not while the broker is unavailable: a page that loads anew would have no position
            # again, and load anew at once.
            self._reset(self.reader.present())

    def _begin_in_history(self) -> None:
        if not self._begins_in_history():
            self._reset(self.reader.present())  # The broker has begun another epoch.

    def _begins_in_history(self, told: str = "stream-open") -> bool:
        after = self.reader.beginning(self.subscription.max_bytes)
        return after is not None and self._replay(after, told)

    def _replay(self, after: Position, told: str = "") -> bool:
        # Read as much history as may wait for the client. What arrives meanwhile is in the history,
        # too, if it is kept at all. Return whether nothing is missing.
        self.mailbox.clear()
        most = self.subscription.max_bytes
        messages = self.reader.read(after, most)
        self._is_replaying = False
        if messages is None:
            return False
        self.reader.seen = self.reader.opening(after, messages) if told else after
        if told:
            self._say_position(told)
        size = 0
        for at, message in enumerate(messages, 1):
            size += len(message.body)
            if size >= most:
                # Perhaps there is more to read, or more was read than may wait.
                self._is_replaying = True
                messages = messages[:at]
                break
        self._follow(messages)
        if not self._is_replaying:
            self.reader.caught_up()
        return True

    def _start_again(self) -> None:
        # The process may have missed events. This client resumes if it can: it may even have moved
        # to a new epoch before the process noticed. Otherwise it needs the state again.
        self.mailbox.clear()
        here, seen = self.reader.start(self), self.reader.seen
        if seen.epoch != here.epoch or not self._replay(seen):
            self._reset(here)

    def _reset(self, here: Position) -> None:
        is_whole = self.subscription.is_whole and not self._is_plain
        if is_whole and self._begins_in_history("stream-reset"):
            return
        self._is_replaying = False
        self.reader.seen = here
        self.reader.caught_up()
        if self._is_plain:
            # There is no event of ours that could say it.
            self._end(CloseReason.INTERRUPTED)
        else:
            self._say_position("stream-reset")
            self._say_state()

    def _say_position(self, event: str) -> None:
        if not self._is_plain:
            # An event with data, because Firefox and WebKit do not commit the id of one without.
            self._ready.append(ServerSentEvent("", event=event, id=str(self.reader.seen)).encode())

    def _say_state(self) -> None:
        if self.subscription.snapshot is not None:
            self._ready.extend(self._encode(item) for item in self.subscription.snapshot())

    def _replay_on(self) -> None:
        # In a loop, until the filter accepts something.
        while self._is_replaying and not self._ready and not self.reader.has_missed:
            if not self._replay(self.reader.seen):
                self._reset(self.reader.present())
        if not self._ready and not self.reader.has_missed:
            self._collect()  # What has arrived meanwhile.

    def _is_live(self) -> bool:
        # Whether there is nothing to do but to pass on what the mailbox holds.
        return not (
            self._ready
            or self.done
            or self._asks
            or self.mailbox.overflowed
            or self.reader.has_missed
            or self._is_replaying
            or self._degraded is not None
        )

    def _collect(self) -> None:
        # In this order: events from before the overflow are sent without a gap.
        overflowed = self.mailbox.overflowed
        messages = self.mailbox.take()
        if messages:
            self._follow(messages)
        if overflowed and not self._ready and not self.reader.has_missed:
            self._is_replaying = self.subscription.is_whole
            self._replay_on() if self._is_replaying else self._end(CloseReason.OVERFLOWED)

    def _follow(self, messages: Sequence[Message]) -> None:
        until = self.subscription.selection.until
        for message in self.reader.follow(messages):
            self._ready.append(message.wire)
            if message.event in until:
                self.end = message.end
                self._end(CloseReason.FINISHED)
                break

    def _end(self, reason: CloseReason) -> None:
        self.reason = reason
        self.done = True

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self._end(CloseReason.FAILED)
        channels = ", ".join(self.subscription.channels)
        if isinstance(error, BrokerUnavailable):
            logger.error("cannot subscribe to %s, ending the stream: %s", channels, error)
        else:
            logger.error(
                "the subscription to %s failed; ending the stream", channels, exc_info=error
            )


def _accepting(accepts: Filter) -> Callable[[Message], bool]:
    # Not the feed's method: the feed holds its reader, and neither could be freed at once.
    return lambda message: accepts(message.event, message.key, message.meta or {})
