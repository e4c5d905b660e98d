"""
How a process waits, and runs things side by side: with threads or greenlets.

The core is written against the three protocols below. A stream chooses between the two when it
starts, because gunicorn may patch the standard library after this package was imported.

"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from .reactor import Reactor

__all__ = ["Runtime", "Signal", "Task", "current", "is_exit"]


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


def is_exit(error: BaseException) -> bool:
    """
    Return whether an exception ends its thread or greenlet on purpose, rather than reporting a
    failure. gevent's time-outs report a failure, though they are no :exc:`Exception`.

    """
    return isinstance(error, (SystemExit, KeyboardInterrupt, GeneratorExit, *current().exits))


_threads: Runtime | None = None
_gevent: dict[int, Runtime] = {}


def current() -> Runtime:
    """Return the runtime of the caller."""
    global _threads
    if "gevent" in sys.modules:
        from . import greenlets

        if greenlets.is_home():
            return greenlets.of_this_hub(_gevent)
    if _threads is None:
        from .threads import ThreadRuntime

        _threads = ThreadRuntime()
    return _threads


def _forget() -> None:
    # A child must not poll its parent's epoll, nor rely on threads that it does not have. Its
    # gevent hub would go on watching the epoll that it shares with its parent.
    global _threads
    inherited = [*_gevent.values(), *([_threads] if _threads is not None else [])]
    _gevent.clear()
    _threads = None
    for runtime in inherited:
        try:
            runtime.reactor.abandon()
        except Exception:
            pass  # There is nothing better to do in a child that has just started.


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
