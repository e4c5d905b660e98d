"""
Test event streams with a framework's test client, against a live server, or without waiting.

* :func:`read_events` reads the response of a Flask or Django test client.
* :class:`LiveStream` is a client for a running server.
* :class:`FakeRuntime` fakes the clock, for tests of heartbeats, lifetimes and timeouts.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace, TracebackType
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from .event import ServerSentEvent
from .parser import EventStreamParser
from .runtime.reactor import Reactor

__all__ = ["FakeRuntime", "LiveStream", "read_events"]


def read_events(
    response: Any, limit: int | None = None, *, comments: bool = False
) -> list[ServerSentEvent]:
    """
    Return events of a test client's response, and close the response at its end.

    With a limit, the stream runs only as far as needed, and reading may continue later. Without
    one, the stream has to end by itself. In a test client, a stream of channels ends once every
    published event has been read.

    Args:
        response: What ``client.get()`` of Flask, Werkzeug or Django returned, or an iterable of
            bytes such as an :class:`~sse_sync.EventStream`.
        limit: Number of events to read; 0 only opens the stream.
        comments: Whether comments count as events.
    """
    reading = _readings.get(response)
    if reading is None:
        reading = _readings[response] = _Reading(response, comments)
        reading.read_on()
    while (limit is None or len(reading.events) < limit) and not reading.ended:
        reading.read_on()
    count = len(reading.events) if limit is None else min(limit, len(reading.events))
    return [reading.events.popleft() for _ in range(count)]


class _Reading:
    # Progress in reading a response: one chunk may hold more events than a test asks for.

    def __init__(self, response: Any, comments: bool) -> None:
        # Django's test response, which closes itself at its end; Werkzeug's; or the body itself.
        body = getattr(response, "streaming_content", None)
        self._close = getattr(response, "close", None) if body is None else None
        if body is None:
            body = getattr(response, "response", response)
        self._chunks = iter(body)
        self._parser = EventStreamParser(comments=comments)
        self.events: deque[ServerSentEvent] = deque()
        self.ended = False

    def read_on(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is not None:
            self.events.extend(self._parser.feed(chunk))
            return
        self.ended = True
        if self._close is not None:
            self._close()


_readings: WeakKeyDictionary[Any, _Reading] = WeakKeyDictionary()


class LiveStream:
    """
    Open an event stream on a running server and read it.

    An instance is a context manager, and an iterator over the stream's events.

    Args:
        url: The stream's ``http`` URL.
        last_event_id: Value of the ``Last-Event-ID`` header.
        headers: Further request headers.
        method: Request method.
        comments: Whether comments are returned too.
        timeout: Seconds without any bytes after which :exc:`TimeoutError` is raised.
        connection: A connected socket to use, for TLS or a unix socket.
    """

    def __init__(
        self,
        url: str,
        *,
        last_event_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        comments: bool = False,
        timeout: float = 10.0,
        connection: socket.socket | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._http = http.client.HTTPConnection(
            parts.hostname or "localhost", parts.port, timeout=timeout
        )
        if connection is not None:
            connection.settimeout(timeout)
            self._http.sock = connection
        sent = {"Accept": "text/event-stream", "Cache-Control": "no-cache", **(headers or {})}
        if last_event_id is not None:
            sent["Last-Event-ID"] = last_event_id.encode().decode("latin-1")
        target = parts.path + ("?" + parts.query if parts.query else "")
        try:
            self._http.request(method, target or "/", headers=sent)
            # getresponse() may drop its reference to the socket, which reset() needs.
            self._socket = self._http.sock
            self._response = self._http.getresponse()
        except BaseException:
            self._http.close()
            raise
        self._events: deque[ServerSentEvent] = deque()
        self.parser = EventStreamParser(comments=comments)
        """The parser, which knows the reconnection time and the last event ID."""
        self.status = self._response.status
        """HTTP status code."""
        self.headers: http.client.HTTPMessage = self._response.headers
        """Response headers."""
        self.was_broken_off = False
        """Whether the stream ended without the end of its body, as it does where its client has to
        come back."""

    def read(self) -> bytes:
        """
        Return the next bytes; none at the end of the stream.

        Raises:
            TimeoutError: If nothing arrives in time.
        """
        try:
            return self._response.read1(65536)
        except (http.client.IncompleteRead, ConnectionResetError):
            self.was_broken_off = True
            return b""

    def __iter__(self) -> Iterator[ServerSentEvent]:
        return self

    def __next__(self) -> ServerSentEvent:
        while not self._events:
            chunk = self.read()
            if not chunk:
                raise StopIteration
            self._events.extend(self.parser.feed(chunk))
        return self._events.popleft()

    def take(self, count: int) -> list[ServerSentEvent]:
        """
        Return the next events; fewer if the stream ends.

        Args:
            count: How many.
        """
        return list(itertools.islice(self, count))

    def close(self) -> None:
        """Close the connection as a browser does. Idempotent."""
        self._response.close()
        self._http.close()
        if self._socket is not None:
            self._socket.close()

    def reset(self) -> None:
        """Break the connection with a TCP reset, as a crash would."""
        if self._socket is not None:
            linger = struct.pack("ii", 1, 0)
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close()

    def __enter__(self) -> LiveStream:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class FakeRuntime:
    """
    A :class:`~sse_sync.runtime.Runtime` whose clock advances once every task is waiting.

    Only one task runs at a time, so every run is the same. Use it in place of the one that
    :func:`sse_sync.runtime.current` returns::

        monkeypatch.setattr("sse_sync.runtime.current", lambda: runtime)

    Args:
        can_interrupt: Whether a sleeping task can be interrupted, as under gevent.
    """

    name = "fake"
    """Name of this runtime."""

    class Interrupt(BaseException):
        """Raised in a task that is interrupted."""

    exits: tuple[type[BaseException], ...] = (Interrupt,)
    """What is raised in an interrupted function."""

    patience = 100_000
    """How often the clock may move in one wait. What waits longer waits for another clock."""

    def __init__(self, *, can_interrupt: bool = True) -> None:
        self.now = 1000.0
        """The time."""
        self.can_interrupt = can_interrupt
        """Whether a sleeping task can be interrupted."""
        self.reactor: Reactor = _FakeReactor(None, lambda: self.now)
        """Keeps the time; it watches no sockets."""
        self._ready: deque[_FakeTask | SimpleNamespace] = deque()
        self._current: _FakeTask | None = None
        self._event_loop: Any = None

    def signal(self) -> _FakeSignal:
        return _FakeSignal(self)

    def spawn(self, function: Callable[[], None], name: str) -> _FakeTask:
        """Run a function once the caller waits."""
        task = _FakeTask(self, function, name)
        self._ready.append(task)
        return task

    def event_loop(self) -> Any:
        """Return an event loop with the same clock, without sockets and threads."""
        from .fake_loop import FakeLoop  # Only now: it imports asyncio.

        if self._event_loop is None:
            self._event_loop = FakeLoop(self.reactor, self._call_soon)
        return self._event_loop

    def sleep(self, seconds: float) -> None:
        """
        Wait until the time has passed.

        Args:
            seconds: How long.
        """
        signal = self.signal()

        def wake(now: float) -> None:
            signal.set()

        self.reactor.call_at(self.now + seconds, wake)
        signal.wait()

    def run_ready(self) -> None:
        """Run all tasks until each one waits or has ended. No time passes."""
        while self._ready:
            self._ready.popleft().run()

    def advance(self, seconds: float) -> None:
        """
        Let time pass.

        Args:
            seconds: How long.
        """
        until, moves = self.now + seconds, 0
        self.run_ready()
        due = self.reactor.poll()
        while due is not None and due <= until:
            moves = self._move(due, moves)
            due = self.reactor.poll()
            self.run_ready()
        self.now = until

    def _call_soon(self, run: Callable[[], None]) -> None:
        self._ready.append(SimpleNamespace(run=run))

    def _wait(self, signal: _FakeSignal) -> None:
        task = self._current
        if task is not None:
            task.park(signal)
            return
        moves = 0
        while not signal.is_set:
            if self._ready:
                self.run_ready()
                continue
            due = self.reactor.poll()
            if signal.is_set or self._ready:
                continue
            if due is None:
                raise AssertionError("deadlock: every task waits, and no timer is set")
            moves = self._move(due, moves)

    def _move(self, due: float, moves: int) -> int:
        if moves >= self.patience:
            raise AssertionError(
                f"{moves:,} timers were due in one wait, and it is not over: it waits for what no"
                " timer brings, or by another clock than this runtime's"
            )
        self.now = max(self.now, due)
        return moves + 1


class _FakeReactor(Reactor):
    def _guarded(self, function: Callable[..., Any], *args: Any) -> Any:
        again = super()._guarded(function, *args)
        for now in args:  # A timer's; jobs have none.
            if again is not None and again <= now:
                raise AssertionError(
                    f"a timer that was due at {now} is to be due again at {again}, which is not"
                    " later: it goes by another clock than this runtime's"
                )
        return again


class _FakeSignal:
    def __init__(self, runtime: FakeRuntime) -> None:
        self.is_set = False
        self.waiter: _FakeTask | None = None
        self._runtime = runtime

    def set(self) -> None:
        self.is_set = True
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            self._runtime._ready.append(waiter)

    def wait(self) -> None:
        if not self.is_set:
            self._runtime._wait(self)
        self.is_set = False

    def set_and_wait(self, other: _FakeSignal) -> None:
        self.set()
        other.wait()


class _FakeTask:
    def __init__(self, runtime: FakeRuntime, function: Callable[[], None], name: str) -> None:
        self._runtime = runtime
        self._go = threading.Semaphore(0)
        self._parked = threading.Semaphore(0)
        self._signal: _FakeSignal | None = None
        self._error: BaseException | None = None
        self._has_ended = False
        self._function = function
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def interrupt(self, running: Callable[[], bool]) -> None:
        if self._has_ended or not self._runtime.can_interrupt or not running():
            return
        self._error = FakeRuntime.Interrupt()
        if self._signal is not None and self._signal.waiter is self:
            self._signal.waiter = None
            self._runtime._ready.append(self)
        # Otherwise it has its turn already, and is interrupted where it waits next.

    def run(self) -> None:
        # Called by the one that gives the task its turn, which waits until it waits or has ended.
        before, self._runtime._current = self._runtime._current, self
        self._go.release()
        self._parked.acquire()
        self._runtime._current = before

    def park(self, signal: _FakeSignal) -> None:
        # Called in the task's own thread.
        if self._error is None:
            signal.waiter = self
            self._signal = signal
            self._parked.release()
            self._go.acquire()
            self._signal = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _main(self) -> None:
        self._go.acquire()
        try:
            self._function()
        finally:
            self._has_ended = True
            self._parked.release()
