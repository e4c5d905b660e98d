"""
Choose the CPUs of servers and clients.

A server has one CPU to itself, so that the scheduler does not decide how often it shares caches
with its clients; clients and publisher have the others. With a single CPU, and for servers with
several processes, nothing is pinned.

"""

from __future__ import annotations

import contextlib
import os

_servers = _own = os.sched_getaffinity(0)


def pin():
    """Keep this process and its children, except servers, off the servers' CPU."""
    global _servers, _own
    first, *others = sorted(_own)
    if others:
        _servers, _own = {first}, set(others)
        os.sched_setaffinity(0, _own)


def described():
    """Say what is pinned."""
    return "not pinned" if _servers == _own else "a CPU for the server, the others for clients"


@contextlib.contextmanager
def for_server():
    """Start processes on the servers' CPU."""
    os.sched_setaffinity(0, _servers)
    try:
        yield
    finally:
        os.sched_setaffinity(0, _own)
