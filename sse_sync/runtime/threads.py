"""The runtime of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from .process import monotonic, system_epoll
from .reactor import Reactor

if TYPE_CHECKING:
    import asyncio

__all__ = ["ThreadReactor", "ThreadRuntime", "ThreadSignal", "ThreadTask"]


class ThreadSignal:
    """A :class:`~sse_sync.runtime.Signal` for threads."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        # A locked lock is the cheapest thing to wait for: setting the signal unlocks it.
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            pass  # It is set already.

    def wait(self) -> None:
        self._lock.acquire()

    def set_and_wait(self, other: ThreadSignal) -> None:
        self.set()
        other.wait()


class ThreadTask:
    """A :class:`~sse_sync.runtime.Task` that cannot be interrupted."""

    def interrupt(self, running: Callable[[], bool]) -> None:
        """Do nothing: Python cannot raise an exception in a blocked thread."""


class ThreadReactor(Reactor):
    """A reactor that a daemon thread drives. The thread starts when there is work."""

    def __init__(self) -> None:
        super().__init__(system_epoll())
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._changed = threading.Event()

    def watch(self, fd: int, callback: Callable[[], object]) -> bool:
        self._start()
        return super().watch(fd, callback)

    def defer(self, function: Callable[[], object]) -> None:
        """Call a function here: it may block this thread for a while, but cannot end it."""
        try:
            function()
        except Exception:
            pass  # A log handler failed, so it cannot be logged.

    def wake(self) -> None:
        self._ring()

    def _ring(self) -> None:
        self._start()
        super()._ring()
        if self._epoll is None:
            self._changed.set()

    def _start(self) -> None:
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="sse-sync", daemon=True)
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        due = self.poll()
        while True:
            timeout = -1.0 if due is None else max(0.0, due - monotonic())
            if self._epoll is not None:
                due = self.poll(timeout)
            else:
                self._changed.wait(None if timeout < 0 else timeout)
                self._changed.clear()
                due = self.poll()


class ThreadRuntime:
    """The :class:`~sse_sync.runtime.Runtime` of a server that gives each request a thread."""

    name = "threads"
    """Name of this runtime."""
    exits: tuple[type[BaseException], ...] = ()
    """What is raised in an interrupted function."""

    def __init__(self) -> None:
        self.reactor: Reactor = ThreadReactor()
        """Watches sockets and timers for all streams of the process."""
        self._starting = threading.Lock()
        self._event_loop: asyncio.AbstractEventLoop | None = None

    def signal(self) -> ThreadSignal:
        return ThreadSignal()

    def spawn(self, function: Callable[[], None], name: str) -> ThreadTask:
        """Run a function in a daemon thread."""
        threading.Thread(target=function, name=name, daemon=True).start()
        return ThreadTask()

    def event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop, which runs in a daemon thread."""
        from .event_loop import start_loop  # Only now, because asyncio takes memory and time.

        with self._starting:
            if self._event_loop is None:
                self._event_loop = start_loop()
            return self._event_loop
