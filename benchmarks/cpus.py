"""
On which CPUs servers and clients run.

A server has one CPU of its own, so that no scheduler decides how much of the time it shares caches
with its clients, and the clients and what publishes have the others. With a single CPU, and for
servers of several processes, nothing is pinned.

"""

from __future__ import annotations

import contextlib
import os

_all = sorted(os.sched_getaffinity(0))
_own = set(_all)


def pin():
    """Keep this process and what it starts, but not servers, off the servers' CPU."""
    global _own
    if len(_all) > 1:
        _own = set(_all[1:])
        os.sched_setaffinity(0, _own)


def described():
    """Say what is pinned."""
    return "a CPU for the server, the others for clients" if len(_own) < len(_all) else "not pinned"


@contextlib.contextmanager
def for_server():
    """Start processes on the servers' CPU."""
    if len(_own) < len(_all):
        os.sched_setaffinity(0, set(_all[:1]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, _own)
