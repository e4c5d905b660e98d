"""
How one process waits, and runs things side by side: threads or greenlets.

The core is written against the three protocols below. Which of the two worlds a request
lives in is decided when its stream starts, because gunicorn patches the standard
library after this package may have been imported.

"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from .reactor import Reactor

__all__ = ["Runtime", "Signal", "Task", "current", "is_exit"]


class Signal(Protocol):
    """
    Wake one waiter. A signal that is set while nobody waits is not lost.

    """

    def set(self) -> None:
        """
        Let the waiter go on. Anything may call it, from any thread; it never blocks.

        """

    def wait(self) -> None:
        """
        Wait until the signal is set, and reset it. Only one thread or greenlet may wait.

        """

    def set_and_wait(self, other: Any) -> None:
        """
        Set this signal, and wait for another: hand over and be handed back to.

        Args:
            other: Signal of the same world.

        """


class Task(Protocol):
    """
    A function that runs beside the caller.

    """

    def interrupt(self, running: Callable[[], bool]) -> None:
        """
        Raise :exc:`GreenletExit` in the function where it stands, if that is possible.

        Threads cannot be interrupted; nothing happens then.

        Args:
            running: Asked at the last moment whether the function is still where
                it may be interrupted.

        """


class Runtime(Protocol):
    """
    One of the two worlds.

    """

    name: str
    """``threads`` or ``gevent``."""

    exits: tuple[type[BaseException], ...]
    """What an interrupted function raises."""

    reactor: Reactor
    """Watches sockets and time for all streams of the process."""

    def signal(self) -> Signal:
        """
        Return a new signal.

        """

    def spawn(self, function: Callable[[], None], name: str) -> Task:
        """
        Run a function beside the caller.

        Args:
            function: What to run. It must not raise.
            name: What to call it in lists of threads.

        """


def is_exit(error: BaseException) -> bool:
    """
    Return whether an exception ends its thread or greenlet, rather than tells that something has
    failed. gevent's time-outs do not, though they are no :exc:`Exception`.

    """
    return isinstance(error, (SystemExit, KeyboardInterrupt, GeneratorExit, *current().exits))


_threads: Runtime | None = None
_gevent: dict[int, Runtime] = {}


def current() -> Runtime:
    """
    Return the world that the caller lives in.

    """
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
    # A child must neither poll its parent's epoll nor rely on threads it does not have. Its hub
    # would go on watching the epoll that it shares with its parent.
    global _threads
    inherited = [*_gevent.values(), *([_threads] if _threads is not None else [])]
    _gevent.clear()
    _threads = None
    for runtime in inherited:
        try:
            runtime.reactor.abandon()
        except Exception:
            pass  # There is nothing better to be done in a child that has just begun.


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
