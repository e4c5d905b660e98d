"""
Connections taken over from the server, when a stream only relays channels.

Theory of operation. A worker that can let a connection go puts an :class:`Offer` into the environ.
When a stream has nothing to send for the first time, it takes the offer: the response ends, and
with it the request, and the connection lives on here, written to by the reactor. At first it is
still a subscriber itself, in place of its feed, beside the fan-out: an event may have reached one
of them but not the other. What comes from both is put in order by position, until a whole round has
passed.

All methods of a connection but :meth:`HandedOff.end_for` and :meth:`HandedOff.dismiss` are called
by the reactor's driver, one at a time.

"""

from __future__ import annotations

import _socket
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .brokers.base import Message
from .chores import Chore
from .dispatch import Subscriber
from .fanout import Fanout, Manner, Round, fanout_for, framed
from .farewell import last_words, log_end
from .mailbox import Mailbox
from .reactor import Reactor, Timer
from .registry import CloseReason, Registry
from .settings import Options

if TYPE_CHECKING:
    from .hub import Hub
    from .visits import Visit

__all__ = ["OFFER", "HandedOff", "Offer", "Relay", "StreamState", "hand_off"]

logger = logging.getLogger("sse_sync")

OFFER = "sse_sync.handoff"
"""Key of the environ under which a worker's :class:`Offer` is."""

# Seconds that a client which does not read is left with its last words, where the end is urgent.
URGENT = (CloseReason.SERVER_STOPPING, CloseReason.DISMISSED)
PATIENCE = 1.0

# Seconds after which nothing is on its way to one subscriber and not to another any more.
SETTLED = 1.0

LAST_CHUNK = b"0\r\n\r\n"


class Offer(Protocol):
    """
    A worker's readiness to let a connection go.

    """

    is_chunked: bool
    """Whether the response is framed in chunks."""

    def refusal(self, sent: int) -> str:
        """
        Return why the connection cannot be taken over now; an empty text if it can.

        Args:
            sent: Bytes of the body that the stream has given to the server.

        """

    def take(self) -> _socket.socket:
        """
        Return the connection, as a socket that does not block. The server has it no more, and
        will end the response without writing anything.

        """


class Relay(Protocol):
    """
    A feed of channels that has nothing to send just now.

    """

    hub: Hub
    """Where its channels are."""

    def refusal(self) -> str:
        """
        Return why it has to stay with its request; an empty text if it does not.

        """

    def manner(self, options: Options, *, chunked: bool) -> Manner:
        """
        Return what it has in common with others.

        """

    def hand_over(self, successor: Subscriber) -> tuple[Mailbox, int]:
        """
        Let another subscriber get what comes.

        Returns:
            A mailbox, and the number of the position behind which everything is in it, or still
            to come, perhaps to both.

        """

    def stop(self) -> None:
        """
        Leave the channels.

        """


@dataclass(slots=True)
class StreamState:
    """
    What is known of a stream when its connection is handed off.

    """

    path: str
    """Path of its request, for the log."""
    visit: Visit | None
    """Whose it is."""
    opened_at: float
    """When it was opened, by the reactor's clock."""
    expires: float | None
    """When it ends by itself."""
    events: int
    """What it has sent: chunks."""
    bytes: int
    """What it has sent: bytes."""


class HandedOff:
    """
    A connection that outlives its request.

    Args:
        sock: The connection.
        fanout: What writes to it.
        state: What is known of the stream.
        registry: Where it is counted.

    """

    __slots__ = (
        *("_behind", "_bytes", "_ending", "_events", "_expiry", "_fanout", "_fd", "_is_ahead"),
        *("_is_closed", "_is_subscribed", "_leftover", "_mailbox", "_own", "_registry", "_since"),
        *("_socket", "_state", "_timer", "_wanted", "send"),
    )

    send: Callable[[bytes], int]
    """Writes to the socket, or keeps what is to be written until the client has caught up."""

    def __init__(
        self,
        sock: _socket.socket,
        fanout: Fanout,
        state: StreamState,
        registry: Registry,
    ) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self._fanout = fanout
        self._events = self._bytes = 0
        self._state = state
        self._registry = registry
        # What the system has not taken yet, since when, and what follows it.
        self._leftover: memoryview | bytes = b""
        self._since = 0.0
        self._mailbox: Mailbox | None = None
        self._timer: Timer | None = None
        self._expiry: Timer | None = None
        # Whether it is a subscriber itself, and whether what it got so may come once more; and up
        # to where everything has been written.
        self._is_subscribed = self._is_ahead = False
        self._own: Mailbox | None = None
        self._behind = 0
        # Why and how it shall end, the first one counts; and whether its last words are being
        # written.
        self._wanted: tuple[CloseReason, bool, str] | None = None
        self._ending = False
        self._is_closed = False
        self.send = sock.send

    # What anybody may call.

    def end_for(self, reason: CloseReason) -> None:
        """
        End it soon. The first reason counts.

        """
        self._want(reason, False, "")

    def dismiss(self, reason: str, for_good: bool) -> None:
        """
        End it soon, because its user may not read any more or shall go.

        """
        self._want(CloseReason.DISMISSED, for_good, reason)

    def where(self) -> str:
        """
        Return what it relays.

        """
        return ", ".join(self._fanout.manner.channels)

    def _want(self, reason: CloseReason, is_final: bool, message: str) -> None:
        if self._wanted is None:
            self._wanted = (reason, is_final, message)
            self._reactor.call_soon(self._say_goodbye)

    @property
    def _reactor(self) -> Reactor:
        return self._fanout.reactor

    # The beginning, in the request that hands it off.

    def adopt(self, feed: Relay) -> None:
        """
        Take what comes, in the order in which it comes.

        Args:
            feed: What the stream drew from. It had nothing more.

        """
        self._is_subscribed = self._is_ahead = True
        self.send = self._keep
        self._since = self._reactor.clock()
        self._own, self._behind = feed.hand_over(self)
        self._mailbox = self._own

    def join(self, fanout: Fanout) -> bool:
        """
        Get the rounds of a fan-out.

        Returns:
            Whether that is still possible.

        """
        self._fanout = fanout
        # What everybody has been sent does not count, and what they will be does.
        self._events, self._bytes = -fanout.events, -fanout.bytes
        return fanout.join(self)

    def begin(self) -> None:
        """
        Send it, and watch the client.

        """
        reactor = self._reactor
        reactor.watch(self._fd, self._hung_up)
        if self._state.expires is not None:
            self._expiry = reactor.call_at(self._state.expires, self._expire)
        # What the feed got in between.
        reactor.call_soon(self._catch_up)

    # What the hub calls, until the fan-out brings everything.

    clients = 0
    """The fan-out counts it."""

    def put(self, message: Message) -> None:
        """
        Take an event.

        """
        # One that is put here when the fan-out has taken over is in a round, too.
        own = self._own
        if own is not None:
            own.put(message)
            self._reactor.call_soon(self._catch_up)

    def interrupted(self) -> None:
        """
        Nothing: the fan-out resumes for everybody.

        """

    def degraded(self, problem: str | None) -> None:
        """
        Nothing: the fan-out tells everybody.

        """

    # What the fan-out calls.

    def fell_behind(self, frame: bytes, sent: int) -> None:
        """
        Keep the rest of what could be written in part.

        """
        if not self._is_closed:
            self._leftover = memoryview(frame)[sent:]
            self._mailbox = Mailbox(*self._fanout.manner.bounds)
            self.send = self._keep
            self._since = self._reactor.clock()
            self._wait_until_writable()

    def broke(self) -> None:
        """
        Note that the client is gone.

        """
        self._hung_up()

    def _keep(self, frame: bytes) -> int:
        # In place of writing: what the round brings comes behind what is there already.
        current = self._fanout.round
        if current is not None and self._mailbox is not None and self._wanted is None:
            if current.is_reset:
                # The client comes back, and gets its reset then.
                self.end_for(CloseReason.INTERRUPTED)
            else:
                is_waiting = bool(self._leftover)
                if current.messages is None and not (is_waiting and current.is_heartbeat):
                    self._leftover = bytes(self._leftover) + frame
                self._keep_round(current, self._mailbox)
                if not is_waiting:
                    self._catch_up()
        return len(frame)

    def _keep_round(self, current: Round, mailbox: Mailbox) -> None:
        messages = current.messages or []
        if current.is_heartbeat and self._reactor.clock() < self._since + SETTLED:
            return  # Something may be on its way.
        if self._is_subscribed:
            mailbox = self._mailbox = self._unsubscribe(mailbox, messages)
        for message in messages:
            if message.position.number > self._behind:
                mailbox.put(message)
        if self._is_ahead:
            # What it got by itself may be in the next rounds, too.
            is_level = bool(messages) and messages[-1].position.number >= self._behind
            self._is_ahead = not (is_level or current.is_heartbeat)

    def _unsubscribe(self, mailbox: Mailbox, messages: list[Message]) -> Mailbox:
        # Whatever came before this round is in the mailbox by now, and perhaps some of the round
        # and of what comes after it; that is in the rounds.
        self._own = None
        self._leave_channels()
        earlier = Mailbox(*self._fanout.manner.bounds)
        for message in mailbox.take():
            if not messages or message.position.number < messages[0].position.number:
                earlier.put(message)
        earlier.overflowed = earlier.overflowed or mailbox.overflowed
        return earlier

    # Writing to a client that is behind.

    def _catch_up(self) -> bool:
        # A job that is done in one turn.
        if self._is_closed:
            return False
        try:
            while self._leftover or self._fill():
                sent = self._socket.send(self._leftover)
                self._leftover = memoryview(self._leftover)[sent:]
                if self._leftover:
                    self._wait_until_writable()
                    return False
        except BlockingIOError:
            self._wait_until_writable()
        except OSError:
            self._hung_up()
        else:
            self._caught_up()
        return False

    def _fill(self) -> bool:
        # Everything that waits, if there is anything.
        if self._mailbox is None:
            return False
        taken = [m for m in self._mailbox.take() if m.position.number > self._behind]
        if not taken:
            return False
        self._behind = taken[-1].position.number
        body = b"".join([message.wire for message in taken])
        self._leftover = framed(body, self._fanout.manner.chunked)
        self._since = self._reactor.clock()
        return True

    def _caught_up(self) -> None:
        self._leftover = b""
        if self._ending:
            self._close()
        elif self._mailbox is not None and self._mailbox.overflowed:
            self.end_for(CloseReason.OVERFLOWED)
        elif not self._is_ahead and self._mailbox is not None:
            # As it was before: straight to the socket.
            self._mailbox = None
            self.send = self._socket.send

    def _wait_until_writable(self) -> None:
        reactor, patience = self._reactor, self._patience()
        reactor.watch_writable(self._fd, self._catch_up)
        if self._timer is None and patience is not None:
            self._timer = reactor.call_at(self._since + patience, self._late)

    def _patience(self) -> float | None:
        if self._wanted is not None and self._wanted[0] in URGENT:
            return PATIENCE
        return self._fanout.manner.write_timeout

    def _late(self, now: float) -> float | None:
        patience = self._patience()
        if not self._is_closed and self._leftover and patience is not None:
            if now < self._since + patience:
                return self._since + patience
            self._timer = None
            self._hung_up()
        self._timer = None
        return None

    # The end.

    def _hung_up(self) -> None:
        if self._wanted is None:
            self._wanted = (CloseReason.CLIENT_GONE, False, "")
        self._close()

    def _expire(self, now: float) -> None:
        self.end_for(CloseReason.LIFETIME_OVER)

    def _say_goodbye(self) -> bool:
        if self._is_closed or self._ending or self._wanted is None:
            return False
        self._ending = True
        reason, is_final, message = self._wanted
        words = last_words(reason, self._fanout.options, is_final=is_final, message=message)
        chunked = self._fanout.manner.chunked
        tail = (framed(words, chunked) if words else b"") + (LAST_CHUNK if chunked else b"")
        self._leave()
        self._leftover = bytes(self._leftover) + tail
        self._since = self._reactor.clock()
        if self._timer is not None:
            # Perhaps it is urgent now.
            self._timer.cancel()
            self._timer = None
        self._catch_up()
        return False

    def _leave(self) -> None:
        # From here on nothing is kept, and nobody is there any more.
        self.send = len
        self._mailbox = self._own = None
        self._leave_channels()
        self._fanout.leave(self)
        if self._state.visit is not None:
            self._state.visit.end()

    def _leave_channels(self) -> None:
        if self._is_subscribed:
            self._is_subscribed = False
            self._fanout.hub.dispatch.remove(self, self._fanout.manner.channels)

    def _close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._leave()
        self._leftover = b""
        for timer in (self._timer, self._expiry):
            if timer is not None:
                timer.cancel()
        self._timer = self._expiry = None
        self._reactor.unwatch(self._fd)
        self._socket.close()
        reason = self._wanted[0] if self._wanted is not None else CloseReason.CLIENT_GONE
        self._registry.closed(self, reason)
        state, fanout = self._state, self._fanout
        if logger.isEnabledFor(logging.INFO):
            seconds = self._reactor.clock() - state.opened_at
            events = state.events + self._events + fanout.events
            size = state.bytes + self._bytes + fanout.bytes
            _ends.append((state.path, reason, seconds, events, size))
            _logging.wake()


def _log() -> None:
    while _ends:
        log_end(*_ends.popleft())


# Loggers may block, which the reactor must not.
_ends: deque[tuple[str, CloseReason, float, int, int]] = deque()
_logging = Chore(_log, "sse-sync log")


def hand_off(
    relay: Relay,
    take: Callable[[], _socket.socket | None],
    *,
    options: Options,
    manner: Manner,
    reactor: Reactor,
    state: StreamState,
    registry: Registry,
) -> HandedOff | None:
    """
    Take a connection over, up to its :meth:`HandedOff.begin`. It may block, as long as nothing has
    been taken.

    Args:
        relay: What the stream drew from.
        take: Returns the connection, or :obj:`None` if it cannot be had any more.
        options: How the stream behaves.
        manner: What it has in common with others.
        reactor: What will write.
        state: What is known of the stream.
        registry: Where it is counted.

    Raises:
        BrokerUnavailable: If the channels cannot be subscribed to. Nothing has been taken.

    """
    fanout = fanout_for(relay.hub, manner, options, reactor)
    sock = take()
    if sock is None:
        return None
    try:
        handed_off = HandedOff(sock, fanout, state, registry)
        handed_off.adopt(relay)
        while not handed_off.join(fanout):
            # The last of the others has left just now.
            fanout = fanout_for(relay.hub, manner, options, reactor)
    except BaseException:
        # The client comes back.
        relay.stop()
        sock.close()
        raise
    return handed_off
