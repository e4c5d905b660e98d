"""
Whether one more stream may be opened: what the server can hold, and whether it stops.

A server answers requests beyond its capacity with silence. Counting streams leaves room to
tell a client to come back later, and to serve ordinary requests meanwhile.

"""

from __future__ import annotations

import enum
import logging
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .registry import Registry, Tracked

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["Admission", "Capacity", "Refusal", "admission", "find_worker"]

logger = logging.getLogger("sse_sync")


# Sources that a process may leave behind, each a thread that blocks for ever. Under gevent,
# where they are interrupted, there are as many for a moment as clients leave at once.
LINGERING_LIMIT = 100


class Refusal(enum.Enum):
    """
    Why a stream is not opened.

    """

    FULL = "full"
    """The process holds as many streams as it can."""
    STOPPING = "stopping"
    """The server stops or reloads."""
    LIMITED = "limited"
    """The user or the address has as many streams as it may."""


@dataclass(frozen=True)
class Capacity:
    """
    What one process of a server can serve at the same time.

    """

    slots: int
    """Requests at the same time."""
    advice: str
    """How to get more."""

    @property
    def streams(self) -> int:
        """
        Streams at the same time: a tenth is left to ordinary requests, but one stream goes.

        """
        return max(1, self.slots - max(1, self.slots // 10))


class Admission:
    """
    Decide for one process. What the server can hold is found out once.

    """

    def __init__(self) -> None:
        self._worker: Any = None
        self._capacity: Capacity | None = None
        self._known = False
        self._warned_full = False

    def prepare(self, environ: WSGIEnvironment, registry: Registry) -> None:
        """
        Find out what the server can hold; warn if that is little. Only the first call works.

        Args:
            environ: Any request's WSGI environ; an empty one before the first request.
            registry: The process's streams.

        """
        if self._known:
            return
        self._worker = find_worker()
        if self._worker is None and not environ:
            return  # The application is being loaded, perhaps in a master process.
        self._known = True
        if self._worker is not None:
            registry.end_when(self._is_stopping)
        self._capacity = _smallest(_capacities(environ, self._worker))
        for warning in _warnings(environ, self._worker, self._capacity):
            logger.warning("%s", warning)

    def refusal(self, registry: Registry, max_streams: int | None) -> Refusal | None:
        """
        Return why no stream may be opened now, or :obj:`None` if one may.

        Args:
            registry: The process's streams.
            max_streams: The configured limit; :obj:`None` for what the server can hold.

        """
        if self._worker is not None and self._is_stopping():
            return Refusal.STOPPING
        limit = self.limit(max_streams)
        if limit is not None and registry.open >= limit:
            return self._full(f"{limit}. {self._advice()}")
        if registry.lingering >= max(LINGERING_LIMIT, limit or 0):
            return self._full(
                f"{registry.lingering} sources that do not end although their streams have."
                " Give their blocking calls a timeout"
            )
        return None

    def admit(self, stream: Tracked, registry: Registry, max_streams: int | None) -> Refusal | None:
        """
        Add a stream to the registry, or return why it may not be opened.

        Args:
            stream: The stream.
            registry: The process's streams.
            max_streams: The configured limit; :obj:`None` for what the server can hold.

        """
        refusal = self.refusal(registry, max_streams)
        if refusal is not None:
            return refusal
        limit = self.limit(max_streams)
        if not registry.open_if_below(limit, stream):
            return self._full(f"{limit}. {self._advice()}")
        self._warned_full = False
        return None

    def limit(self, max_streams: int | None) -> int | None:
        """
        Return how many streams the process may hold, :obj:`None` for any number.

        Args:
            max_streams: The configured limit.

        """
        if max_streams is not None:
            return max_streams
        return None if self._capacity is None else self._capacity.streams

    def _is_stopping(self) -> bool:
        return not self._worker.alive

    def _full(self, problem: str) -> Refusal:
        if not self._warned_full:
            self._warned_full = True
            logger.warning("no more streams: this process holds %s", problem)
        return Refusal.FULL

    def _advice(self) -> str:
        return "Raise max_streams" if self._capacity is None else self._capacity.advice


def find_worker() -> Any:
    """
    Return the gunicorn worker that this process is, or :obj:`None`.

    gunicorn/workers/base.py, ``init_signals``, makes a method of the worker the handler of
    SIGTERM. No other way to it exists without configuration.

    """
    base = sys.modules.get("gunicorn.workers.base")
    if base is None:
        return None
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return worker if isinstance(worker, base.Worker) else None


def _smallest(capacities: Iterator[Capacity]) -> Capacity | None:
    return min(capacities, key=lambda capacity: capacity.slots, default=None)


def _capacities(environ: WSGIEnvironment, worker: Any) -> Iterator[Capacity]:
    if worker is not None:
        if _is_worker(worker, "gthread"):
            yield Capacity(worker.cfg.threads, "Raise gunicorn's --threads, or use -k gevent")
        elif _is_worker(worker, "ggevent"):
            connections = worker.cfg.worker_connections
            yield Capacity(connections, "Raise gunicorn's --worker-connections")
        elif _is_worker(worker, "sync"):
            yield Capacity(1, "Use gunicorn -k gevent")
    elif "waitress.client_disconnected" in environ:
        channel = environ["waitress.client_disconnected"].__self__
        yield Capacity(channel.server.adj.threads, "Raise waitress's --threads")
    elif "uwsgi.version" in environ and "uwsgi" in sys.modules:
        yield Capacity(_uwsgi_cores(), "Raise uWSGI's --threads, or use --gevent")
    descriptors = _descriptors()
    if descriptors is not None:
        yield Capacity(descriptors, "Raise the limit of open files (ulimit -n)")


def _warnings(environ: WSGIEnvironment, worker: Any, capacity: Capacity | None) -> Iterator[str]:
    if worker is not None and _is_worker(worker, "sync"):
        yield (
            "a sync worker serves one stream and nothing else, and is killed after --timeout"
            f" ({worker.cfg.timeout} s): run gunicorn -k gevent"
        )
    elif worker is not None and _is_worker(worker, "gtornado"):
        yield "a tornado worker holds a stream back until its end: run gunicorn -k gevent"
    elif capacity is not None and capacity.slots < 8:
        yield (
            f"this process serves {capacity.slots} request(s) at a time, so at most"
            f" {capacity.streams} stream(s). {capacity.advice}"
        )
    if "uwsgi" in sys.modules:
        options = sys.modules["uwsgi"].opt
        if not any(options.get(name) for name in ("enable-threads", "threads", "gevent")):
            yield "uWSGI runs no Python threads, which heartbeats need: add --enable-threads"


def _is_worker(worker: Any, module: str) -> bool:
    name = f"gunicorn.workers.{module}"
    return any(kind.__module__ == name for kind in type(worker).__mro__)


def _uwsgi_cores() -> int:
    opt = sys.modules["uwsgi"].opt
    for name in ("gevent", "async", "threads"):
        value = opt.get(name)
        if value:
            return int(value)
    return 1


def _descriptors() -> int | None:
    # A stream needs one; what the application has open already is not known.
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else max(1, soft - 64)


_admission = Admission()


def admission() -> Admission:
    """
    Return what decides for this process.

    """
    return _admission


def _forget() -> None:
    global _admission
    _admission = Admission()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
