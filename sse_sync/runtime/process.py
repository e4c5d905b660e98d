"""
The process: its clock, what gevent's monkey-patching replaces in it, and what a fork has to renew.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Clock", "after_fork", "monotonic", "native_lock", "original", "system_epoll"]

logger = logging.getLogger("sse_sync")

Clock = Callable[[], float]
"""Returns seconds that never run backwards. A parameter wherever something waits, for tests."""

monotonic: Clock = time.monotonic
"""The clock of the operating system."""

_after_fork: list[Callable[[], object]] = []


def after_fork(function: Callable[[], object]) -> None:
    """
    Call a function in every child process, after those that were registered before.

    Args:
        function: What to call. An exception is logged, and keeps none of the others from running.
    """
    _after_fork.append(function)


def _run_after_fork() -> None:
    for function in _after_fork:
        try:
            function()
        except Exception:
            logger.exception("a child process could not start afresh; streams in it may fail")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_run_after_fork)


def native_lock() -> threading.Lock:
    """
    Return a re-entrant lock of the operating system.

    For locks that are never held while anything blocks or switches greenlets: then it works with
    threads and greenlets, is cheaper than gevent's, and may be taken in gevent's hub. It is
    re-entrant because the garbage collector may meanwhile call a finalizer that waits: with a
    simple lock, the next greenlet that takes it would block the whole thread for ever.
    """
    allocate: Callable[[], Any] = original("threading", "_CRLock") or threading.RLock
    lock: threading.Lock = allocate()
    return lock


def system_epoll() -> Callable[[], Any] | None:
    """Return the function that makes an epoll object, or :obj:`None` if the system has none."""
    # Patching deletes functions that do not cooperate, but saves them.
    epoll: Callable[[], Any] | None = getattr(select, "epoll", None) or original("select", "epoll")
    return epoll


def original(module: str, name: str) -> Any:
    """Return what gevent has replaced or removed, or :obj:`None` if it has not."""
    if "gevent.monkey" not in sys.modules:
        return None
    return sys.modules["gevent.monkey"].saved.get(module, {}).get(name)
