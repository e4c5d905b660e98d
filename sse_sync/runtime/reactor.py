"""
One per process: which clients hung up, and what is due.

Theory of operation. Streams register a socket (:meth:`Reactor.watch`) and a time
(:meth:`Reactor.call_at`). A driver, which is a daemon thread or the gevent hub, calls
:meth:`Reactor.poll` whenever the epoll descriptor is readable or the earliest time has come.
Callbacks run there, one after another, so they must not block: they note what happened and set
a :class:`~sse_sync.runtime.Signal`. Longer work is a job (:meth:`Reactor.call_soon`), which does a
little of it in each turn, so that the driver gets to everything else in between.

A time is not moved when a stream sends something, which would cost a heap operation per event.
The callback looks at how late it really is, and returns when it wants to be called again.

"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from .clock import Clock, monotonic
from .process import native_lock

__all__ = ["Reactor", "Timer"]

logger = logging.getLogger("sse_sync")

# Linux, include/uapi/linux/eventpoll.h. HUP and ERR are always reported. RDHUP is the peer's
# FIN, which is seen even behind unread pipelined bytes and under TLS, where a peek sees neither.
EPOLLIN, EPOLLOUT, EPOLLRDHUP = 0x1, 0x4, 0x2000

# Seconds for which jobs are done before the driver gets to anything else.
TURN = 0.003

Job = Callable[[], bool]
"""Does a little work, and tells whether there is more."""


class Timer:
    """
    A time at which something is called. Made by :meth:`Reactor.call_at`.

    """

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[float], float | None]) -> None:
        self.callback: Callable[[float], float | None] | None = callback

    def cancel(self) -> None:
        """
        Never call it again. Idempotent.

        """
        # The heap keeps the entry until its time comes, but nothing that hangs on it.
        self.callback = None


class Reactor:
    """
    Watch sockets for their peers' end, and call what is due.

    Subclasses drive it: they override :meth:`wake`.

    Args:
        epoll: Makes the epoll object; :obj:`None` where the system has none, so that
            a client's end is only seen when something is written to it.
        clock: Tells the time.

    """

    def __init__(self, epoll: Callable[[], Any] | None, clock: Clock = monotonic) -> None:
        self.clock = clock
        """Tells the time."""
        self._epoll = epoll() if epoll is not None else None
        # Held while a descriptor is watched, unwatched, or reported: between epoll's report and
        # the look-up another thread may close the socket, and a new client get its number.
        self._lock = native_lock()
        self._hung_up: dict[int, Callable[[], object]] = {}
        self._writable: dict[int, Callable[[], object]] = {}
        self._jobs: deque[Job] = deque()
        # Makes the epoll readable as long as there are jobs.
        self._bell, self._is_ringing = -1, False
        if self._epoll is not None:
            self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._epoll.register(self._bell, EPOLLIN)
        self._heap: list[tuple[float, int, Timer]] = []
        self._number = itertools.count()

    def watch(self, fd: int, callback: Callable[[], object]) -> bool:
        """
        Call back once when the peer of a socket is gone.

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
        Forget a socket. To be called before its descriptor is closed. Idempotent.

        Args:
            fd: Descriptor that was given to :meth:`watch`.

        """
        with self._lock:
            self._writable.pop(fd, None)
            if self._hung_up.pop(fd, None) is not None:
                self._unregister(fd)

    @property
    def can_write(self) -> bool:
        """
        Whether it can tell when something can be written to a socket.

        """
        return self._epoll is not None

    def watch_writable(self, fd: int, callback: Callable[[], object]) -> None:
        """
        Call back once when something can be written to a socket.

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
        Do a job: call it in the driver's next turn, and again in each as long as it tells that
        there is more. Anything may call this, from any thread.

        Args:
            job: What to call; it must not block, and should return within some milliseconds.

        """
        self._jobs.append(job)
        self._ring()

    def call_at(self, when: float, callback: Callable[[float], float | None]) -> Timer:
        """
        Call back at a time, and again whenever the callback names another.

        Args:
            when: Time of the reactor's clock.
            callback: Takes the time, and returns when to be called next or :obj:`None` for
                never; it must not block.

        """
        timer = Timer(callback)
        self._push(when, timer)
        return timer

    def poll(self, timeout: float = 0) -> float | None:
        """
        Call who hung up and what is due, and return when the next call is due.

        Only the driver calls it.

        Args:
            timeout: Seconds to wait for somebody to hang up; -1 for as long as it takes.

        """
        if self._epoll is not None:
            if timeout:
                self._epoll.poll(timeout, 1)  # Only to wait: what it reports may be old already.
            for happened in self._take_reports():
                self._guarded(happened)
        if self._jobs:
            self._do_jobs()
        return self._run_due(self.clock())

    def defer(self, function: Callable[[], object]) -> None:
        """
        Call a function that may block, such as one that logs, outside the driver if need be.

        Args:
            function: What to call.

        """
        function()

    def abandon(self) -> None:
        """
        Let go of everything, in a child process that inherited it.

        """
        if self._epoll is not None:
            self._epoll.close()
            os.close(self._bell)

    def wake(self) -> None:
        """
        Tell the driver that the earliest time has changed.

        """

    def _ring(self) -> None:
        # Once is enough until it has been heard. The job is there before this is asked, and the
        # driver looks for jobs after it has heard the bell.
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
                    # In this order: who finds that it rings already does not ring again.
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
