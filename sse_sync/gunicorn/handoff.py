"""
How a gunicorn worker hands a connection off.

The response ends normally: the server sees that its length has been reached, on a connection that
must be closed. The descriptor now belongs to a socket that leads nowhere, so nothing that the
server still does, such as shutting it down, reaches the client.
"""

from __future__ import annotations

import _socket
import os
import ssl
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gunicorn
from gunicorn.http.wsgi import Response

from ..closing import CloseReason
from ..streams.handoff.takeover import OFFER
from ..streams.record import all_is_logged
from ..streams.registry import registry

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["HandoffMixin", "GunicornOffer"]

# Major versions of gunicorn that hand-off is tested with.
TESTED = range(22, 28)

# Seconds that a stopping worker waits for its connections' final bytes to be written, and for their
# ends to be logged.
DRAIN = 1.5

# Seconds before the arbiter kills a worker at which its jobs are interrupted.
BEFORE_KILL = 2.0


class GunicornOffer:
    """
    An :class:`~sse_sync.streams.handoff.takeover.Offer` of a gunicorn response.

    Args:
        response: The response.
        sock: Its connection.
        forget: Called with the descriptor before it is replaced.
    """

    def __init__(self, response: Any, sock: Any, forget: Callable[[int], object]) -> None:
        self._response = response
        self._sock = sock
        self._forget = forget

    @property
    def is_chunked(self) -> bool:
        return bool(self._response.chunked)

    def refusal(self, sent: int) -> str:
        response = self._response
        names = {name.lower() for name, _ in response.headers}
        if isinstance(self._sock, ssl.SSLSocket):
            return "gunicorn terminates TLS on this connection"
        if not response.headers_sent or response.status_code != 200:
            return "the headers have not been sent, or the status is not 200"
        if response.sent != sent or "content-encoding" in names:
            return "middleware has changed the body"
        if response.response_length is not None:
            return "the response has a Content-Length"
        if not response.chunked and response.req.version > (1, 0):
            return "the response's framing is unknown"
        return ""

    def take(self, let_go: Callable[[], bool]) -> _socket.socket | None:
        sock, nowhere = self._sock, _nowhere()
        fd = sock.fileno()
        taken = _socket.socket(sock.family, sock.type, sock.proto, os.dup(fd))
        if not let_go():
            taken.close()
            return None
        taken.setblocking(False)
        self._forget(fd)
        os.dup2(nowhere.fileno(), fd, inheritable=False)
        response = self._response
        response.chunked = False
        response.response_length = response.sent
        response.force_close()
        return taken


class HandoffMixin:
    """Mixin for workers: offers connections, and ends handed-off streams when the worker stops."""

    wsgi: WSGIApplication
    log: Any
    cfg: Any
    alive: bool
    # When the worker began to stop, and when its jobs are interrupted.
    _stop_began: float | None = None
    _jobs_end: float | None = None

    def init_process(self) -> None:
        """Raise the soft limit of open files to the hard limit."""
        _raise_descriptor_limit()
        super().init_process()  # type: ignore[misc]

    def load_wsgi(self) -> None:
        """Load the application, and offer it the connections."""
        super().load_wsgi()  # type: ignore[misc]
        application = self.wsgi
        if gunicorn.version_info[0] not in TESTED:
            self.log.warning(
                "hand-off is disabled, because sse-sync is not tested with gunicorn %s:"
                " each stream keeps its request",
                gunicorn.__version__,
            )
            return

        def offering(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
            response = getattr(start_response, "__self__", None)
            sock = environ.get("gunicorn.socket")
            # HTTP/2 uses another response class.
            if type(response) is Response and sock is not None:
                environ[OFFER] = GunicornOffer(response, sock, self.forget)
            return application(environ, start_response)

        _nowhere()  # Made here, before several threads could make it at once.
        self.wsgi = offering

    def run(self) -> None:
        """Serve until the worker stops, its jobs are over and every client has been told when to
        reconnect."""
        try:
            super().run()  # type: ignore[misc]
        except BaseException:
            self._jobs_end = time.monotonic()  # SystemExit after Ctrl-C: nobody wants to wait.
            raise
        finally:
            # Streams with a request have ended already, or cannot be ended.
            registry().end_all(CloseReason.SERVER_STOPPING)
            while self._has_jobs():
                self.notify()
                time.sleep(0.02)
            _wait(_all_is_said, time.monotonic() + DRAIN)

    def notify(self) -> None:
        """Tell the arbiter that the worker is alive, and end its jobs in time when it stops: also
        while gunicorn still waits for requests."""
        super().notify()  # type: ignore[misc]
        if not self.alive:
            self._has_jobs()

    def _has_jobs(self) -> bool:
        # Return whether the stopping worker has to wait for jobs; interrupt them after their grace.
        now = time.monotonic()
        if self._stop_began is None:
            self._stop_began = now
        # Without jobs their module is not there.
        jobs = sys.modules.get("sse_sync.jobs.manager")
        if jobs is None or not jobs.running():
            return False
        if self._jobs_end is None:
            seconds = max(0.0, min(jobs.grace(), self.cfg.graceful_timeout - BEFORE_KILL))
            self._jobs_end = max(now, self._stop_began + seconds)
            left = self._jobs_end - now
            self.log.info("waiting for %s jobs, at most %.0f s", jobs.running(), left)
        if now >= self._jobs_end:
            jobs.interrupt_all("its worker was stopped")
        return now < self._jobs_end + DRAIN

    def forget(self, fd: int) -> None:
        """Remove a descriptor from the worker's own loop."""


def _wait(condition: Callable[[], bool], deadline: float) -> None:
    while time.monotonic() < deadline and not condition():
        time.sleep(0.005)


def _all_is_said() -> bool:
    return not registry().handed_off and all_is_logged()


_dead_end: _socket.socket | None = None


def _nowhere() -> _socket.socket:
    # Reading from it returns the end of file, and writing to it fails.
    global _dead_end
    if _dead_end is None:
        _dead_end, other = _socket.socketpair()
        other.close()
    return _dead_end


def _raise_descriptor_limit() -> None:
    # As Go and Node.js do: the soft limit only protects programs that use select().
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            pass  # The limit stays, and streams beyond it are refused.
