"""
Connections that outlive their request, because their streams only relay channels.

Theory of operation. A connection is a recipient of a fan-out, which writes its batches straight to
the socket. When the system does not accept all of a batch, the connection keeps the rest, and later
batches, in its backlog. When the socket is writable again, it writes these first, and then returns
to direct writes. To end, it waits for its turn between two batches, leaves the fan-out, and closes
itself after its closing bytes have been written.

The reactor's driver calls the methods, one at a time, except those that anything may call and
:meth:`HandoffConnection.join`, which the ending request calls.
"""

from __future__ import annotations

import _socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from ...brokers.base import Message
from ...channels.mailbox import Mailbox
from ...closing import URGENT_PATIENCE, CloseReason, End
from ...runtime.process import native_lock
from ...runtime.reactor import Reactor, Timer
from ..client_socket import reset_at_close
from ..dialect import Dialect, LastWords, closing_soon
from ..record import StreamRecord, log_soon
from ..registry import registry
from .backlog import Backlog
from .batch import Batch
from .ending import close_after, last_bytes
from .fanout import Fanout

if TYPE_CHECKING:
    from ...channels.user_stream import UserStream

__all__ = ["HandoffConnection"]

# Ends of streams whose clients then have everything.
_WHOLE = (CloseReason.CLOSED, CloseReason.FINISHED)


class HandoffConnection:
    """
    A connection that outlives its request.

    Args:
        sock: The connection.
        fanout: Its fan-out.
        record: What the stream has sent.
        user_stream: The user and channels it is counted and shown under.
        expires: When its lifetime is over; :obj:`None` for never.
        dialect: What the library itself says in it.
    """

    __slots__ = (
        *("_backlog", "_dialect", "_end", "_expires", "_expiry", "_fanout", "_fd", "_has_begun"),
        *("_is_closed", "_is_direct", "_is_finishing", "_record"),
        *("_seen", "_socket", "_timer", "_user_stream", "_words", "send"),
    )

    send: Callable[[bytes], int]
    """Writes to the socket, or keeps the bytes until the client has caught up."""

    def __init__(
        self,
        sock: _socket.socket,
        fanout: Fanout,
        record: StreamRecord,
        user_stream: UserStream | None,
        expires: float | None,
        dialect: Dialect,
    ) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self._fanout = fanout
        self._record = record
        record.path = fanout.shared_path(record.path)
        self._user_stream = user_stream
        self._expires = expires
        # Until its last words are said, or asked for.
        self._dialect: Dialect | None = dialect
        # What the client has yet to accept; and whether batches are written straight to the socket.
        self._backlog: Backlog | None = None
        self._is_direct = False
        self._timer: Timer | None = None
        self._expiry: Timer | None = None
        # Number of the last event the client has received that may come again; 0 if none may.
        self._seen = 0
        # Why and how it ends, where the first end counts; whether it ends once it has written what
        # it keeps; and its last words, when they are being written.
        self._end: End | None = None
        self._is_finishing = False
        self._words: LastWords | None = None
        self._has_begun = self._is_closed = False
        self.send = sock.send
        if not fanout.key.chunked:
            # Without chunks a body ends with its connection, even if the process is killed.
            reset_at_close(sock, True)

    # What anything may call.

    def end_with(self, end: End) -> None:
        if end.reason is CloseReason.CLOSED and self._fanout.is_catching_up:
            end = End(CloseReason.INTERRUPTED)  # It lacks what was published before.
        if self._is_first(end):
            self._fanout.let_go(self)

    def _is_first(self, end: End) -> bool:
        with _lock:
            is_first = self._end is None
            self._end = self._end or end
        return is_first

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels it relays."""
        return self._fanout.key.channels

    def where(self) -> str:
        """Return the channels it relays."""
        return ", ".join(self.channels)

    @property
    def _reactor(self) -> Reactor:
        return self._fanout.reactor

    # The beginning.

    def join(self, fanout: Fanout, seen: int, sender: str | None = None) -> int | None:
        """
        Join a fan-out, and keep its batches until :meth:`begin`.

        Args:
            fanout: The fan-out.
            seen: Number of the position up to which the client has received everything.
            sender: Whose events the client does not get.

        Returns:
            Number of the position after which the fan-out brings everything; :obj:`None` if the
            fan-out is closed, because its last recipient has just left.
        """
        self._fanout = fanout
        self.send = self._keep
        joined = fanout.join(self, sender)
        if joined is not None and seen > joined:
            # The client has read more from the history than this process has received.
            self._seen = seen
        return joined

    def begin(self, earlier: Mailbox | None, *, is_last: bool = False) -> bool:
        """
        Watch the client, and send what has been kept. A job of the reactor.

        Args:
            earlier: Events from before the batches.
            is_last: Whether the stream ends after these, so that no batch is wanted.
        """
        self._has_begun = True
        if self._is_closed:
            return False
        reactor = self._reactor
        reactor.watch(self._fd, self.broke)
        if self._expires is not None:
            self._expiry = reactor.call_at(self._expires, self._expire)
        if is_last:
            self._backlog = Backlog(self._fanout.key, self._record, earlier)
            self._finish()
            return False
        if earlier is not None:
            self._keeping().put_first(earlier)
        return self._catch_up()

    # What the fan-out calls.

    def fell_behind(self, frame: bytes, sent: int) -> None:
        if not self._is_closed:
            self._end_direct_writing(self._keep)
            self._record.bytes -= len(frame) - sent
            backlog = self._keeping()
            backlog.insert(memoryview(frame)[sent:], self._reactor.clock())
            self._wait_until_writable(backlog)

    def finish(self, number: int) -> None:
        if self._end is None and number > self._seen:
            self._finish()

    def _finish(self) -> None:
        # Write what is kept, and nothing else.
        self._is_finishing = True
        self._end_direct_writing(len)
        self._fanout.leave(self)
        if not self._is_waiting:  # Otherwise the reactor waits until more can be written.
            self._catch_up()

    def passed_over(self, size: int) -> None:
        if self._is_direct:
            self._record.events -= 1
            self._record.bytes -= size

    def broke(self) -> None:
        """Record that the client is gone."""
        self._is_first(End(CloseReason.CLIENT_GONE))
        self._close()

    def _keep(self, frame: bytes) -> int:
        # Replaces writing: the batch comes after what is already kept.
        current = self._fanout.batch
        assert current is not None
        if self._has_begun and self._backlog is None and not self._seen:
            return self._begin_direct_writing(current)
        is_waiting = self._is_waiting
        if current.is_reset:
            # The client reconnects, and gets its reset then. Later batches come after a gap.
            self.send = len
            self.end_with(End(CloseReason.INTERRUPTED))
        elif current.messages is not None:
            self._keeping().put(self._new(current.messages))
        elif not (is_waiting and current.is_heartbeat):
            self._keeping().insert(frame, self._reactor.clock())
        if self._has_begun and not is_waiting:
            self._catch_up()
        return len(frame)

    def _new(self, messages: list[Message]) -> Iterator[Message]:
        for message in messages:
            if message.position.number > self._seen:
                self._seen = 0  # Everything after this is new to the client.
                yield message

    def _keeping(self) -> Backlog:
        if self._backlog is None:
            self._backlog = Backlog(self._fanout.key, self._record)
        return self._backlog

    @property
    def _is_waiting(self) -> bool:
        # Until more can be written.
        return self._backlog is not None and self._backlog.has_begun

    # Writing straight to the socket. While it lasts, the fan-out counts for all, so that an event
    # costs each connection nothing but its send().

    def _begin_direct_writing(self, first: Batch) -> int:
        self.send, self._is_direct = self._socket.send, True
        fanout, record = self._fanout, self._record
        record.events -= fanout.events - len(first.messages or ())
        record.bytes -= fanout.bytes - len(first.frame)
        return self.send(first.frame)

    def _end_direct_writing(self, send: Callable[[bytes], int]) -> None:
        self.send = send
        if self._is_direct:
            self._is_direct = False
            self._record.events += self._fanout.events
            self._record.bytes += self._fanout.bytes

    # Writing to a slow client.

    def _catch_up(self) -> bool:
        # A job that finishes in one turn.
        if self._is_closed or not self._has_begun:
            return False
        try:
            if self._backlog is None or self._backlog.write(self._socket, self._reactor.clock()):
                self._caught_up()
            else:
                self._wait_until_writable(self._backlog)
        except OSError:
            self.broke()
        return False

    def _caught_up(self) -> None:
        if self._words is not None:
            close_after(
                *(self._words, self._socket, self._fanout.key.chunked, self._reactor),
                *(self._patience(), self._close),
            )
        elif self._is_finishing:
            self._is_first(self._fanout.finish)
            self.say_goodbye()
        elif self._backlog is not None and self._backlog.lacks_events:
            self.end_with(End(CloseReason.OVERFLOWED))
        else:
            self._backlog = None  # The next batch is written straight to the socket.

    def _wait_until_writable(self, backlog: Backlog) -> None:
        reactor, patience = self._reactor, self._patience()
        reactor.watch_writable(self._fd, self._catch_up)
        if self._timer is None and patience is not None:
            self._timer = reactor.call_at(backlog.since + patience, self._late)

    def _patience(self) -> float | None:
        if self._end is not None and self._end.is_urgent:
            return URGENT_PATIENCE
        return self._fanout.key.write_timeout

    def _late(self, now: float) -> float | None:
        backlog, patience = self._backlog, self._patience()
        if backlog is not None and backlog.has_begun and patience is not None:
            if now < backlog.since + patience:
                return backlog.since + patience
            self.broke()
        self._timer = None
        return None

    # The end.

    def _expire(self, now: float) -> None:
        self.end_with(End(CloseReason.LIFETIME_OVER))

    def say_goodbye(self) -> None:
        if self._is_closed or self._dialect is None or self._end is None:
            return
        if not self._has_begun or self._must_be_read_first(self._end):
            if not self._is_finishing:
                self._finish()
            return
        dialect, self._dialect = self._dialect, None
        self._leave()
        if dialect.asks(self._end):
            closing_soon(dialect, self._end, self._say_soon)
        else:
            self._say(dialect.closing(self._end))

    def _must_be_read_first(self, end: End) -> bool:
        # What was published before the application, or a job, ended it belongs to it.
        backlog = self._backlog
        if backlog is not None and (end.reason in _WHOLE or end is self._fanout.finish):
            if not backlog.lacks_events:
                return bool(backlog.events)
            self._end = End(CloseReason.OVERFLOWED)
        return False

    def _say_soon(self, words: LastWords) -> None:
        self._reactor.call_soon(partial(self._say, words))

    def _say(self, words: LastWords) -> bool:
        if self._is_closed:
            return False
        self._words = words
        backlog, now = self._keeping(), self._reactor.clock()
        backlog.insert(last_bytes(words, self._fanout.key.chunked), now)
        backlog.since = now
        if self._timer is not None:
            self._timer.cancel()  # The end may be more urgent.
            self._timer = None
        return self._catch_up()

    def _leave(self) -> None:
        # From now on nothing is kept, and the user is no longer present.
        self._end_direct_writing(len)
        if self._backlog is not None:
            self._backlog.events = None
        self._fanout.leave(self)
        if self._user_stream is not None:
            self._user_stream.end()

    def _close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._leave()
        self._backlog = None
        for timer in (self._timer, self._expiry):
            if timer is not None:
                timer.cancel()
        self._timer = self._expiry = None
        self._reactor.unwatch(self._fd)
        self._socket.close()
        assert self._end is not None
        reason, record = self._end.reason, self._record
        seconds = self._reactor.clock() - record.opened_at
        log_soon(record, reason, seconds, record.events, record.bytes)
        # Last: a stopping worker exits once it has no connections and nothing to log.
        registry().closed(self, reason)


# Held while an end is recorded.
_lock = native_lock()
