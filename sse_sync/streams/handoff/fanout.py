"""
One subscriber for many connections: frame each event once, and write it to all of them.

Theory of operation. Handed-off connections that have everything but their client in common share a
fan-out. Events wait for the reactor's next turn, and all that have arrived by then form one
*batch*: one buffer, and the connections of that moment. The reactor writes the batch to a few
hundred connections in each turn, so that it can do other work in between. A connection that does
not accept all of it keeps the rest, and puts later events into its own mailbox, until its client
has caught up.

When events may have been missed, the fan-out resumes once for all of its connections, since all
have received the same. It does so in its own greenlet or thread, because it asks the broker.
"""

from __future__ import annotations

import logging
from collections import deque

from ...brokers.base import Message
from ...channels.dispatcher import degraded_event
from ...channels.hub import Hub
from ...channels.resume import ChannelReader
from ...channels.selection import Selection
from ...closing import CloseReason, End
from ...event import ServerSentEvent
from ...exceptions import BrokerUnavailable
from ...runtime.background import BackgroundTask
from ...runtime.process import native_lock
from ...runtime.reactor import Reactor
from ..heartbeat import HEARTBEAT, Heartbeat
from .batch import Batch, Recipient, framed, goodbye, one_by_one
from .key import FanoutKey

__all__ = ["Fanout", "fanout_for"]

logger = logging.getLogger("sse_sync")

# Seconds of writing before the reactor does anything else, and writes between two looks at the
# clock.
SLICE, LOOK_EVERY = 0.002, 32

# Bytes of one batch. A burst is one write to each client.
MAX_BATCH = 64 * 1024

# Distinct request paths kept for sharing. They are not interned, which would last for ever.
MAX_PATHS = 100


class Fanout:
    """
    Write the events of some channels to many connections. A subscriber of the hub.

    Args:
        hub: The hub of the channels.
        key: What the connections have in common.
        reactor: Writes to them.
    """

    def __init__(self, hub: Hub, key: FanoutKey, reactor: Reactor) -> None:
        self.hub = hub
        """The hub of the channels."""
        self.key = key
        """What the connections have in common."""
        self.reactor = reactor
        """Writes to them."""
        self.finish = key.finish or End(CloseReason.FINISHED)
        """How its connections end after their last event."""
        self.batch: Batch | None = None
        """The batch being written. Only the reactor's driver uses it."""
        self.events = 0
        """Events of all batches so far, with the one being written. Only the reactor's driver uses
        it."""
        self.bytes = 0
        """Bytes of the same."""
        # Nothing blocks or calls out while this is held.
        self._lock = native_lock()
        # Each with the sender whose events it does not get.
        self._recipients: dict[Recipient, str | None] = {}
        self._pending: list[Message] = []
        self._batches: deque[Batch] = deque()
        self._is_writing = False
        self.is_over = False
        """Whether no connection can join any longer."""
        selection, tells = Selection(match=key.match), not key.dialect.is_plain
        self._reader = ChannelReader(hub, key.channels, selection, tells=tells)
        # Events that arrive while the fan-out opens or catches up; None the rest of the time.
        self._held: list[Message] | None = []
        self._is_open = False
        self._paths: dict[str, str] = {}
        self._catching_up = BackgroundTask(self._catch_up, "sse-sync catching up")
        self._heartbeat = Heartbeat(key.heartbeat, lambda: self._say(HEARTBEAT))
        self._heartbeat.last_sent = reactor.clock()
        self._heartbeat.start(reactor)

    @property
    def number(self) -> int:
        """Number of the position up to which every event has been passed on."""
        return self._reader.seen.number

    def shared_path(self, path: str) -> str:
        """Return an equal path, so that thousands of recipients share one string."""
        if len(self._paths) >= MAX_PATHS:
            self._paths.clear()
        return self._paths.setdefault(path, path)

    @property
    def clients(self) -> int:
        return len(self._recipients)

    def open(self) -> None:
        """
        Subscribe. It may block.

        Raises:
            BrokerUnavailable: If the channels cannot be received now.
        """
        while not self._is_open:
            here = self._reader.start(self)
            with self._lock:
                # Once more if it was interrupted: nobody else starts the reader until it is open.
                self._is_open = not self._reader.has_missed
                # No connection has joined, so none misses what has already arrived.
                held, self._held = self._held or [], None if self._is_open else []
                self._reader.seen = here
                self._reader.follow(held)

    def close(self) -> None:
        """Unsubscribe. It never blocks. Idempotent."""
        self._reader.stop(self)
        shared, name = self.hub.dispatcher.shared, (self.key, self.reactor)
        if shared.get(name) is self:
            shared.pop(name, None)  # Another thread may be closing it, too.
        self._heartbeat.stop()

    def join(self, recipient: Recipient, sender: str | None = None) -> int | None:
        """
        Write to a connection from the next event on.

        Args:
            recipient: The connection.
            sender: Whose events it does not get.

        Returns:
            Number of the position after which it receives everything; :obj:`None` if the fan-out is
            closed, because its last recipient has just left.
        """
        with self._lock:
            if self.is_over:
                return None
            # It does not receive what arrived earlier.
            self._cut()
            self._recipients[recipient] = sender
            return self.number

    @property
    def is_catching_up(self) -> bool:
        """Whether its recipients lack events that it does not have yet."""
        return self._held is not None

    def let_go(self, recipient: Recipient) -> None:
        """
        Have a connection say goodbye between what has arrived and what arrives later. Anything may
        call it, and it never blocks.
        """
        with self._lock:
            self._cut()
            self._batches.append(Batch(b"", None, goodbye(recipient)))
        self._write_soon()

    def leave(self, recipient: Recipient) -> None:
        """Stop writing to a connection. The last one closes the fan-out. Idempotent."""
        with self._lock:
            self._recipients.pop(recipient, None)
        self.close_if_unused()

    def close_if_unused(self) -> None:
        """Close it if it has no recipients. It never blocks. Idempotent."""
        with self._lock:
            if self._recipients:
                return
            self.is_over = True
        self.close()

    # What the hub calls.

    def put(self, message: Message) -> None:
        with self._lock:
            if self.is_over:
                return
            if self._held is not None:
                self._held.append(message)
                return
            self._pending += self._reader.follow([message])
            has_missed = self._reader.has_missed
            self.hub.dispatcher.figures.delivered += len(self._recipients) - 1
        if has_missed:
            self.interrupted()
        else:
            self._write_soon()

    def interrupted(self) -> None:
        with self._lock:
            self._reader.has_missed = True
            if self._held is None:
                self._held = []
            is_open = self._is_open
        if is_open:
            self._catching_up.wake()

    def degraded(self, problem: str | None) -> None:
        if self.key.tell_degraded:
            self._say(degraded_event(problem is not None))

    def is_last(self, message: Message) -> bool:
        """Return whether an event is the last one of each connection."""
        if message.event not in self.key.until:
            return False
        self.finish = message.end or self.finish
        return True

    # Writing.

    def _write_soon(self) -> None:
        with self._lock:
            if self._is_writing or not (self._pending or self._batches):
                return
            self._is_writing = True
        self.reactor.call_soon(self._write)

    def _say(self, text: bytes) -> None:
        # Send something other than a channel's event to the present recipients.
        with self._lock:
            self._cut()
            self._add_batch(text, is_heartbeat=text is HEARTBEAT)
        self._write_soon()

    def _add_batch(self, text: bytes, messages: list[Message] | None = None, **kind: bool) -> None:
        if self._recipients:
            frame = framed(text, self.key.chunked)
            recipients = iter(list(self._recipients))
            if messages is not None and self._is_alone(messages[0]):
                everybody, is_last = dict(self._recipients), self.is_last(messages[0])
                recipients = one_by_one(everybody, messages[0], len(frame), is_last=is_last)
            self._batches.append(Batch(frame, messages, recipients, **kind))

    def _cut(self) -> None:
        # Make batches of what is pending, for the present recipients and not for later ones.
        while self._pending:
            some, size = [self._pending[0]], len(self._pending[0].wire)
            for message in () if self._is_alone(some[0]) else self._pending[1:]:
                size += len(message.wire)
                if size > MAX_BATCH or self._is_alone(message):
                    break
                some.append(message)
            del self._pending[: len(some)]
            body = b"".join([m.wire for m in some]) if len(some) > 1 else some[0].wire
            self._add_batch(body, some)

    def _is_alone(self, message: Message) -> bool:
        # Whether it is a batch by itself: not for all recipients, or the last one that they get.
        return message.sender is not None or message.event in self.key.until

    def _write(self) -> bool:
        # A job of the reactor.
        deadline = self.reactor.clock() + SLICE
        while True:
            if self.batch is None:
                self.batch = self._next_batch()
                if self.batch is None:
                    return False
                if self._heartbeat.last_sent >= deadline:
                    return True
            if not self._write_batch(self.batch, deadline):
                return True
            self.batch = None

    def _next_batch(self) -> Batch | None:
        with self._lock:
            if not self._batches:
                self._cut()
            if not self._batches:
                self._is_writing = False
                return None
            following = self._batches.popleft()
        self._heartbeat.last_sent = self.reactor.clock()
        self.events += len(following.messages or ())
        self.bytes += len(following.frame)
        return following

    def _write_batch(self, following: Batch, deadline: float) -> bool:
        # The hot loop: once per client and batch. Returns whether the batch is done.
        frame, size, left = following.frame, len(following.frame), LOOK_EVERY
        for recipient in following.recipients:
            try:
                sent = recipient.send(frame)
            except BlockingIOError:
                sent = 0
            except Exception:
                sent = -1
            if sent != size:
                self._was_not_written(recipient, frame, sent)
            left -= 1
            if not left:
                if self.reactor.clock() >= deadline:
                    return False
                left = LOOK_EVERY
        return True

    def _was_not_written(self, recipient: Recipient, frame: bytes, sent: int) -> None:
        # One recipient's failure must not cost the others the batch.
        try:
            if sent >= 0:
                recipient.fell_behind(frame, sent)
                return
        except Exception as exc:
            error = exc
            self.reactor.defer(
                lambda: logger.error(
                    "a connection could not be watched; closing it", exc_info=error
                )
            )
        recipient.broke()

    # Catching up.

    def _catch_up(self) -> None:
        try:
            while self._reader.has_missed and not self.is_over:
                self._resume()
        except BrokerUnavailable as exc:
            logger.error(
                "cannot subscribe to %s, ending its streams: %s", ", ".join(self.key.channels), exc
            )
            self._give_up(CloseReason.FAILED)
        except BaseException:
            # Whatever the cause: nothing would ever be written again.
            self._give_up(CloseReason.FAILED)
            raise

    def _resume(self) -> None:
        reader = self._reader
        with self._lock:
            self._held = []
            seen = reader.seen
        here = reader.start(self)
        missed = reader.read(seen) if seen.epoch == here.epoch else None
        position = seen if missed is not None else here
        with self._lock:
            if reader.has_missed:
                return  # It is called again.
            held, self._held = self._held or [], None
            reader.seen = position
            if missed is None:
                self._cut()
                self.is_over = self.key.has_snapshot or self.key.dialect.is_plain
                if not self.is_over:
                    reset = ServerSentEvent("", event="stream-reset", id=str(position))
                    self._add_batch(reset.encode(), is_reset=True)
            if not self.is_over:
                self._pending += reader.follow([*(missed or ()), *held])
        self._write_soon()
        if self.is_over:
            # Only a request can take a snapshot, and a plain stream cannot be told.
            self._give_up(CloseReason.INTERRUPTED)

    def _give_up(self, reason: CloseReason) -> None:
        with self._lock:
            self.is_over = True
            recipients = list(self._recipients)
        for recipient in recipients:
            recipient.end_with(End(reason))
        self.close_if_unused()


def fanout_for(hub: Hub, key: FanoutKey, reactor: Reactor) -> Fanout:
    """
    Return the fan-out that connections with the same key share. It may block.

    Args:
        hub: The hub of the channels.
        key: What the connections have in common.
        reactor: Writes to them.

    Raises:
        BrokerUnavailable: If the channels cannot be subscribed to now.
    """
    shared, name = hub.dispatcher.shared, (key, reactor)
    found = shared.get(name)
    if not isinstance(found, Fanout) or found.is_over:
        made = Fanout(hub, key, reactor)
        made.open()
        # Another thread or greenlet may have been faster.
        found = shared.get(name)
        if isinstance(found, Fanout) and not found.is_over:
            made.close()
        else:
            found = shared[name] = made
    return found
