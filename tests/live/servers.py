"""Real servers as processes: start one, find out that it is up, stop it."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import random
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from gunicorn.config import KNOWN_SETTINGS

from sse_sync import ServerSentEvent, comment
from sse_sync.testing import LiveStream
from tests.waiting import PATIENCE, wait_for

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
READY = ServerSentEvent("ready")
# For several workers on a machine that does other things as well: each imports the application.
START_DEADLINE = 60.0


_taken = contextlib.ExitStack()
atexit.register(_taken.close)


def free_port() -> int:
    """
    Return a port outside the range of outgoing connections that no other test gets.

    It stays bound here, without listening, until the tests end: a server may start later, or again.
    Servers listen beside that socket, because like it they allow the reuse of an address.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        sock = socket.socket()
        try:
            # Without the reuse of addresses at first: so it fails if anybody else has the port.
            sock.bind(("127.0.0.1", port))
        except OSError:
            sock.close()
            continue
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _taken.callback(sock.close)
        return port


def read_until_it_blocks(stream: LiveStream, heartbeats: int = 1) -> None:
    """
    Read the first bytes of a stream with comments, its only event, and what follows.

    Args:
        stream: Its source yields "ready", and then blocks.
        heartbeats: How many to read after the event: after the first, the source certainly blocks.
            Where its thread is slow to start, there are some before the event, too.
    """
    assert next(stream) == comment()
    while (event := next(stream)) == comment():
        pass
    assert event == READY
    assert stream.take(heartbeats) == [comment()] * heartbeats


APPS = {
    "flask": "tests.apps.flask_app:app",
    "django": "tests.django_project.wsgi:application",
    "example": "",
    "web-platform": "tests.apps.web_platform:app",
    "clients-flask": "tests.clients.app.flask_app:app",
    "clients-django": "tests.clients.app.django_app:application",
}


@dataclass(frozen=True)
class Kind:
    """How to start one server with one framework."""

    server: str
    framework: str
    command: tuple[str, ...]
    """The command; ``{port}`` and ``{app}`` are put in."""
    greenlets: bool
    """Whether a blocked generator can be interrupted."""
    health: str = "/plain"
    """A path that answers when it is up."""

    def __str__(self) -> str:
        return f"{self.server}-{self.framework}"


@dataclass
class Server:
    """A running server. A context manager."""

    kind: Kind
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    context: ssl.SSLContext | None = None
    descriptors: int | None = None
    """How many open files its processes may have."""
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        for _ in range(5):
            self.port = free_port()
            self._spawn()
            if self._is_up():
                return self
            self.stop()
        raise AssertionError(f"{self.kind} did not start:\n{self.output()}")

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its URL."""
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    def stream(self, path: str, **arguments: object) -> LiveStream:
        """Open an event stream."""
        arguments.setdefault("timeout", PATIENCE)
        if self.context is not None:
            plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            arguments["connection"] = self.context.wrap_socket(plain, server_hostname="127.0.0.1")
        return LiveStream(self.url + path, **arguments)

    def get(self, path: str) -> bytes:
        """Return an ordinary response's body."""
        url = self.url + path
        with urllib.request.urlopen(url, timeout=PATIENCE, context=self.context) as response:
            return response.read()

    def json(self, path: str) -> object:
        """Return an ordinary response's JSON."""
        return json.loads(self.get(path))

    def marks(self, key: str) -> dict[str, float]:
        """Return when each mark was set in a source."""
        return dict(self.json(f"/marks/{key}"))

    def wait_for_mark(self, key: str, what: str, timeout: float = PATIENCE) -> float:
        """Wait until a source has set a mark; return the time of it."""
        return wait_for(
            lambda: self.marks(key).get(what), f"{what!r} of {key} in {self.kind}", timeout
        )

    def output(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Send a signal to the main process."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    def wait(self, timeout: float) -> int:
        """Wait for the main process to end."""
        assert self.process is not None
        return self.process.wait(timeout)

    def workers(self) -> set[int]:
        """Return the process ids of gunicorn's workers."""
        assert self.process is not None
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def stop(self) -> None:
        """End it and its children."""
        process, self.process = self.process, None
        if process is None:
            return
        # It leads a process group of its own, so its children are reached by its id.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _spawn(self) -> None:
        app = APPS[self.kind.framework]
        command = [
            part.format(port=self.port, app=app, module=app.split(":")[0], bin=BIN)
            for part in (*self.kind.command, *self.extra)
        ]
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "tests.django_project.settings",
            "PORT": str(self.port),
            **self.env,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self.descriptors is not None:
            limits = (self.descriptors, self.descriptors)
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, limits)

    def _is_up(self) -> bool:
        deadline = time.monotonic() + START_DEADLINE
        assert self.process is not None
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                return bool(self.get(self.kind.health))
            time.sleep(0.05)
        return False


# The options that this gunicorn knows: a control socket since 25.1, HTTP/2 since 25.0.
GUNICORN_OPTIONS = {flag for setting in KNOWN_SETTINGS for flag in setting.cli or ()}
QUIET = tuple({"--no-control-socket"} & GUNICORN_OPTIONS)
GUNICORN = ("{bin}/gunicorn", *QUIET, "-b", "127.0.0.1:{port}")
PYWSGI = """
from gevent import monkey; monkey.patch_all()
import importlib, sys
from gevent.pywsgi import WSGIServer
module, _, name = sys.argv[1].partition(":")
app = getattr(importlib.import_module(module), name)
WSGIServer(("127.0.0.1", int(sys.argv[2])), app, log=None).serve_forever()
"""

CHEROOT = """
import importlib, sys
from cheroot.wsgi import Server
module, _, name = sys.argv[1].partition(":")
app = getattr(importlib.import_module(module), name)
Server(("127.0.0.1", int(sys.argv[2])), app, numthreads=20).safe_start()
"""
WSGIREF = """
import importlib, socketserver, sys
from wsgiref.simple_server import WSGIServer, make_server
module, _, name = sys.argv[1].partition(":")
app = getattr(importlib.import_module(module), name)
class ThreadedServer(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
make_server("127.0.0.1", int(sys.argv[2]), app, ThreadedServer).serve_forever()
"""

SERVERS: dict[str, tuple[tuple[str, ...], bool]] = {
    "gunicorn-gevent": ((*GUNICORN, "-k", "gevent", "{app}"), True),
    "gunicorn-gthread": ((*GUNICORN, "-k", "gthread", "--threads", "16", "{app}"), False),
    "gunicorn-handoff-gevent": (
        (*GUNICORN, "-k", "sse_sync.gunicorn.GeventWorker", "{app}"),
        True,
    ),
    "gunicorn-handoff-threads": (
        (*GUNICORN, "-k", "sse_sync.gunicorn.ThreadWorker", "--threads", "16", "{app}"),
        False,
    ),
    "gunicorn-gevent_pywsgi": ((*GUNICORN, "-k", "gevent_pywsgi", "{app}"), True),
    "gevent.pywsgi": (("{bin}/python", "-c", PYWSGI, "{app}", "{port}"), True),
    "waitress": (
        ("{bin}/waitress-serve", "--listen=127.0.0.1:{port}", "--threads=16", "{app}"),
        False,
    ),
    "waitress-lookahead": (
        (
            *("{bin}/waitress-serve", "--listen=127.0.0.1:{port}", "--threads=16"),
            *("--channel-request-lookahead=5", "{app}"),
        ),
        False,
    ),
    "uwsgi": (
        (
            *("{bin}/uwsgi", "--http-socket", "127.0.0.1:{port}", "--enable-threads"),
            *("--threads", "16", "--master", "--die-on-term", "--need-app"),
            *("--wsgi-disable-file-wrapper", "--module", "{app}"),
        ),
        False,
    ),
    "cheroot": (("{bin}/python", "-c", CHEROOT, "{app}", "{port}"), False),
    "wsgiref": (("{bin}/python", "-c", WSGIREF, "{app}", "{port}"), False),
    "flask-run": (("{bin}/flask", "--app", "{app}", "run", "--port", "{port}"), False),
    "runserver": (
        ("{bin}/python", "-m", "django", "runserver", "--noreload", "127.0.0.1:{port}"),
        False,
    ),
}


# Combinations that do not work.
LEFT_OUT = (("flask-run", "django"), ("runserver", "flask"))


def kinds() -> list[Kind]:
    """Return every server with every framework that it supports."""
    found = []
    for server, (command, greenlets) in SERVERS.items():
        for framework in ("flask", "django"):
            if (server, framework) in LEFT_OUT:
                continue
            found.append(Kind(server, framework, command, greenlets))
    return found


def kind(name: str) -> Kind:
    """Return one of them."""
    return next(kind for kind in kinds() if str(kind) == name)
