"""
Decide whether another stream may open: what the server can hold, and whether it is stopping.

A server does not answer requests beyond its capacity. Counting streams leaves room to tell clients
to reconnect later, and to serve ordinary requests meanwhile.
"""

from __future__ import annotations

import enum
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..closing import OpenStream
from ..runtime.process import after_fork
from ..server import find_worker
from .drain import drain
from .registry import Registry

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["Admission", "Capacity", "Refusal", "admission"]

logger = logging.getLogger("sse_sync")


# How many sources may outlive their streams, each in a thread that may block for ever, if the
# server's own limit is lower or not known.
LINGERING_LIMIT = 100


# The most slots reserved for ordinary requests.
MAX_RESERVE = 1000


class Refusal(enum.Enum):
    """Why a stream is not opened."""

    FULL = "full"
    """The process has as many streams as it can hold."""
    STOPPING = "stopping"
    """The server is stopping or reloading."""
    LIMITED = "limited"
    """The user or the address has reached its limit."""


@dataclass(frozen=True)
class Capacity:
    """What one server process can serve at a time."""

    slots: int
    """Concurrent requests."""
    advice: str
    """How to get more."""

    @property
    def streams(self) -> int:
        """
        Concurrent streams, at least one. A tenth of the slots, at most 1,000, is reserved for
        ordinary requests.
        """
        return max(1, self.slots - min(max(1, self.slots // 10), MAX_RESERVE))


@dataclass(frozen=True)
class Limit:
    """A maximum number of streams."""

    streams: int
    """Concurrent streams."""
    advice: str
    """How to get more."""


class Admission:
    """Admit or refuse streams in one process. It determines the server's capacity once."""

    def __init__(self) -> None:
        self._worker: Any = None
        # The server's limits on concurrent requests and on open connections.
        self._capacity: Capacity | None = None
        self._descriptors: Capacity | None = None
        self._known = False
        self._warned_full = False

    def prepare(self, environ: WSGIEnvironment, registry: Registry) -> None:
        """
        Determine the server's capacity, and warn if it is small. Later calls do nothing.

        Args:
            environ: Any request's WSGI environ; empty before the first request.
            registry: The process's streams.
        """
        if self._known:
            return
        self._worker = find_worker()
        if self._worker is None and not environ:
            return  # The application is still loading, perhaps in a master process.
        self._known = True
        worker = self._worker
        if worker is not None:
            drain().ask(lambda: not worker.alive)
        self._capacity = _capacity(environ, self._worker)
        self._descriptors = _descriptors()
        for warning in _warnings(environ, self._worker, self._capacity):
            logger.warning("%s", warning)

    def refusal(
        self, registry: Registry, max_streams: int | None, *, passing: bool = False
    ) -> Refusal | None:
        """
        Return why no stream may open now, or :obj:`None` if one may.

        Args:
            registry: The process's streams.
            max_streams: The configured limit; :obj:`None` for the server's capacity.
            passing: Whether the stream needs its request only briefly.
        """
        if self._worker is not None and not self._worker.alive:
            return Refusal.STOPPING
        limits = self.limits(max_streams)
        full = self._limit_of(registry, limits, passing=passing)
        if full is not None:
            return self._full(f"has reached its limit of {full.streams}. {full.advice}")
        _, requests = limits
        # As many as may disconnect at once; open files say nothing about threads.
        most = max_streams or (requests.streams if requests is not None else 0)
        if registry.lingering >= max(LINGERING_LIMIT, most):
            return self._full(
                f"holds {registry.lingering} sources that are blocked although their streams have"
                " ended. Give their blocking calls a timeout"
            )
        return None

    def is_over(self, registry: Registry, max_streams: int | None) -> bool:
        """
        Return whether too many streams hold a request.

        Args:
            registry: The process's streams.
            max_streams: The configured limit.
        """
        _, requests = self.limits(max_streams)
        return requests is not None and registry.requests > requests.streams

    def admit(
        self,
        stream: OpenStream,
        registry: Registry,
        max_streams: int | None,
        *,
        passing: bool = False,
    ) -> Refusal | None:
        """
        Add a stream to the registry, or return why it may not open.

        Args:
            stream: The stream.
            registry: The process's streams.
            max_streams: The configured limit; :obj:`None` for the server's capacity.
            passing: Whether the stream needs its request only briefly.
        """
        refusal = self.refusal(registry, max_streams, passing=passing)
        if refusal is not None:
            return refusal
        limits = self.limits(max_streams)
        all_, requests = (None if limit is None else limit.streams for limit in limits)
        if not registry.open_if_below(all_, stream, requests, passing=passing):
            full = self._limit_of(registry, limits, passing=passing) or limits[0] or limits[1]
            assert full is not None
            return self._full(f"has reached its limit of {full.streams}. {full.advice}")
        self._warned_full = False
        return None

    def limits(self, max_streams: int | None) -> tuple[Limit | None, Limit | None]:
        """
        Return how many streams the process may have, and how many of them may hold a request;
        :obj:`None` for any number.

        Args:
            max_streams: The configured limit, which replaces both.
        """
        if max_streams is not None:
            return Limit(max_streams, "Raise max_streams"), None
        capacities = self._descriptors, self._capacity
        descriptors, requests = (
            None if each is None else Limit(each.streams, each.advice) for each in capacities
        )
        return descriptors, requests

    def _full(self, problem: str) -> Refusal:
        if not self._warned_full:
            self._warned_full = True
            logger.warning("refusing new streams: this process %s", problem)
        return Refusal.FULL

    def _limit_of(
        self, registry: Registry, limits: tuple[Limit | None, Limit | None], *, passing: bool
    ) -> Limit | None:
        # The limit that has been reached. A passing stream soon gives up its request.
        all_, requests = limits
        if all_ is not None and registry.open >= all_.streams:
            return all_
        if not passing and requests is not None and registry.requests >= requests.streams:
            return requests
        return None


def _capacity(environ: WSGIEnvironment, worker: Any) -> Capacity | None:
    if worker is not None:
        if _is_worker(worker, "gthread"):
            return Capacity(worker.cfg.threads, "Raise gunicorn's --threads, or use -k gevent")
        if _is_worker(worker, "ggevent"):
            connections = worker.cfg.worker_connections
            return Capacity(connections, "Raise gunicorn's --worker-connections")
        if _is_worker(worker, "sync"):
            return Capacity(1, "Use gunicorn -k gevent")
    elif "waitress.client_disconnected" in environ:
        channel = environ["waitress.client_disconnected"].__self__
        return Capacity(channel.server.adj.threads, "Raise waitress's --threads")
    elif "uwsgi.version" in environ and "uwsgi" in sys.modules:
        return Capacity(_uwsgi_cores(), "Raise uWSGI's --threads, or use --gevent")
    return None


def _warnings(environ: WSGIEnvironment, worker: Any, capacity: Capacity | None) -> Iterator[str]:
    if worker is not None and _is_worker(worker, "sync"):
        yield (
            "a sync worker serves one stream and nothing else, and gunicorn kills it after"
            f" --timeout ({worker.cfg.timeout} s): run gunicorn -k gevent"
        )
    elif worker is not None and _is_worker(worker, "gtornado"):
        yield "a tornado worker buffers a stream until its end: run gunicorn -k gevent"
    elif capacity is not None and capacity.slots < 8 and not _hands_off(worker):
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


def _hands_off(worker: Any) -> bool:
    return any(kind.__module__ == "sse_sync.gunicorn.handoff" for kind in type(worker).__mro__)


def _uwsgi_cores() -> int:
    opt = sys.modules["uwsgi"].opt
    for name in ("gevent", "async", "threads"):
        value = opt.get(name)
        if value:
            return int(value)
    return 1


def _descriptors() -> Capacity | None:
    # Each stream needs one; 64 are left for the application's own files.
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    return Capacity(max(1, soft - 64), "Raise the limit of open files (ulimit -n)")


_admission = Admission()


def admission() -> Admission:
    """Return this process's admission."""
    return _admission


def _forget() -> None:
    global _admission
    _admission = Admission()


after_fork(_forget)
