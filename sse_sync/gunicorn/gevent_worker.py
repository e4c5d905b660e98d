"""
The gevent worker.

"""

from __future__ import annotations

import os

import gevent
from gunicorn.workers import ggevent

from ..runtime.process import system_epoll
from .handoff import HandoffMixin

__all__ = ["GeventWorker"]


class GeventWorker(HandoffMixin, ggevent.GeventWorker):
    """
    gunicorn's gevent worker, with hand-off: streams that only relay channels need no greenlet, and
    do not count among ``--worker-connections``.

    """

    def forget(self, fd: int) -> None:
        """
        Take a descriptor out of the loop's epoll.

        libev leaves it there until it is closed; under the number of another connection it would
        be found in the way, and the whole epoll made anew, each time a client leaves.

        """
        epoll, loop = system_epoll(), gevent.get_hub().loop
        fileno = getattr(loop, "fileno", lambda: None)()
        if epoll is None or fileno is None:
            return
        watched = epoll.fromfd(os.dup(fileno))  # type: ignore[attr-defined]
        try:
            watched.unregister(fd)
        except OSError:
            pass  # It was never waited for.
        finally:
            watched.close()
