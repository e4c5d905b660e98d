"""
What gevent's monkey-patching replaces, as the system has it.

"""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["native_lock", "system_epoll"]


def native_lock() -> threading.Lock:
    """
    Return a lock of the operating system, which its thread may take again.

    For what is never held while anything blocks or switches greenlets: then it is right in both
    worlds, cheaper than gevent's, and may be taken in gevent's hub. The one exception is a
    finalizer that the garbage collector calls meanwhile and that waits: with a simple lock, the
    next greenlet that wants it would stop the whole thread for ever.

    """
    allocate: Callable[[], Any] = _saved("threading", "_CRLock") or threading.RLock
    lock: threading.Lock = allocate()
    return lock


def system_epoll() -> Callable[[], Any] | None:
    """
    Return what makes an epoll object, or :obj:`None` where the system has none.

    """
    # Patching deletes what does not cooperate, but keeps it aside.
    epoll: Callable[[], Any] | None = getattr(select, "epoll", None) or _saved("select", "epoll")
    return epoll


def _saved(module: str, name: str) -> Any:
    if "gevent.monkey" not in sys.modules:
        return None
    return sys.modules["gevent.monkey"].saved.get(module, {}).get(name)
