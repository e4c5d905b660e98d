"""
One event stream: what a view's generator becomes on the wire.

Theory of operation. The server iterates the stream and writes each chunk. Between two chunks the
stream waits for its watchdog's signal. The feed sets the signal (there is a chunk, or the source
has ended), the reactor does (a heartbeat is due, the client is gone), and so does
:meth:`EventStream.end_with`. The stream then checks everything again, in a fixed order. An
:class:`~sse_sync.closing.End` says why and how it ends; the first one counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import runtime as _runtime
from ..channels.subscription import ChannelFeed, Subscription
from ..closing import CloseReason, End, reason_of_close
from ..event import encode
from ..feed import Encode, Feed, FeedSource
from ..request import reconnects_by_itself
from ..runtime.process import native_lock
from ..server import find_server
from ..settings import Options
from .admission import Refusal, admission
from .client_socket import find_client_socket
from .dialect import ErrorEvents, LastWords, dialect_of
from .disconnect import Watchdog
from .drain import drain
from .handoff.connection import HandoffConnection
from .handoff.takeover import OFFER, HandOff, Offer
from .heartbeat import HEARTBEAT
from .hooks import Hooks
from .record import StreamRecord, log_end
from .registry import registry
from .source import Source
from .source_run import SourceRun
from .state import State

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from ..channels.user_stream import UserStream

__all__ = ["EventStream"]

# Held while an end is recorded.
_lock = native_lock()


class EventStream:
    """
    The body of a WSGI response: turn a source of events into the bytes of an event stream.

    Nothing runs before the stream is iterated. Under a server, the source runs beside the stream in
    its own greenlet or thread. So the stream sends heartbeats while the source blocks, and ends the
    source when the client goes away. Without a server, as in a framework's test client, the source
    runs in the iterating thread.

    Args:
        source: Generator or other iterable, asynchronous or not, of text,
            :class:`~sse_sync.ServerSentEvent` or values to send as JSON.
        environ: The request's WSGI environ; :obj:`None` means a test client, and so does one made
            by hand without ``wsgi.input``, see :func:`sse_sync.server.find_server`.
        options: How the stream behaves.
        encode: Encodes an item of the source.
        on_close: Called once after an opened stream ends, with the
            :class:`~sse_sync.CloseReason`: after the source's ``finally``, unless that takes
            more than half a second.
        hooks: Further callbacks, and the context variables to run in; by default a copy of the
            current ones.
        user_stream: The user and channels it is counted and shown under.
        plain: See :func:`sse_sync.wsgi.answer`.
        error: The same.

    Raises:
        SourceError: If the source is not an iterable of events.
    """

    def __init__(
        self,
        source: Source | FeedSource,
        environ: WSGIEnvironment | None = None,
        *,
        options: Options | None = None,
        encode: Encode = encode,
        on_close: Callable[[CloseReason], object] | None = None,
        hooks: Hooks | None = None,
        user_stream: UserStream | None = None,
        plain: bool = False,
        error: ErrorEvents | None = None,
    ) -> None:
        self._environ = environ if environ is not None else {}
        self._options = options or Options()
        self._hooks = hooks or Hooks()
        if on_close is not None:
            self._hooks.on_close = on_close
        reconnects, context = reconnects_by_itself(self._environ), self._hooks.context
        self._dialect = dialect_of(
            self._options, plain, error, encode, context, reconnects=reconnects
        )
        self._user_stream = user_stream
        self._record = StreamRecord(str(self._environ.get("PATH_INFO", "")))
        self._watchdog = Watchdog(self._options)
        self._run = SourceRun(source, encode, self._hooks, self._watchdog, plain=plain)
        self._state = State.NEW
        self._end: End | None = None
        self._offer: Offer | None = None
        self._handoff: HandoffConnection | None = None

    # What a server calls.

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> bytes:
        self._watchdog.wrote()
        chunk = b""
        if self._state in (State.NEW, State.OPEN):
            feed = self._run.feed
            chunk = self._open() if feed is None else self._next_chunk(feed)
        if not chunk:
            if self._state is State.BREAKING:
                self._watchdog.break_off(is_urgent=self._end is None or self._end.is_urgent)
            if self._state is not State.CLOSED:
                self._state = State.ENDING
            if self._watchdog.must_close:
                self.close()
            raise StopIteration
        self._record.bytes += len(chunk)
        self._watchdog.writes()
        return chunk

    def close(self) -> None:
        """Release everything the stream holds. Servers call this at the end. Idempotent."""
        if self._state is State.CLOSED:
            return
        self._state = State.CLOSED
        self._watchdog.stop()
        if self._handoff is not None:
            # The request is over, but the stream continues.
            self._run.ended()
            self._run.leave()
            return
        if self._user_stream is not None:
            self._user_stream.end()
        if self._run.feed is not None:
            self.end_with(End(reason_of_close()))
        reason = self._end.reason if self._end is not None else CloseReason.CLOSED
        self._watchdog.let_connection_go(is_stopping=reason is CloseReason.SERVER_STOPPING)
        if self._run.feed is None:
            self._run.discard()
        else:
            self._close_opened(self._run.feed, reason)

    # What an application may call.

    def end(self, *, reconnect: bool = False) -> None:
        """
        End the stream soon, from any thread or greenlet. Later calls do nothing.

        Args:
            reconnect: Whether the client should reconnect; otherwise it must stop.
        """
        self.end_with(End(CloseReason.CLOSED, final=not reconnect))

    # OpenStream: for code that counts and ends streams.

    def end_with(self, end: End) -> None:
        """End the stream soon; see :meth:`sse_sync.closing.OpenStream.end_with`."""
        with _lock:
            is_first, handoff = self._end is None, self._handoff
            self._end = self._end or end
        if handoff is not None:
            handoff.end_with(end)
        if handoff is not None or not is_first:
            return
        if end.is_urgent:
            self._watchdog.hurry()
        # If the source has not started, the thread that starts it will see the end.
        if self._state is State.OPEN and (feed := self._run.feed) is not None:
            feed.stop()
            self._watchdog.wake()

    def where(self) -> str:
        """Return what the stream's source is and where it stands."""
        return self._run.where()

    # The beginning.

    def _open(self) -> bytes:
        environ, self._environ = self._environ, {}
        server = self._watchdog.server = find_server(environ)
        self._watchdog.client = find_client_socket(environ)
        try:
            refusal = self._count() if server is None else self._admit(environ)
            if refusal is not None:
                return self._send_away(refusal)
            if server is None:
                self._open_inline()
            return self._dialect.opening() + self._first_chunk()
        except BaseException:
            self._end = self._end or End(CloseReason.FAILED)
            self._state = State.ENDING
            raise

    def _admit(self, environ: WSGIEnvironment) -> Refusal | None:
        if self._hooks.on_close is None and isinstance(self._run.source, Subscription):
            self._offer = environ.get(OFFER)
        gate, streams = admission(), registry()
        gate.prepare(environ, streams)
        most, passing = self._options.max_streams, self._offer is not None
        if (refusal := gate.admit(self, streams, most, passing=passing)) is not None:
            return refusal
        try:
            refusal = self._count()
            if refusal is None:
                self._open_beside()
        finally:
            if self._run.feed is None:
                streams.withdraw(self)
        return refusal

    def _count(self) -> Refusal | None:
        is_allowed = self._user_stream is None or self._user_stream.begin(self)
        return None if is_allowed else Refusal.LIMITED

    def _open_beside(self) -> None:
        runtime = _runtime.current()
        signal = self._watchdog.open(runtime, self.end_with)
        self._record.opened_at = self._watchdog.clock()
        self._run.open_beside(self, runtime, signal)
        drain().watch(runtime.reactor)
        self._hooks.call_before()

    def _open_inline(self) -> None:
        registry().open_if_below(None, self)
        self._record.opened_at = self._watchdog.clock()
        self._run.open_inline(self)
        if self._run.is_relay:
            self._start()  # At once, so that a test receives what it publishes next.

    def _first_chunk(self) -> bytes:
        # Events that are already there leave with the first bytes. If writing those cannot take
        # long, a stream that is handed off right after them needs no watchdog.
        chunk, feed = b"", self._run.feed
        if feed is not None and self._watchdog.runtime and self._run.is_relay:
            if self._run.is_at_hand and self._end is None:
                self._start()
                chunk = feed.take() or b""
                self._record.events += bool(chunk)
            is_quick = self._state is State.OPEN and self._watchdog.can_write_at_once
            if self._offer is not None and is_quick:
                return chunk
        self._watchdog.begin()
        return chunk

    def _send_away(self, refusal: Refusal) -> bytes:
        registry().refused()
        if refusal is Refusal.STOPPING:
            self._end = End(CloseReason.SERVER_STOPPING)
        return self._say(self._dialect.refusal(refusal))

    def _start(self) -> None:
        if not self._run.start():
            self.end_with(End(CloseReason.FAILED))  # The client may reconnect.
        # Only now: until here, this thread alone stops the source when the stream is ended.
        self._state = State.OPEN

    # The middle.

    def _next_chunk(self, feed: Feed) -> bytes:
        if self._state is State.NEW and self._end is None:
            self._start()
        while self._end is None:
            chunk = feed.take()
            if chunk is not None:
                if self._offer is not None:
                    self._watchdog.begin()  # It was not handed off right after its first bytes.
                self._record.events += 1
                return chunk
            if feed.done:
                self.end_with(self._end_of(feed))
            elif self._watchdog.runtime is None and not self._run.ends_by_itself:
                return b""  # A test has read all that was published; waiting would hang it.
            elif self._watchdog.is_heartbeat_due:
                return HEARTBEAT
            elif self._offer is not None and self._hand_off(feed):
                return b""
            elif self._end is None:
                feed.wait()
        return self._last_chunk(self._end, feed)

    def _hand_off(self, feed: Feed) -> bool:
        # Tried once, the first time there is nothing to send.
        offer, self._offer = self._offer, None
        assert offer is not None
        assert isinstance(feed, ChannelFeed)
        handoff = HandOff(
            stream=self,
            offer=offer,
            feed=feed,
            record=self._record,
            watchdog=self._watchdog,
            user_stream=self._user_stream,
            options=self._options,
            dialect=self._dialect,
            ended=lambda: self._end,
        ).attempt()
        with _lock:
            self._handoff, end = handoff, self._end
        if handoff is not None and end is not None:
            handoff.end_with(end)  # It was ended just now.
        return handoff is not None

    # The end.

    def _end_of(self, feed: Feed) -> End:
        is_finished = feed.reason is CloseReason.FINISHED
        return feed.end or End(feed.reason, final=is_finished and not self._options.reconnect)

    def _last_chunk(self, end: End, feed: Feed) -> bytes:
        if end.reason is CloseReason.CLIENT_GONE:
            self._watchdog.forget_error()
            return b""
        feed.stop()
        rest, self._end = feed.rest(end)
        return rest + self._say(self._dialect.closing(self._end, feed.error))

    def _say(self, words: LastWords) -> bytes:
        self._state = State.ENDING if words.is_clean else State.BREAKING
        return words.text

    def _close_opened(self, feed: Feed, reason: CloseReason) -> None:
        self._run.linger()
        registry().closed(self, reason)
        has_callback = self._hooks.on_close is not None
        self._watchdog.wait_for_source(lambda: feed.done, reason, has_callback, self._run.is_async)
        try:
            record = self._record
            seconds = self._watchdog.clock() - record.opened_at
            log_end(record.path, reason, seconds, record.events, record.bytes)
            self._hooks.call_on_close(reason)
        finally:
            self._run.leave()
