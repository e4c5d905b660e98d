"""The contracts of how a process waits, for threads and for greenlets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from .reactor import Reactor

if TYPE_CHECKING:
    import asyncio

__all__ = ["Runtime", "Signal", "Task"]


class Signal(Protocol):
    """Wake one waiter. A signal that is set before anybody waits is not lost."""

    def set(self) -> None:
        """Wake the waiter. Anything may call it, from any thread; it never blocks."""

    def wait(self) -> None:
        """Wait until the signal is set, and reset it. Only one thread or greenlet may wait."""

    def set_and_wait(self, other: Any) -> None:
        """
        Set this signal and wait for another, as one step.

        Args:
            other: Signal of the same runtime.
        """


class Task(Protocol):
    """A function that runs beside the caller."""

    def interrupt(self, running: Callable[[], bool]) -> None:
        """
        Raise :exc:`GreenletExit` in the function where it blocks. In a thread, do nothing.

        Args:
            running: Called at the last moment; returns whether the function is still at a point
                where it may be interrupted.
        """


class Runtime(Protocol):
    """Threads or greenlets."""

    name: str
    """``threads`` or ``gevent``."""

    exits: tuple[type[BaseException], ...]
    """What is raised in an interrupted function."""

    reactor: Reactor
    """Watches sockets and timers for all of its streams."""

    def signal(self) -> Signal:
        """Return a new signal."""

    def spawn(self, function: Callable[[], None], name: str) -> Task:
        """
        Run a function beside the caller.

        Args:
            function: What to run. It must not raise.
            name: Its name in lists of threads.
        """

    def event_loop(self) -> asyncio.AbstractEventLoop:
        """
        Return the event loop of all async sources, which starts with the first call. It may run in
        another thread, so use only its ``call_soon_threadsafe()``.
        """
