"""
One event stream: what a view's generator becomes on the wire.

Theory of operation. The server iterates the stream and writes what it gets. Between two chunks
the stream waits for its signal, which is set by the feed (there is a chunk, or the source
has ended), by the reactor (a heartbeat is due, the client is gone) or by whoever ends
the stream. It then looks at everything again, in a fixed order. Whoever ends a stream appends a
reason; the first one counts.

"""

from __future__ import annotations

import contextvars
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import runtime as _runtime
from ..channels.subscription import ChannelFeed, Subscription
from ..closing import CloseReason, End, closing_bytes, log_end, spread
from ..event import encode, encode_retry
from ..exceptions import BrokerUnavailable
from ..feed import Encode, Feed, FeedSource
from ..runtime import Runtime, Signal
from ..runtime.process import native_lock
from ..settings import Options
from .admission import Refusal, admission
from .connection import find_connection
from .handoff.connection import HandoffConnection, StreamState
from .handoff.takeover import OFFER, Offer, StaysWithRequest, hand_off
from .heartbeat import HEARTBEAT
from .registry import Registry, registry
from .source import Inline, Pump, Source, iterate
from .watchdog import Watchdog

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from ..channels.user_stream import UserStream

__all__ = ["EventStream"]

logger = logging.getLogger("sse_sync")

_NO_CONTEXT = contextvars.Context()

# Held while an end is chosen.
_lock = native_lock()

# Seconds that on_close waits for a source's cleanup. Under gevent a source is interrupted at once;
# a thread that blocks would hold the server's thread for that long.
CLEANUP_PATIENCE = 0.5

# Seconds that a stopping server leaves under gevent to a source's cleanup.
STOP_PATIENCE = 1.0

# For people with curl; a browser shows it to nobody.
_LIMITED = b": too many streams of this user or address\n"


class EventStream:
    """
    The body of a WSGI response: bytes of an event stream from a source of events.

    Nothing runs before the stream is iterated. Where the server shows the client's socket,
    the source runs beside the stream, in a greenlet or thread of its own, so that heartbeats
    are sent while it blocks, and it is ended when the client goes away. Where there is no
    server, as in a framework's test client, it runs in the thread that iterates.

    Args:
        source: Generator or other iterable of text, :class:`~sse_sync.ServerSentEvent` or
            values to be sent as JSON.
        environ: The request's WSGI environ; :obj:`None` is like a test client's.
        options: How the stream behaves.
        encode: Makes bytes of an item of the source.
        context: Context variables for the source; a copy of the current ones by default.
        on_close: Called once when an opened stream has ended, with the
            :class:`~sse_sync.CloseReason`: after the source's ``finally``, unless that takes
            more than half a second.
        before: Called before the first byte, if there is a server.
        after_source: Called in the source's greenlet or thread when it has ended, if
            there is a server.
        after: Called once when stream and source are over, with what the source raised.
        visit: Whose stream it is.

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
        context: contextvars.Context | None = None,
        on_close: Callable[[CloseReason], object] | None = None,
        before: Callable[[], object] | None = None,
        after_source: Callable[[], object] | None = None,
        after: Callable[[BaseException | None], object] | None = None,
        visit: UserStream | None = None,
    ) -> None:
        self._source = source if isinstance(source, FeedSource) else iterate(source)
        self._environ = environ if environ is not None else {}
        self._path = str(self._environ.get("PATH_INFO", ""))
        self._options = options or Options()
        self._encode = encode
        self._context = context or contextvars.copy_context()
        self._on_close = on_close
        self._before = before
        self._after_source = after_source
        self._after = after
        self._visit = visit

        self._end: End | None = None
        # Stream and source both leave; the list has one entry, so the second finds it empty.
        self._first_to_leave = [None]
        self._runtime: Runtime | None = None
        self._signal: Signal | None = None
        self._watchdog = Watchdog(self._options)
        self._feed: Feed | None = None
        self._registry: Registry
        self._error: BaseException | None = None
        self._opened_at = 0.0
        self._opened = False
        self._tracked = False
        self._started = False
        self._source_over = False
        self._over = False
        self._closed = False
        self._offer: Offer | None = None
        self._handed_off: HandoffConnection | None = None
        self._events = 0
        self._bytes = 0

    # What a server calls.

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> bytes:
        if self._over:
            raise StopIteration
        self._watchdog.wrote()
        if self._opened:
            chunk = self._next_chunk()
        else:
            self._opened = True
            try:
                chunk = self._open()
            except BaseException:
                self._end = End(CloseReason.FAILED)
                raise
        if not chunk:
            self._over = True
            raise StopIteration
        self._bytes += len(chunk)
        self._watchdog.writes()
        return chunk

    def close(self) -> None:
        """
        Release everything the stream holds. Servers call it at the end. Idempotent.

        """
        if self._closed:
            return
        self._closed = self._over = True
        self._watchdog.end()
        if self._handed_off is not None:
            # The request is over, and the stream goes on.
            self._source_ended(None)
            self._leave()
            return
        if self._visit is not None:
            self._visit.end()
        if not self._tracked:
            self._let_connection_go()
            self._close_source()
            self._leave()
            self._leave()
            return
        self.end_with(End(_reason_of_close()))
        assert self._end is not None
        reason = self._end.reason
        self._let_connection_go()
        if self._feed is not None:
            self._feed.stop()
            if isinstance(self._source, FeedSource):
                self._source_ended(self._feed.error)
        self._registry.lingers(self, self._watchdog.clock())
        if self._source_over:
            self._registry.lingers_no_more(self)
        self._registry.closed(self, reason)
        self._wait_for_source(reason)
        try:
            self._tell(reason)
        finally:
            self._leave()

    # What an application may call.

    def end(self, *, reconnect: bool = False) -> None:
        """
        End the stream soon, from any thread or greenlet. Idempotent: the first call counts.

        Args:
            reconnect: Whether the client shall come back; otherwise it is told to stop.

        """
        self.end_with(End(CloseReason.CLOSED, final=not reconnect))

    # What the reactor, the registry and its user's streams call.

    def end_with(self, end: End) -> None:
        """
        End the stream soon; see :class:`~sse_sync.closing.OpenStream`.

        """
        if self._handed_off is not None:
            self._handed_off.end_with(end)
            return
        with _lock:
            if self._end is not None:
                return
            self._end = end
        if end.is_urgent:
            self._watchdog.hurry()
        feed, signal = self._feed, self._signal
        if self._started and feed is not None and signal is not None:
            feed.stop()
            signal.set()

    def where(self) -> str:
        """
        Return what the stream's source is and where it stands.

        """
        name = getattr(self._source, "__qualname__", type(self._source).__qualname__)
        frame = getattr(self._source, "gi_frame", None)
        if frame is None:
            return str(name)
        return f"{name} at {frame.f_code.co_filename}:{frame.f_lineno}"

    # The beginning.

    def _open(self) -> bytes:
        environ, self._environ = self._environ, {}
        self._registry = registry()
        connection = self._watchdog.connection = find_connection(environ)
        if self._on_close is None and isinstance(self._source, Subscription):
            self._offer = environ.get(OFFER)
        # Test clients show neither; servers show one or both.
        if connection is not None or "SERVER_SOFTWARE" in environ:
            refusal = self._admit(environ)
            if refusal is not None:
                return self._send_away(refusal)
            self._open_beside()
        else:
            refusal = self._begin_visit()
            if refusal is not None:
                return self._send_away(refusal)
            self._registry.open_if_below(None, self)
            self._tracked = True
            self._open_inline()
        self._opened_at = self._watchdog.clock()
        self._watchdog.open(self._opened_at)
        # A comment and a reconnection time, so that headers and first bytes leave at once and
        # a client forgets the longer time that an earlier stream may have told it.
        return b":\n" + encode_retry(self._options.retry) + self._first_chunk()

    def _admit(self, environ: WSGIEnvironment) -> Refusal | None:
        gate = admission()
        gate.prepare(environ, self._registry)
        max_streams = self._options.max_streams
        refusal = gate.admit(self, self._registry, max_streams, passing=self._offer is not None)
        if refusal is None:
            try:
                refusal = self._begin_visit()
            except BaseException:
                self._registry.withdraw(self)
                raise
            if refusal is not None:
                self._registry.withdraw(self)
        return refusal

    def _begin_visit(self) -> Refusal | None:
        is_allowed = self._visit is None or self._visit.begin(self)
        return None if is_allowed else Refusal.LIMITED

    def _open_beside(self) -> None:
        self._runtime = runtime = _runtime.current()
        self._signal = runtime.signal()
        self._watchdog.keep(runtime.reactor, self._signal, self.end_with)
        self._opened_at = self._watchdog.clock()
        if isinstance(self._source, FeedSource):
            self._feed = self._source.open(self._signal, self._encode, self._context)
        else:
            self._feed = Pump(
                self._source,
                self._encode,
                runtime=runtime,
                context=self._context,
                signal=self._signal,
                ended=self._source_ended,
            )
        self._tracked = True
        self._registry.sweep_with(runtime.reactor)
        self._release()

    def _first_chunk(self) -> bytes:
        # What is there already leaves with the first bytes. A stream that is handed off right after
        # them needs no watch of its own, if writing them cannot take long.
        chunk, feed, source = b"", self._feed, self._source
        if self._runtime is not None and feed is not None and isinstance(source, FeedSource):
            if source.is_at_hand and self._end is None:
                self._start(feed)
                chunk = feed.take() or b""
                self._events += bool(chunk)
            if self._offer is not None and self._started and self._watchdog.can_write_at_once:
                return chunk
        self._watchdog.begin()
        return chunk

    def _open_inline(self) -> None:
        if isinstance(self._source, FeedSource):
            # At once, so that a test gets what it publishes after its request.
            self._feed = self._source.open(_runtime.current().signal(), self._encode, self._context)
            self._start(self._feed)
        else:
            self._feed = Inline(
                self._source, self._encode, context=self._context, ended=self._source_ended
            )

    def _release(self) -> None:
        if self._before is not None:
            try:
                self._context.run(self._before)
            except Exception:
                logger.exception("releasing the view's resources failed; the stream goes on")

    def _send_away(self, refusal: Refusal) -> bytes:
        # 200 and an end: after a 503 an EventSource never comes back (WHATWG HTML, 9.2.2).
        self._registry.refused()
        self._over = True
        if refusal is Refusal.FULL:
            return encode_retry(spread(self._options.retry_full))
        if refusal is Refusal.LIMITED:
            return _LIMITED + encode_retry(spread(self._options.retry_full))
        self._end = End(CloseReason.SERVER_STOPPING)
        return encode_retry(spread(self._options.retry_stopping))

    # The middle.

    def _next_chunk(self) -> bytes:
        feed = self._feed
        assert feed is not None
        if not self._started and self._end is None:
            self._start(feed)
        while self._end is None:
            chunk = feed.take()
            if chunk is not None:
                if self._offer is not None:
                    self._watchdog.begin()  # It did not leave right after its first bytes.
                self._events += 1
                return chunk
            if feed.done:
                self.end_with(self._end_of(feed))
            elif self._runtime is None:
                return b""  # A test has read what was published; waiting would hang it.
            elif self._watchdog.is_heartbeat_due:
                return HEARTBEAT
            elif self._offer is not None and self._hand_off(feed):
                return b""
            elif self._end is None:
                feed.wait()
        return self._farewell(self._end, feed)

    def _hand_off(self, feed: Feed) -> bool:
        # Tried once, when there is nothing to send for the first time.
        offer, self._offer = self._offer, None
        assert offer is not None
        assert isinstance(feed, ChannelFeed)
        assert self._runtime is not None
        try:
            handed_off = hand_off(
                self,
                offer,
                feed,
                self._state(),
                options=self._options,
                reactor=self._runtime.reactor,
                registry=self._registry,
                let_go=self._let_go,
            )
        except (StaysWithRequest, BrokerUnavailable) as exc:
            self._stay(str(exc))
            return False
        self._handed_off = handed_off
        self._watchdog.end()
        if self._end is not None:
            handed_off.end_with(self._end)  # Somebody ended it just now.
        logger.debug("event stream %s was handed off", self._path)
        return True

    def _state(self) -> StreamState:
        return StreamState(
            path=sys.intern(self._path),
            visit=self._visit,
            opened_at=self._opened_at,
            expires=self._watchdog.expires,
            events=self._events,
            bytes=self._bytes,
        )

    def _let_go(self) -> bool:
        if self._end is not None:
            return False
        self._let_connection_go()
        return True

    def _stay(self, why: str) -> None:
        logger.debug("event stream %s was not handed off: %s", self._path, why)
        connection = self._watchdog.connection
        if connection is not None and connection.fd < 0:
            self.end_with(End(CloseReason.CLIENT_GONE))  # The connection was taken, and closed.
            return
        self._watchdog.begin()
        self._registry.stays(self)
        if admission().is_over(self._registry, self._options.max_streams):
            # There is no room for it after all.
            self.end_with(End(CloseReason.NO_ROOM))

    def _start(self, feed: Feed) -> None:
        try:
            feed.start()
        except Exception as exc:
            # No more threads, for example. The client may come back when there are.
            logger.exception("source %s could not be started; ending its stream", self.where())
            feed.error = exc
            self.end_with(End(CloseReason.FAILED))
        if isinstance(self._source, FeedSource) and self._runtime is not None:
            self._release()  # What a snapshot has opened.
        # Only now: who ends the stream meanwhile leaves it to this thread to stop the source.
        self._started = True

    # The end.

    def _farewell(self, end: End, feed: Feed) -> bytes:
        self._over = True
        if end.reason is CloseReason.CLIENT_GONE:
            if self._watchdog.connection is not None:
                self._watchdog.connection.forget_error()
            return b""
        feed.stop()
        return (feed.take() or b"") + closing_bytes(end, self._options, feed.error)

    def _end_of(self, feed: Feed) -> End:
        if feed.overflowed:
            return End(CloseReason.OVERFLOWED)
        if feed.error is not None:
            return End(CloseReason.FAILED)
        return End(CloseReason.FINISHED, final=not self._options.reconnect)

    def _let_connection_go(self) -> None:
        is_stopping = self._end is not None and self._end.reason is CloseReason.SERVER_STOPPING
        self._watchdog.let_connection_go(is_stopping=is_stopping)

    def _close_source(self) -> None:
        # Closing a generator that never ran runs nothing of it.
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def _source_ended(self, error: BaseException | None) -> None:
        # In the source's own greenlet or thread.
        try:
            if self._after_source is not None and self._runtime is not None:
                self._after_source()
        finally:
            self._error = error
            self._source_over = True
            self._registry.lingers_no_more(self)
            if self._signal is not None:
                self._signal.set()
            self._leave()

    def _wait_for_source(self, reason: CloseReason) -> None:
        # The application's callback shares the view's context with the source, and with it, say,
        # a database session. So it comes after the source's cleanup, unless that takes long. And
        # a stopping gevent worker is gone as soon as its requests are.
        runtime, signal = self._runtime, self._signal
        if self._source_over or runtime is None or signal is None:
            return
        if reason is CloseReason.SERVER_STOPPING and runtime.exits:
            patience = STOP_PATIENCE
        elif self._on_close is not None:
            patience = CLEANUP_PATIENCE
        else:
            return
        reactor = runtime.reactor
        deadline = reactor.clock() + patience

        def wake(now: float) -> None:
            signal.set()

        timer = reactor.call_at(deadline, wake)
        while not self._source_over and reactor.clock() < deadline:
            signal.wait()
        timer.cancel()

    def _tell(self, reason: CloseReason) -> None:
        seconds = self._watchdog.clock() - self._opened_at
        log_end(self._path, reason, seconds, self._events, self._bytes)
        if self._on_close is not None:
            try:
                # A copy, because the source may be running in the context itself.
                self._context.copy().run(self._on_close, reason)
            except Exception:
                logger.exception("the on_close callback failed")

    def _leave(self) -> None:
        try:
            self._first_to_leave.pop()
        except IndexError:
            self._tear_down()

    def _tear_down(self) -> None:
        after, error = self._after, self._error
        # Whatever leads to the request, or from the request back here: otherwise both would have
        # to wait for the garbage collector.
        self._after = self._before = self._after_source = self._on_close = None
        self._context = _NO_CONTEXT
        self._source = iter(())
        self._error = None
        self._started = False
        self._feed = None
        if after is not None:
            try:
                after(error)
            except Exception:
                logger.exception("the teardown callback of a stream failed")


def _reason_of_close() -> CloseReason:
    # The stream did not end by itself, so the server gave up: because a write failed, or because
    # it kills its requests. It calls close() while it handles that exception.
    error = sys.exc_info()[1]
    if error is None or isinstance(error, (Exception, GeneratorExit)):
        return CloseReason.CLIENT_GONE
    return CloseReason.SERVER_STOPPING
