"""
Watch sockets and timers: one reactor per process with threads, one per hub with gevent.

Theory of operation. Streams register a socket (:meth:`Reactor.watch`) and a timer
(:meth:`Reactor.call_at`). A driver, which is a daemon thread or the gevent hub, calls
:meth:`Reactor.poll` whenever the epoll descriptor is readable or the earliest timer is due.
Callbacks run there, one after another, so they must not block: they record what happened and set
a :class:`~sse_sync.runtime.Signal`. Longer work is a job (:meth:`Reactor.call_soon`), which does a
little in each turn, so that the driver can do everything else in between.

A timer is not moved when a stream sends something, which would cost a heap operation per event.
Its callback checks whether anything is really due, and returns when to call it again.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from .process import Clock, monotonic, native_lock

__all__ = ["Reactor", "Timer"]

logger = logging.getLogger("sse_sync")

# Linux, include/uapi/linux/eventpoll.h. HUP and ERR are always reported. RDHUP is the peer's
# FIN. It is reported even after unread pipelined bytes and under TLS, where a peek misses it.
EPOLLIN, EPOLLOUT, EPOLLRDHUP = 0x1, 0x4, 0x2000

# Seconds of jobs before the driver does anything else.
TURN = 0.003

Job = Callable[[], bool]
"""Does a little work, and returns whether there is more."""


class Timer:
    """A call at a given time. Made by :meth:`Reactor.call_at`."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[float], float | None]) -> None:
        self.callback: Callable[[float], float | None] | None = callback

    def cancel(self) -> None:
        """Cancel the call. Idempotent."""
        # The heap keeps the entry until it is due, but nothing that the callback refers to.
        self.callback = None


class Reactor:
    """
    Watch sockets for hang-ups, and call timers that are due.

    Subclasses drive it: they override :meth:`wake`.

    Args:
        epoll: Makes the epoll object; :obj:`None` if the system has none, so that a
            disconnect is noticed only when something is written.
        clock: Returns the time.
    """

    def __init__(self, epoll: Callable[[], Any] | None, clock: Clock = monotonic) -> None:
        self.clock = clock
        """Returns the time."""
        self._epoll = epoll() if epoll is not None else None
        # Held while a descriptor is watched, unwatched, or reported: between epoll's report and
        # the look-up, another thread may close the socket, and a new client may get its number.
        self._lock = native_lock()
        self._hung_up: dict[int, Callable[[], object]] = {}
        self._writable: dict[int, Callable[[], object]] = {}
        self._jobs: deque[Job] = deque()
        # Keeps the epoll readable while there are jobs.
        self._bell, self._is_ringing = -1, False
        if self._epoll is not None:
            self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._epoll.register(self._bell, EPOLLIN)
        self._heap: list[tuple[float, int, Timer]] = []
        self._number = itertools.count()

    def watch(self, fd: int, callback: Callable[[], object]) -> bool:
        """
        Call back once when the peer of a socket has hung up.

        Args:
            fd: Descriptor of a connected socket.
            callback: What to call; it must not block.

        Returns:
            Whether the socket can be watched.
        """
        if self._epoll is None:
            return False
        with self._lock:
            self._hung_up[fd] = callback
            try:
                self._epoll.register(fd, EPOLLRDHUP)
            except (OSError, ValueError):
                del self._hung_up[fd]
                return False
            return True

    def unwatch(self, fd: int) -> None:
        """
        Forget a socket. Call this before its descriptor is closed. Idempotent.

        Args:
            fd: Descriptor passed to :meth:`watch`.
        """
        with self._lock:
            self._writable.pop(fd, None)
            if self._hung_up.pop(fd, None) is not None:
                self._unregister(fd)

    @property
    def can_write(self) -> bool:
        """Whether it can report that a socket has become writable."""
        return self._epoll is not None

    def watch_writable(self, fd: int, callback: Callable[[], object]) -> None:
        """
        Call back once when a socket is writable.

        Args:
            fd: Descriptor that is watched already.
            callback: What to call; it must not block.
        """
        assert self._epoll is not None
        with self._lock:
            if fd in self._hung_up:
                self._writable[fd] = callback
                self._epoll.modify(fd, EPOLLRDHUP | EPOLLOUT)

    def call_soon(self, job: Job) -> None:
        """
        Call a job in the driver's next turn, and in each turn after that while it returns that
        there is more to do. Anything may call this, from any thread.

        Args:
            job: What to call; it must not block, and should return within a few milliseconds.
        """
        self._jobs.append(job)
        self._ring()

    def call_at(self, when: float, callback: Callable[[float], float | None]) -> Timer:
        """
        Call back at a time, and again at each time that the callback returns.

        Args:
            when: Time of the reactor's clock.
            callback: Takes the time, and returns when to be called next, or :obj:`None` for
                never; it must not block.
        """
        timer = Timer(callback)
        self._push(when, timer)
        return timer

    def poll(self, timeout: float = 0) -> float | None:
        """
        Call back for hang-ups and for what is due, and return when the next call is due.

        Only the driver calls it.

        Args:
            timeout: Seconds to wait for a hang-up; -1 to wait without limit.
        """
        if self._epoll is not None:
            if timeout:
                self._epoll.poll(timeout, 1)  # Only to wait: its report may be stale by now.
            for happened in self._take_reports():
                self._guarded(happened)
        if self._jobs:
            self._do_jobs()
        return self._run_due(self.clock())

    def defer(self, function: Callable[[], object]) -> None:
        """
        Call a function that may block, such as one that logs, outside the driver if necessary.

        Args:
            function: What to call.
        """
        function()

    def abandon(self) -> None:
        """Release everything, in a child process that inherited it."""
        if self._epoll is not None:
            self._epoll.close()
            os.close(self._bell)

    def wake(self) -> None:
        """Tell the driver that the earliest time has changed."""

    def _ring(self) -> None:
        # Once is enough until the driver has heard it. The job is queued before this check, and
        # the driver looks for jobs after it has heard the bell.
        if not self._is_ringing:
            self._is_ringing = True
            if self._bell >= 0:
                os.eventfd_write(self._bell, 1)

    def _do_jobs(self) -> None:
        until = self.clock() + TURN
        for _ in range(len(self._jobs)):
            job = self._jobs.popleft()
            if self._guarded(job):
                self._jobs.append(job)
            if self.clock() >= until:
                break
        if self._jobs:
            self._ring()

    def _run_due(self, now: float) -> float | None:
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            callback = timer.callback
            if callback is not None:
                again = self._guarded(callback, now)
                if again is not None:
                    self._push_quietly(again, timer)
        return heap[0][0] if heap else None

    def _push(self, when: float, timer: Timer) -> None:
        if self._push_quietly(when, timer):
            self.wake()

    def _push_quietly(self, when: float, timer: Timer) -> bool:
        # Pushing and popping are atomic: heapq is C code, and comparing the entries runs no
        # Python code. Only the driver pops.
        entry = (when, next(self._number), timer)
        heapq.heappush(self._heap, entry)
        earliest = self._heap[:1]
        return not earliest or earliest[0] is entry

    def _take_reports(self) -> list[Callable[[], object]]:
        assert self._epoll is not None
        reports = []
        with self._lock:
            for fd, what in self._epoll.poll(0, 256):
                report: Callable[[], object] | None = None
                if fd == self._bell:
                    # In this order: a caller that finds it ringing does not ring again.
                    os.eventfd_read(fd)
                    self._is_ringing = False
                elif what & ~EPOLLOUT:
                    report = self._hung_up.pop(fd, None)
                    self._writable.pop(fd, None)
                    self._unregister(fd)
                else:
                    report = self._writable.pop(fd, None)
                    self._epoll.modify(fd, EPOLLRDHUP)
                if report is not None:
                    reports.append(report)
        return reports

    def _guarded(self, function: Callable[..., Any], *args: Any) -> Any:
        # One stream's mistake must not stop the others' clock.
        try:
            return function(*args)
        except Exception as exc:
            error = exc
        self.defer(
            lambda: logger.error(
                "a reactor callback failed; other streams carry on", exc_info=error
            )
        )
        return None

    def _unregister(self, fd: int) -> None:
        assert self._epoll is not None
        try:
            self._epoll.unregister(fd)
        except (OSError, ValueError):
            pass  # The descriptor was closed, and with it the registration.
