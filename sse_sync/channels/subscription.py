"""
A stream that relays channels: where it begins, what it skips, and when it gives up.

"""

from __future__ import annotations

import contextvars
import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import runtime
from ..brokers.base import Message, Position, check_channel
from ..event import ServerSentEvent, encode
from ..exceptions import BrokerUnavailable, ConfigurationError
from ..feed import Encode, FeedSource
from ..parser import EventStreamParser
from ..runtime import Signal
from .dispatcher import degraded_event
from .hub import Hub
from .mailbox import MAX_CHUNK, Mailbox, Overflow
from .user_stream import UserStream

__all__ = ["ChannelFeed", "Filter", "Subscription", "listen"]

logger = logging.getLogger("sse_sync")

# Bytes of an event from which on it is a chunk of its own.
LARGE = 4096

Filter = Callable[[str | None, str | None, Mapping[str, Any]], bool]
"""Takes an event's type, key and meta; tells whether this subscriber gets it."""


@dataclass(frozen=True)
class Subscription(FeedSource):
    """
    What a stream shall relay. A source for :class:`~sse_sync.EventStream`.

    """

    hub: Hub
    """Where the channels are."""
    channels: tuple[str, ...]
    """Which channels."""
    last_event_id: str | None = None
    """Where the client left; untrusted."""
    filter: Filter | None = None
    """Which events this client gets; :obj:`None` for all."""
    snapshot: Callable[[], Iterable[Any]] | None = None
    """Returns events that tell the state, for a client that does not resume."""
    overflow: Overflow = Overflow.DISCONNECT
    """What happens when the client is slower than its events."""
    max_events: int = 1000
    """Events that may wait for the client."""
    max_bytes: int = 1 << 20
    """Bytes that may wait for the client."""
    tell_degraded: bool = False
    """Whether the client is told, in ``stream-degraded`` events, when nothing can arrive for now
    and when it can again."""
    visit: UserStream | None = None
    """Whose stream it is."""

    def __post_init__(self) -> None:
        if not self.channels:
            raise ConfigurationError("channels", "must name at least one channel")
        for channel in self.channels:
            check_channel(channel)
        for name in ("max_events", "max_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(name, f"must be a positive whole number, not {value!r}")

    @property
    def is_at_hand(self) -> bool:
        """
        Whether a feed has something to send as soon as it is started, without asking the broker or
        the application.

        """
        if self.last_event_id is not None or self.snapshot is not None:
            return False
        if self.visit is not None and self.visit.presence is not None:
            return False
        return self.hub.dispatch.receives(self.channels)

    def open(self, signal: Signal, encode: Encode, context: contextvars.Context) -> ChannelFeed:
        """
        Return the feed of a stream.

        Args:
            signal: Set whenever there is something to take.
            encode: Makes bytes of what the snapshot gives.
            context: Context variables for the snapshot and the filter.

        """
        return ChannelFeed(self, signal, encode, context)


class ChannelFeed:
    """
    A :class:`~sse_sync.streams.source.Feed` from channels.

    """

    def __init__(
        self,
        subscription: Subscription,
        signal: Signal,
        encode: Encode,
        context: contextvars.Context,
    ) -> None:
        self.done = False
        self.error: BaseException | None = None
        self.overflowed = False
        """Whether the client was too slow, so that the stream has to end."""
        self._subscription = subscription
        self._signal = signal
        self._encode = encode
        self._context = context
        self._mailbox = Mailbox(
            subscription.max_events, subscription.max_bytes, subscription.overflow
        )
        self._ready: deque[bytes] = deque()
        self._behind: Position | None = None
        # How often the process had been interrupted when it began.
        self._generation = -1
        self._interrupted = False
        self._replaying = False
        self._degraded: bool | None = None

    # What the stream calls.

    def start(self) -> None:
        """
        Register, and read what the client missed.

        """
        try:
            self._context.run(self._begin)
        except Exception as exc:
            self._fail(exc)

    def take(self) -> bytes | None:
        """
        Return everything that is there, up to a bound.

        """
        if self._has_nothing():
            return None
        if not self._ready and not self.done:
            try:
                interrupted, self._interrupted = self._interrupted, False
                if interrupted:
                    self._context.run(self._start_anew)
                elif self._replaying:
                    self._context.run(self._replay_on)
                elif self._subscription.filter is None:
                    self._collect()  # Nothing of the application's runs.
                else:
                    self._context.run(self._collect)
            except Exception as exc:
                self._fail(exc)
        if self._degraded is not None:
            self._say_degraded()
        ready = self._ready
        if not ready:
            return None
        # A large one is shared by all streams; put together with others it would be a copy in each.
        alone = len(ready) == 1 or len(ready[0]) >= LARGE
        return ready.popleft() if alone else _join(ready)

    def wait(self) -> None:
        """
        Wait for the signal.

        """
        self._signal.wait()

    def stop(self) -> None:
        """
        Leave the channels.

        """
        self.done = True
        self._subscription.hub.dispatch.remove(self, self._subscription.channels)

    # What a hand-off calls.

    @property
    def hub(self) -> Hub:
        """
        Where its channels are.

        """
        return self._subscription.hub

    def refusal(self) -> str:
        """
        Return why it has to stay with its request; an empty text if it does not.

        """
        if self._subscription.filter is not None:
            return "its filter needs the request"
        if self._ready or self._replaying or self._interrupted or self._degraded is not None:
            return "it still has events to send"
        if self._generation != self.hub.dispatch.interruptions:
            return "it may have missed events"
        return ""

    @property
    def behind(self) -> int:
        """
        Number of the position up to which the client has got everything.

        """
        return self._behind.number if self._behind is not None else 0

    @property
    def subscription(self) -> Subscription:
        """
        What it relays.

        """
        return self._subscription

    @property
    def mailbox(self) -> Mailbox:
        """
        What has come since it had nothing more.

        """
        return self._mailbox

    # What the hub calls.

    clients = 1
    """How many clients it stands for."""

    def put(self, message: Message) -> None:
        """
        Take an event.

        """
        self._mailbox.put(message)
        self._signal.set()

    def interrupted(self) -> None:
        """
        Note that events may be missing from here on.

        """
        self._interrupted = True
        self._signal.set()

    def degraded(self, problem: str | None) -> None:
        """
        Note that nothing arrives for now, or that it does again.

        """
        if self._subscription.tell_degraded:
            self._degraded = problem is not None
            self._signal.set()

    def _begin(self) -> None:
        wanted = self._subscription
        self._generation = wanted.hub.dispatch.interruptions
        here = wanted.hub.dispatch.add(self, wanted.channels)
        if wanted.visit is not None:
            # So that the snapshot shows the user, too, and the announcement comes behind it.
            wanted.visit.arrive()
        left = wanted.last_event_id
        if left is None:
            self._start_at(here, "stream-open")
            self._begin_degraded()
            return
        position = Position.parse(left)
        if position is None:
            self._start_at(here, "stream-reset")
        elif not self._replay(position):
            # Asked anew: if the store has begun another epoch, the process may not know yet.
            self._start_at(wanted.hub.position(), "stream-reset")
        self._begin_degraded()

    def _replay(self, behind: Position) -> bool:
        # As much of the history as may wait for the client; what comes meanwhile is in the history,
        # too, if it is kept at all. Returns whether nothing is missing.
        wanted = self._subscription
        self._mailbox.clear()
        history = wanted.hub.history(wanted.channels, behind, wanted.max_bytes)
        self._replaying = False
        if history.complete:
            self._behind = behind
            size = 0
            for at, message in enumerate(history.messages, 1):
                size += len(message.body)
                if size >= wanted.max_bytes:
                    # Perhaps not all of it was read, or not all of it is wanted now.
                    self._replaying = True
                    self._sort_out(history.messages[:at])
                    break
            else:
                self._sort_out(history.messages)
        return history.complete

    def _begin_degraded(self) -> None:
        if self._subscription.hub.problem is not None:
            self.degraded(self._subscription.hub.problem)

    def _say_degraded(self) -> None:
        degraded, self._degraded = self._degraded, None
        self._ready.append(degraded_event(bool(degraded)))

    def _start_at(self, here: Position, event: str) -> None:
        self._behind = here
        # An event with data, because Firefox and WebKit do not commit the id of one without.
        self._ready.append(ServerSentEvent("", event=event, id=str(here)).encode())
        if self._subscription.snapshot is not None:
            self._ready.extend(self._encode(item) for item in self._subscription.snapshot())

    def _start_anew(self) -> None:
        # The process may have missed something. This client has not if it resumed in a new epoch
        # before the process noticed that; otherwise it has to ask for the state again.
        wanted = self._subscription
        self._mailbox.clear()
        self._generation = wanted.hub.dispatch.interruptions
        here = wanted.hub.dispatch.add(self, wanted.channels)
        behind = self._behind
        if behind is None or behind.epoch != here.epoch or not self._replay(behind):
            self._replaying = False
            self._start_at(here, "stream-reset")

    def _replay_on(self) -> None:
        # In a loop, as long as the filter lets nothing pass.
        while self._replaying and not self._ready and not self._interrupted:
            assert self._behind is not None
            if not self._replay(self._behind):
                self._start_at(self._subscription.hub.position(), "stream-reset")
        if not self._ready and not self._interrupted:
            self._collect()  # What came meanwhile.

    def _has_nothing(self) -> bool:
        # What is most often asked.
        mailbox = self._mailbox
        return not (
            self._ready
            or mailbox
            or mailbox.overflowed
            or self._interrupted
            or self._replaying
            or self._degraded is not None
        )

    def _collect(self) -> None:
        # In this order: what was put before it overflowed is sent without a gap.
        overflowed = self._mailbox.overflowed
        messages = self._mailbox.take()
        if messages:
            self._sort_out(messages)
        if self._interrupted and not self._ready:
            self._signal.set()  # To be looked at again at once.
        elif overflowed and not self._ready:
            self.overflowed = self.done = True

    def _sort_out(self, messages: Sequence[Message]) -> None:
        accepts, behind = self._subscription.filter, self._behind
        for message in messages:
            position = message.position
            if behind is not None:
                if position.number <= behind.number:
                    continue  # It was in the history already, or before the stream began.
                if position.epoch != behind.epoch:
                    # The interruption has not been told yet, but it will; the client must not get
                    # a position behind it before.
                    self._interrupted = True
                    return
            self._behind = behind = position
            if accepts is None or accepts(message.event, message.key, message.meta or {}):
                self._ready.append(message.wire)

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self.done = True
        channels = ", ".join(self._subscription.channels)
        if isinstance(error, BrokerUnavailable):
            logger.error("cannot subscribe to %s, ending the stream: %s", channels, error)
        else:
            logger.error(
                "the subscription to %s failed; ending the stream", channels, exc_info=error
            )


def listen(
    hub: Hub,
    *channels: str,
    last_event_id: str | None = None,
    filter: Filter | None = None,
    tell_degraded: bool = False,
) -> Iterator[ServerSentEvent]:
    """
    Return the events of some channels as they come, for scripts and workers. It never ends.

    As to a client of a stream, it gives ``stream-open`` and ``stream-reset`` events, too.

    Args:
        hub: Where the channels are.
        channels: Names of channels.
        last_event_id: Where to go on; every event has its id.
        filter: Takes an event's type, key and meta; tells whether it is wanted.
        tell_degraded: Whether to give ``stream-degraded`` events.

    Raises:
        ConfigurationError: If a channel's name is unusable.
        BrokerUnavailable: If the broker cannot be reached at the beginning.

    """
    wanted = Subscription(
        hub, channels, last_event_id=last_event_id, filter=filter, tell_degraded=tell_degraded
    )
    return _listen(wanted)


def _listen(wanted: Subscription) -> Iterator[ServerSentEvent]:
    signal = runtime.current().signal()
    parser = EventStreamParser()
    while True:
        feed = wanted.open(signal, encode, contextvars.copy_context())
        try:
            feed.start()
            while not feed.done:
                chunk = feed.take()
                if chunk is None:
                    feed.wait()
                    continue
                for event in parser.feed(chunk):
                    if event.id is not None:
                        wanted = dataclasses.replace(wanted, last_event_id=event.id)
                    yield event
            if feed.error is not None:
                raise feed.error
            # The caller was slower than the events; it resumes, as a client does.
        finally:
            feed.stop()


def _join(chunks: deque[bytes]) -> bytes:
    taken: list[bytes] = []
    size = 0
    while chunks and (not taken or size + len(chunks[0]) <= MAX_CHUNK):
        taken.append(chunks.popleft())
        size += len(taken[-1])
    return b"".join(taken)
