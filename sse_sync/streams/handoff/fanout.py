"""
One subscriber for many connections: what their channels bring is framed once, and written to each.

Theory of operation. Connections that were handed off, and that have everything but their client in
common, share a fan-out. What it gets waits until the reactor's next turn; what has come by then
is one *round*: one buffer, and the connections that there are. The reactor writes it to some
hundred of them in each turn, so that it gets to other things in between. A connection that does
not take all of it keeps the rest, and what follows, in a mailbox of its own until its client has
caught up.

When events may have been missed, the fan-out tries to resume once for all of its connections, since
all have got the same; it does so in a greenlet or thread of its own, because it asks the broker.

"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ...brokers.base import Message, Position
from ...channels.dispatcher import degraded_event
from ...channels.hub import Hub
from ...channels.mailbox import Overflow
from ...channels.subscription import Subscription
from ...closing import CloseReason, End
from ...event import ServerSentEvent
from ...exceptions import BrokerUnavailable
from ...runtime.background import BackgroundTask
from ...runtime.process import native_lock
from ...runtime.reactor import Reactor
from ...settings import Options
from ..heartbeat import HEARTBEAT

__all__ = ["Fanout", "FanoutKey", "Recipient", "Batch", "fanout_for", "framed"]

logger = logging.getLogger("sse_sync")

# Seconds for which connections are written to before the reactor gets to anything else, and after
# how many of them the clock is looked at.
SLICE, LOOK_EVERY = 0.002, 32

# Bytes of one round. What comes together in a burst is one write to each client.
MAX_ROUND = 64 * 1024


@dataclass(frozen=True)
class FanoutKey:
    """
    What connections have in common that share a fan-out.

    """

    channels: tuple[str, ...]
    """What they relay."""
    chunked: bool
    """Whether they are framed as in HTTP/1.1."""
    bounds: tuple[int, int, Overflow]
    """Events and bytes that may wait for a client, and what happens when there are more."""
    tell_degraded: bool
    """Whether clients are told when nothing can arrive."""
    has_snapshot: bool
    """Whether a client that starts anew wants the state, which only its request can tell."""
    heartbeat: float | None
    """Seconds without anything sent after which a comment is sent."""
    write_timeout: float | None
    """Seconds that a client may take to accept what was sent."""
    closing_bytes: tuple[int, int, int, bool]
    """What of the options concerns the end: reconnection times, and whether it debugs."""

    @classmethod
    def of(cls, subscription: Subscription, options: Options, *, chunked: bool) -> FanoutKey:
        """
        Return the key of a stream.

        Args:
            subscription: What it relays.
            options: How it behaves.
            chunked: Whether it is framed as in HTTP/1.1.

        """
        return cls(
            channels=subscription.channels,
            chunked=chunked,
            bounds=(subscription.max_events, subscription.max_bytes, subscription.overflow),
            tell_degraded=subscription.tell_degraded,
            has_snapshot=subscription.snapshot is not None,
            heartbeat=options.heartbeat,
            write_timeout=options.write_timeout,
            closing_bytes=(
                *(options.retry, options.retry_stopping, options.retry_failed),
                options.debug,
            ),
        )


class Recipient(Protocol):
    """
    A connection, as its fan-out sees it. Only the reactor's driver calls it.

    """

    def send(self, frame: bytes) -> int:
        """
        Write as much as can be written now, and return how much that was.

        Raises:
            OSError: If nothing can.

        """

    def fell_behind(self, frame: bytes, sent: int) -> None:
        """
        Keep what could not be written.

        """

    def broke(self) -> None:
        """
        Note that nothing can be written any more.

        """

    def end_with(self, end: End) -> None:
        """
        End soon. It never blocks, and anything may call it.

        """


@dataclass
class Batch:
    """
    Something to be written to everybody.

    """

    frame: bytes
    """What to write."""
    messages: list[Message] | None
    """What it consists of; :obj:`None` for what is not worth being kept for who is behind."""
    members: Iterator[Recipient]
    """Who has not been written to yet."""
    is_reset: bool = False
    """Whether what follows does not go on where the last event was."""
    is_heartbeat: bool = False
    """Whether it is superfluous where something else is to be written."""


class Joined(NamedTuple):
    """
    Where a connection has joined a fan-out.

    """

    number: int
    """Number of the position behind which it gets everything."""
    is_settled: bool
    """Whether what it gets is later than what its process has received; otherwise the fan-out is
    catching up."""
    events: int
    """Events that were for those before it."""
    bytes: int
    """Bytes that were."""


class Fanout:
    """
    Write the events of some channels to many connections. A subscriber of the hub.

    Args:
        hub: Where the channels are.
        key: What the connections have in common.
        options: How their streams behave.
        reactor: Writes.

    """

    def __init__(self, hub: Hub, key: FanoutKey, options: Options, reactor: Reactor) -> None:
        self.hub = hub
        """Where the channels are."""
        self.key = key
        """What the connections have in common."""
        self.options = options
        """How their streams behave."""
        self.reactor = reactor
        """What writes to them."""
        self.round: Batch | None = None
        """What is being written. Only the reactor's driver looks at it."""
        self.events = 0
        """Events that were written to everybody since the beginning."""
        self.bytes = 0
        """Bytes that were."""
        # Nothing blocks or calls out while it is held.
        self._lock = native_lock()
        self._members: dict[Recipient, None] = {}
        self._pending: list[Message] = []
        self._rounds: deque[Batch] = deque()
        self._is_writing = False
        self.is_over = False
        """Whether nobody can join any more."""
        self._latest = Position("", 0)
        # Events that came while it opens or catches up, and whether it has to do so again.
        self._held: list[Message] | None = []
        self._is_interrupted = False
        self._catching_up = BackgroundTask(self._catch_up, "sse-sync catching up")
        self._last_sent = reactor.clock()
        self._timer = None
        if key.heartbeat is not None:
            self._timer = reactor.call_at(self._last_sent + key.heartbeat, self._tick)

    @property
    def clients(self) -> int:
        """
        How many clients it stands for.

        """
        return len(self._members)

    def open(self) -> None:
        """
        Subscribe. It may block.

        Raises:
            BrokerUnavailable: If the channels cannot be received now.

        """
        here = self.hub.dispatch.add(self, self.key.channels)
        with self._lock:
            # Nobody has joined, so nobody misses what has come already.
            held, self._held = self._held or [], None
            later = [m.position for m in held if m.position.epoch == here.epoch]
            self._latest = max([here, *later], key=lambda position: position.number)

    def close(self) -> None:
        """
        Unsubscribe. It never blocks. Idempotent.

        """
        dispatch = self.hub.dispatch
        dispatch.remove(self, self.key.channels)
        name = self.key, self.reactor
        if dispatch.shared.get(name) is self:
            del dispatch.shared[name]
        if self._timer is not None:
            self._timer.cancel()

    def join(self, member: Recipient) -> Joined | None:
        """
        Write to a connection from the next event on.

        Returns:
            Where that is; :obj:`None` if it cannot join, because the last one has left meanwhile.

        """
        with self._lock:
            if self.is_over:
                return None
            # What came before is not for it.
            self._cut()
            self._members[member] = None
            return Joined(self._latest.number, self._held is None, self.events, self.bytes)

    def leave(self, member: Recipient) -> None:
        """
        Write to a connection no more. The last one closes the fan-out. Idempotent.

        """
        with self._lock:
            self._members.pop(member, None)
        self.close_if_unused()

    def close_if_unused(self) -> None:
        """
        Close it if there is nobody to write to. It never blocks. Idempotent.

        """
        with self._lock:
            if self._members:
                return
            self.is_over = True
        self.close()

    # What the hub calls.

    def put(self, message: Message) -> None:
        """
        Take an event.

        """
        with self._lock:
            if self.is_over:
                return
            if self._held is not None:
                self._held.append(message)
                return
            is_next = message.position.epoch == self._latest.epoch
            if is_next:
                self._take(message)
                self.hub.dispatch.delivered += len(self._members) - 1
        if is_next:
            self._write_soon()
        else:
            # The interruption has not been told yet, but it will.
            self.interrupted()

    def interrupted(self) -> None:
        """
        Note that events may be missing from here on.

        """
        with self._lock:
            self._is_interrupted = True
            if self._held is None:
                self._held = []
        self._catching_up.wake()

    def degraded(self, problem: str | None) -> None:
        """
        Note that nothing arrives for now, or that it does again.

        """
        if self.key.tell_degraded:
            self._say(degraded_event(problem is not None))

    # Writing.

    def _take(self, message: Message) -> None:
        if message.position.number > self._latest.number:
            self._latest = message.position
            self._pending.append(message)

    def _write_soon(self) -> None:
        with self._lock:
            if self._is_writing or not (self._pending or self._rounds):
                return
            self._is_writing = True
        self.reactor.call_soon(self._write)

    def _say(self, text: bytes) -> None:
        # Something that is no event of a channel, to those who are there.
        with self._lock:
            self._cut()
            self._add_round(text, is_heartbeat=text is HEARTBEAT)
        self._write_soon()

    def _add_round(self, text: bytes, messages: list[Message] | None = None, **kind: bool) -> None:
        if self._members:
            frame = framed(text, self.key.chunked)
            self._rounds.append(Batch(frame, messages, iter(list(self._members)), **kind))
            self.bytes += len(frame)
            self.events += len(messages or ())

    def _cut(self) -> None:
        # Who comes or goes now has no part in what is pending.
        while self._pending:
            some, size = [self._pending[0]], len(self._pending[0].wire)
            for message in self._pending[1:]:
                size += len(message.wire)
                if size > MAX_ROUND:
                    break
                some.append(message)
            del self._pending[: len(some)]
            body = b"".join([m.wire for m in some]) if len(some) > 1 else some[0].wire
            self._add_round(body, some)

    def _write(self) -> bool:
        # In the reactor.
        deadline = self.reactor.clock() + SLICE
        while True:
            if self.round is None:
                self.round = self._next_round()
                if self.round is None:
                    return False
            if not self._write_round(self.round, deadline):
                return True
            self.round = None

    def _next_round(self) -> Batch | None:
        with self._lock:
            if not self._rounds:
                self._cut()
            if not self._rounds:
                self._is_writing = False
                return None
            following = self._rounds.popleft()
        self._last_sent = self.reactor.clock()
        return following

    def _write_round(self, following: Batch, deadline: float) -> bool:
        # The hot loop: once per client and round. Returns whether everybody has been written to.
        frame, size, left = following.frame, len(following.frame), LOOK_EVERY
        for member in following.members:
            try:
                sent = member.send(frame)
            except BlockingIOError:
                sent = 0
            except Exception:
                sent = -1
            if sent != size:
                self._was_not_written(member, frame, sent)
            left -= 1
            if not left:
                if self.reactor.clock() >= deadline:
                    return False
                left = LOOK_EVERY
        return True

    def _was_not_written(self, member: Recipient, frame: bytes, sent: int) -> None:
        # One member's trouble must not cost the others the round.
        try:
            if sent >= 0:
                member.fell_behind(frame, sent)
                return
        except Exception as exc:
            error = exc
            self.reactor.defer(
                lambda: logger.error(
                    "a connection could not be watched; closing it", exc_info=error
                )
            )
        member.broke()

    def _tick(self, now: float) -> float | None:
        heartbeat = self.key.heartbeat
        if heartbeat is None or self.is_over:
            return None
        # Computed as what is returned, or a rounding error makes a heartbeat late.
        due = self._last_sent + heartbeat
        if now < due:
            return due
        self._say(HEARTBEAT)
        return now + heartbeat

    # Catching up.

    def _catch_up(self) -> None:
        try:
            while self._is_interrupted and not self.is_over:
                self._resume()
        except BrokerUnavailable as exc:
            logger.error(
                "cannot subscribe to %s, ending its streams: %s", ", ".join(self.key.channels), exc
            )
            self._give_up(CloseReason.FAILED)
        except BaseException:
            # Whatever it was: nothing would ever be written again.
            self._give_up(CloseReason.FAILED)
            raise

    def _resume(self) -> None:
        channels = self.key.channels
        with self._lock:
            self._is_interrupted, self._held = False, []
            behind = self._latest
        here = self.hub.dispatch.add(self, channels)
        history = None
        if behind.epoch == here.epoch:
            history = self.hub.history(channels, behind)
        is_complete = history is not None and history.complete
        with self._lock:
            if self._is_interrupted:
                return  # Once more.
            held, self._held = self._held or [], None
            if history is not None and is_complete:
                held = [*history.messages, *held]
            else:
                self._cut()
                self._latest = here
                reset = ServerSentEvent("", event="stream-reset", id=str(here))
                self.is_over = self.key.has_snapshot
                if not self.is_over:
                    self._add_round(reset.encode(), is_reset=True)
            for message in held:
                if message.position.epoch == here.epoch and not self.is_over:
                    self._take(message)
        self._write_soon()
        if self.is_over:
            # Only a request can tell the state.
            self._give_up(CloseReason.INTERRUPTED)

    def _give_up(self, reason: CloseReason) -> None:
        with self._lock:
            self.is_over = True
            members = list(self._members)
        for member in members:
            member.end_with(End(reason))
        self.close_if_unused()


def fanout_for(hub: Hub, key: FanoutKey, options: Options, reactor: Reactor) -> Fanout:
    """
    Return the fan-out that connections of one key share. It may block.

    Args:
        hub: Where the channels are.
        key: What they have in common.
        options: How their streams behave.
        reactor: What writes to them.

    Raises:
        BrokerUnavailable: If the channels cannot be subscribed to now.

    """
    shared, name = hub.dispatch.shared, (key, reactor)
    found = shared.get(name)
    if not isinstance(found, Fanout) or found.is_over:
        made = Fanout(hub, key, options, reactor)
        made.open()
        # Others may have been faster.
        found = shared.get(name)
        if isinstance(found, Fanout) and not found.is_over:
            made.close()
        else:
            found = shared[name] = made
    return found


def framed(body: bytes, chunked: bool) -> bytes:
    """
    Return bytes as a server sends them: as a chunk of HTTP/1.1 (RFC 9112, 7.1), or as they are.

    """
    return b"%x\r\n%b\r\n" % (len(body), body) if chunked else body
