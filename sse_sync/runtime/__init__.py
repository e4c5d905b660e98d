"""
How a process waits, and runs things side by side: with threads or greenlets.

The core is written against the three protocols of :mod:`sse_sync.runtime.base`. A stream chooses
between the two worlds when it starts, because gunicorn may patch the standard library after this
package was imported.
"""

from __future__ import annotations

import sys

from .base import Runtime, Signal, Task
from .process import after_fork

__all__ = ["Runtime", "Signal", "Task", "current", "is_exit"]


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


after_fork(_forget)
