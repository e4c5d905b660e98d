"""
Notice that a stream's client is gone or does not read, while the stream has its request.

The reactor sees the end of a connection at once, and wakes when a client may have been too slow.
With that, a :class:`Watchdog` looks after all that must not be missed while a source blocks:
heartbeats, and the end of the stream's lifetime.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from .. import runtime as _runtime
from ..closing import URGENT_PATIENCE, CloseReason, End
from ..runtime import Runtime, Signal
from ..runtime.process import Clock, monotonic
from ..runtime.reactor import Timer
from ..server import Server
from ..settings import Options
from .client_socket import ClientSocket
from .heartbeat import Heartbeat

__all__ = ["Watchdog"]


# Seconds that on_close, and a stopping worker, wait for a source's cleanup. Gevent interrupts a
# source at once; a blocked source thread holds up the server's thread for this long. A stopping
# gunicorn gevent worker looks once a second whether its requests are over, so that with this, and
# the drain's interval, it is gone within two.
CLEANUP_PATIENCE = 0.5

# Seconds between two looks at what nobody signals.
LOOK_EVERY = 0.01

# Seconds that a client has for acknowledging the last bytes, if there is no write timeout.
WRITE_PATIENCE = 30.0


class Watchdog:
    """
    Watch one stream and its client. No method blocks except :meth:`wait_for_source`.

    Args:
        options: How the stream behaves.
    """

    __slots__ = (
        *("_end_with", "_has_begun", "_heartbeat", "_is_gone", "_is_over", "_is_writing"),
        *("_options", "_signal", "_timer"),
        *("client", "clock", "expires", "is_heartbeat_due", "runtime", "server"),
    )

    def __init__(self, options: Options) -> None:
        self._options = options
        self._end_with: Callable[[End], object] | None = None
        self._signal: Signal | None = None
        self._timer: Timer | None = None
        self._heartbeat = Heartbeat(options.heartbeat, self._beat)
        self._is_writing = False
        self._has_begun = self._is_gone = self._is_over = False
        self.runtime: Runtime | None = None
        """How the process waits; :obj:`None` in a test client, where nothing is watched."""
        self.clock: Clock = monotonic
        """Returns the time."""
        self.server: Server | None = None
        """The server; :obj:`None` in a test client."""
        self.client: ClientSocket | None = None
        """The client's socket; :obj:`None` if it is unknown."""
        self.expires: float | None = None
        """When the stream's lifetime is over; :obj:`None` for never."""
        self.is_heartbeat_due = False
        """Whether the stream has been quiet for so long that it must send a comment."""

    @property
    def must_close(self) -> bool:
        """Whether the stream has to close itself at its end, because the server or test may not."""
        return self.server is None or self.server.may_never_close

    @property
    def can_write_at_once(self) -> bool:
        """Whether the system accepts a few hundred bytes for the client without delay."""
        return self.client is not None and self.client.is_idle()

    def open(self, runtime: Runtime, end_with: Callable[[End], object]) -> Signal:
        """
        Record that the stream is open, and return the signal it waits for.

        Args:
            runtime: How the process waits.
            end_with: Ends the stream soon. Dropped at the end, because it references the stream.
        """
        self.runtime, self._end_with = runtime, end_with
        self.clock = runtime.reactor.clock
        if self._options.lifetime is not None:
            # Spread, so that streams that opened together do not end together.
            self.expires = self.clock() + self._options.lifetime * random.uniform(0.8, 1.0)
        self._signal = runtime.signal()
        return self._signal

    def wake(self) -> None:
        """Make the stream check everything again."""
        if self._signal is not None:
            self._signal.set()

    def wait_for_source(
        self,
        is_over: Callable[[], bool],
        reason: CloseReason,
        has_callback: bool,
        is_async: bool,
    ) -> None:
        """
        Wait in the stream's own thread or greenlet for its source's cleanup, unless it takes long.

        The application's callback shares the view's context with the source, including perhaps a
        database session, so it runs after the cleanup. And a stopping worker exits as soon as its
        requests end, so what can be interrupted is waited for: greenlets and asynchronous sources.

        Args:
            is_over: Returns whether the source has ended; called whenever the stream is woken.
            reason: Why the stream has ended.
            has_callback: Whether the application has a callback.
            is_async: Whether the source is asynchronous.
        """
        if self.runtime is None:
            return
        can_interrupt = is_async or bool(self.runtime.exits)
        is_stopping = reason is CloseReason.SERVER_STOPPING and can_interrupt
        if is_over() or not (is_stopping or has_callback):
            return
        self._wait(is_over, CLEANUP_PATIENCE)

    def forget_error(self) -> None:
        """See :meth:`.ClientSocket.forget_error`."""
        if self.client is not None:
            self.client.forget_error()

    def break_off(self, *, is_urgent: bool) -> None:
        """
        End the connection so that the client can tell that the body is not complete. Does nothing
        where the server does not allow that. To be called in the stream's own thread or greenlet,
        when everything is written.

        Args:
            is_urgent: Whether a client that does not read is cut off soon.
        """
        client = self.client
        if client is None or not client.can_break_off:
            return
        if client.is_chunked:
            client.end_writing()  # Before the last chunk.
        else:
            # A reset takes back what has not been acknowledged.
            patience = URGENT_PATIENCE if is_urgent else self._options.write_timeout
            self._wait(lambda: self._is_gone or client.is_idle(), patience or WRITE_PATIENCE)
            client.reset()

    def begin(self) -> None:
        """Start watching. Idempotent; does nothing in a test client."""
        if self.runtime is None or self._has_begun:
            return
        self._has_begun = True
        reactor = self.runtime.reactor
        if self.client is not None:
            self.client.prepare(self._options.write_timeout)
            reactor.watch(self.client.fd, self._hung_up)
        self._heartbeat.start(reactor)
        due = self._next_tick(self.clock())
        if due is not None:
            self._timer = reactor.call_at(due, self._tick)

    def wrote(self) -> None:
        """Record that the server has written its chunk and asks for the next."""
        self._is_writing = False

    def writes(self) -> None:
        """Record that the server gets a chunk to write."""
        # In this order: the reactor's thread must not see an old time during a write.
        self._heartbeat.last_sent = self.clock()
        self._is_writing = True
        self.is_heartbeat_due = False

    def hurry(self) -> None:
        """
        Cut the client off soon if it does not read, because the server is stopping or the user was
        dismissed.
        """
        if self.runtime is not None and not self._is_over:
            self.runtime.reactor.call_at(self.clock() + URGENT_PATIENCE, self._cut_off)

    def let_connection_go(self, *, is_stopping: bool = False) -> None:
        """
        Drop the client's socket before the server closes it: its descriptor may be another client's
        right after that. Idempotent.

        Args:
            is_stopping: Whether the server is stopping; a kept-alive connection would bring the
                client back to the same worker.
        """
        if self.client is None:
            return
        if self.runtime is not None:
            self.runtime.reactor.unwatch(self.client.fd)
        if is_stopping:
            self.client.stop_reading()
        self.client.release()

    def stop(self) -> None:
        """Stop watching, and drop the reference to the stream. Idempotent."""
        self._is_over = True
        self._end_with = None
        self._heartbeat.stop()
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, is_over: Callable[[], bool], seconds: float) -> None:
        if is_over():
            return
        # A stream that was refused has neither.
        runtime = self.runtime or _runtime.current()
        signal, clock = self._signal or runtime.signal(), runtime.reactor.clock
        deadline = clock() + seconds

        def look(now: float) -> float | None:
            signal.set()
            return min(now + LOOK_EVERY, deadline) if now < deadline else None

        timer = runtime.reactor.call_at(clock() + LOOK_EVERY, look)
        while not is_over() and clock() < deadline:
            signal.wait()
        timer.cancel()

    def _hung_up(self) -> None:
        self._is_gone = True
        self._end(CloseReason.CLIENT_GONE)

    def _end(self, reason: CloseReason) -> None:
        end_with = self._end_with
        if end_with is not None:
            end_with(End(reason))

    def _cut_off(self, now: float) -> float | None:
        # Repeated until the stream is closed, since the closing bytes may be what is not read.
        if self._is_over or self.client is None:
            return None
        if not self._is_writing or now < self._heartbeat.last_sent + URGENT_PATIENCE:
            return max(now, self._heartbeat.last_sent) + URGENT_PATIENCE
        self.client.abort()
        return None

    def _beat(self) -> None:
        if not self._is_writing:
            self.is_heartbeat_due = True
            self.wake()

    def _tick(self, now: float) -> float | None:
        # The reactor calls this at the latest when a write or the lifetime may be over.
        if self._is_over:
            return None
        timeout = self._options.write_timeout
        is_late = timeout is not None and now >= self._heartbeat.last_sent + timeout
        if is_late and self._is_writing and self.client:
            self.client.abort()
            self._end(CloseReason.CLIENT_GONE)
            return None
        if self.expires is not None and now >= self.expires:
            self._end(CloseReason.LIFETIME_OVER)
            self.expires = None
        return self._next_tick(now)

    def _next_tick(self, now: float) -> float | None:
        due = [] if self.expires is None else [self.expires]
        timeout = self._options.write_timeout
        if timeout is not None:
            then = self._heartbeat.last_sent + timeout
            due.append(then if then > now else now + timeout / 2)
        return min(due, default=None)
