"""The system's own primitives that gevent's monkey-patching replaces."""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["native_lock", "system_epoll"]


def native_lock() -> threading.Lock:
    """
    Return a re-entrant lock of the operating system.

    For locks that are never held while anything blocks or switches greenlets: then it works with
    threads and greenlets, is cheaper than gevent's, and may be taken in gevent's hub. It is
    re-entrant because the garbage collector may meanwhile call a finalizer that waits: with a
    simple lock, the next greenlet that takes it would block the whole thread for ever.

    """
    allocate: Callable[[], Any] = _saved("threading", "_CRLock") or threading.RLock
    lock: threading.Lock = allocate()
    return lock


def system_epoll() -> Callable[[], Any] | None:
    """Return the function that makes an epoll object, or :obj:`None` if the system has none."""
    # Patching deletes functions that do not cooperate, but saves them.
    epoll: Callable[[], Any] | None = getattr(select, "epoll", None) or _saved("select", "epoll")
    return epoll


def _saved(module: str, name: str) -> Any:
    if "gevent.monkey" not in sys.modules:
        return None
    return sys.modules["gevent.monkey"].saved.get(module, {}).get(name)
