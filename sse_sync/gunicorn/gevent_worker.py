"""The gevent worker."""

from __future__ import annotations

import os

import gevent
from gunicorn.workers import ggevent

from ..runtime.process import system_epoll
from .handoff import HandoffMixin

__all__ = ["GeventWorker"]


class GeventWorker(HandoffMixin, ggevent.GeventWorker):
    """
    gunicorn's gevent worker with hand-off: streams that only relay channels need no greenlet, and
    do not count towards ``--worker-connections``.
    """

    def forget(self, fd: int) -> None:
        """
        Remove a descriptor from the loop's epoll.

        Otherwise libev leaves it there until it is closed. Once another connection gets the same
        number, libev rebuilds the whole epoll each time a client leaves.
        """
        epoll, loop = system_epoll(), gevent.get_hub().loop
        fileno = getattr(loop, "fileno", lambda: None)()
        if epoll is None or fileno is None:
            return
        watched = epoll.fromfd(os.dup(fileno))  # type: ignore[attr-defined]
        try:
            watched.unregister(fd)
        except OSError:
            pass  # It was never watched.
        finally:
            watched.close()
