"""
The measured servers, each a process of its own on loopback.

All serve ``/ping``, an event stream, and a request that publishes n events at a given interval;
:mod:`benchmarks.pace` defines the events. None writes an access log.

"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks import cpus
from benchmarks.pace import paced
from tests.live.servers import free_port, wait_for
from tests.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks" / ".peers"
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
EVENT = 120
"""Bytes of an event, from the first field's name to the blank line."""
LONGEST = 40
"""Seconds that a server has to stop."""


def cpu(pids):
    """Return the seconds of CPU time of all threads of these processes."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            # A thread may have ended meanwhile.
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident(pids):
    """Return the bytes of these processes' private memory."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                total += int(line.split()[1]) * 1024
    return total


def children(pid):
    """Return a process's children."""
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Server:
    """
    A server, as a context manager.

    Args:
        folder: Where it may write, and where the C programs are.
        event: Bytes of an event.
        heartbeat: Seconds between heartbeats, if they can be set.
        workers: Number of worker processes, if it can have several.
        broker: URL of the broker, if it has one.

    """

    path, publish_path = "/events", "/publish"
    around = 29
    """Bytes of an event apart from its data."""
    most = 65_536
    """Maximum number of clients."""
    clients = ()
    """How the clients behave."""

    def __init__(self, folder, *, event=EVENT, heartbeat=15, workers=1, broker="memory://"):
        self.folder, self.port = folder, free_port()
        self.data, self.heartbeat = event - self.around, heartbeat
        self.count, self.broker = workers, broker

    @staticmethod
    def missing():
        """Return what has to be installed first, if anything."""
        return ""

    def __enter__(self):
        with cpus.for_server():
            self.process = self.start()
        try:
            wait_for(self.is_up, f"{type(self).__name__} to start", 30)
            self.pids = self.measured()
        except BaseException:
            self.__exit__()
            raise
        return self

    def run(self, command, **environ):
        """Start a process with the settings of the benchmark."""
        own = {"DATA": str(self.data), "HEARTBEAT": str(self.heartbeat)}
        return subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, env={**os.environ, **own, **environ}
        )

    def __exit__(self, *exc_info):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            for pid in children(self.process.pid):
                os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait(10)

    def is_up(self):
        """Return whether all of its processes answer."""
        with contextlib.suppress(OSError):
            self.get("/ping")
            return len(self.workers()) == self.count
        return False

    def workers(self):
        """Return the processes that answer."""
        return [self.process.pid]

    def measured(self):
        """Return the processes whose CPU time and memory are measured."""
        return self.workers()

    def get(self, path):
        """Return an ordinary response."""
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=300) as response:
            return response.read()

    def publish(self, n, pause=0):
        """Publish events, at an interval in milliseconds."""
        self.get(f"{self.publish_path}?n={n}&pause={pause}")

    def subscribed(self, count):
        """Wait until it has this many subscribers; most have them when the streams begin."""

    def forget(self):
        """Let it notice that clients have disconnected."""
        self.publish(3, 100)
        self.subscribed(0)
        time.sleep(1)


class Floor(Server):
    """The server in C."""

    def start(self):
        return self.run([self.folder / "floor", self.port, self.data])


class Gunicorn(Server):
    """A Flask application on gunicorn."""

    bin = Path(sys.executable).parent
    worker = ("-k", "gevent", "--worker-connections", "20000")
    app = "benchmarks.fanout_app:app"
    around = 36

    def start(self, **environ):
        return self.run(
            [
                *(self.bin / "gunicorn", "--no-control-socket", *self.worker, "-w", self.count),
                *("--log-level", "error", "--backlog", "4096"),
                *("-b", f"127.0.0.1:{self.port}", self.app),
            ],
            BROKER=self.broker,
            **environ,
        )

    def workers(self):
        return children(self.process.pid)


class HandOffGevent(Gunicorn):
    """Channels, handed off."""

    worker = ("-k", "sse_sync.gunicorn.GeventWorker")


class HandOffThreads(Gunicorn):
    """The same, without gevent."""

    worker = ("-k", "sse_sync.gunicorn.ThreadWorker", "--threads", "4")


class Channel(Gunicorn):
    """Channels, each stream in its request."""


class ByHand(Gunicorn):
    """A queue and a greenlet for each client, as in tutorials."""

    path, publish_path = "/hand/events", "/hand/publish"
    around = 29


class AsyncGevent(Gunicorn):
    """Asynchronous sources on gunicorn's own gevent worker."""

    app = "benchmarks.async_app:app"
    around = 8


class AsyncThreads(AsyncGevent):
    """Asynchronous sources, with a thread for each stream."""

    worker = ("-k", "sse_sync.gunicorn.ThreadWorker", "--threads", "130")
    most = 100


class Nchan(Server):
    """nginx with the nchan module; the publisher is outside."""

    around = 25

    @staticmethod
    def missing():
        return "" if NCHAN.exists() else "apt install libnginx-mod-nchan"

    def start(self):
        config = self.folder / "nginx.conf"
        config.write_text(
            f"load_module {NCHAN};\n"
            f"daemon off; worker_processes 1; pid {self.folder}/nginx.pid;\n"
            f"error_log {self.folder}/error.log;\n"
            "worker_rlimit_nofile 20000; events { worker_connections 19900; }\n"
            "http {\n"
            "  access_log off; nchan_shared_memory_size 256m;\n"
            f"  server {{ listen 127.0.0.1:{self.port} backlog=4096;\n"
            "    location = /events { nchan_subscriber eventsource; nchan_channel_id x;"
            " nchan_subscriber_first_message newest;"
            f" nchan_eventsource_ping_comment h; nchan_eventsource_ping_interval {self.heartbeat};"
            " }\n"
            "    location = /publish { nchan_publisher; nchan_channel_id x; }\n"
            "    location = /ping { return 200 ok; }\n"
            "  }\n}\n"
        )
        return self.run(["nginx", "-c", config, "-p", self.folder])

    def workers(self):
        return children(self.process.pid)

    def publish(self, n, pause=0):
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            for text in paced(n, pause, self.data):
                body = text.encode()
                sock.sendall(
                    b"POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(body), body)
                )
                while b"\r\n\r\n" not in sock.recv(65536):
                    pass


class Peer(Server):
    """A library in Python, in an environment that ``make peers`` sets up."""

    bin = PEERS / "venv" / "bin"

    @classmethod
    def missing(cls):
        return "" if (cls.bin / "gunicorn").exists() else "make peers"


class FlaskSSE(Peer, Gunicorn):
    """flask-sse, measured with its own Redis; it sends nothing before the first event."""

    app = "benchmarks.peers.flask_sse_app:app"
    around = 7
    most = 9_000  # It has two descriptors for each.
    clients = ("silent",)

    def start(self):
        self.store = tempfile.mkdtemp(dir=self.folder)
        self.redis = RedisServer(self.store, "--maxclients", "19000")
        self.redis.start()
        return super().start(REDIS_URL=self.redis.url)

    def __exit__(self, *exc_info):
        super().__exit__(*exc_info)
        self.redis.kill()

    def measured(self):
        return [*self.workers(), self.redis.process.pid]

    def subscribed(self, count):
        wait_for(lambda: self.subscribers() == count, f"{count} subscribers", 60)

    def subscribers(self):
        """Return the number of Redis's clients."""
        return self.redis.call("PUBSUB", "NUMSUB", "sse")[1]


class Uvicorn(Peer):
    """An ASGI application on uvicorn with uvloop."""

    def start(self):
        return self.run(
            [
                *(self.bin / "uvicorn", "--loop", "uvloop", "--http", "httptools"),
                *("--no-access-log", "--log-level", "critical", "--backlog", "4096"),
                *("--host", "127.0.0.1", "--port", self.port, self.app),
            ],
            DJANGO_SETTINGS_MODULE="benchmarks.peers.django_settings",
        )


class DjangoEventstream(Uvicorn):
    """django-eventstream, in one process."""

    app = "benchmarks.peers.django_eventstream_app:app"
    around = 25


class SSEStarlette(Uvicorn):
    """sse-starlette, with a queue for each client."""

    app = "benchmarks.peers.sse_starlette_app:app"
    around = 10


class FastAPI(Uvicorn):
    """FastAPI, with a queue for each client and no library."""

    app = "benchmarks.peers.fastapi_app:app"
    around = 8


class BetterSSE(Server):
    """better-sse on Node."""

    around = 63

    @staticmethod
    def missing():
        is_there = shutil.which("node") and (PEERS / "node_modules" / "better-sse").exists()
        return "" if is_there else "apt install nodejs npm; make peers"

    def start(self):
        script = ROOT / "benchmarks" / "peers" / "better_sse.cjs"
        return self.run(
            ["node", script, self.port],
            NODE_ENV="production",
            NODE_PATH=str(PEERS / "node_modules"),
        )


KINDS = {
    "floor": Floor,
    "handoff-gevent": HandOffGevent,
    "handoff-threads": HandOffThreads,
    "nchan": Nchan,
    "channel": Channel,
    "hand": ByHand,
    "better-sse": BetterSSE,
    "flask-sse": FlaskSSE,
    "sse-starlette": SSEStarlette,
    "django-eventstream": DjangoEventstream,
    "async-gevent": AsyncGevent,
    "async-threads": AsyncThreads,
    "fastapi": FastAPI,
}
ASYNC_SOURCES = ("async-gevent", "async-threads", "fastapi")
"""Those that are only in :mod:`benchmarks.async_sources`."""


def present(kinds, names):
    """Return the servers that are installed, and print which are missing."""
    found = []
    for name in names:
        missing = kinds[name].missing()
        if missing:
            print(f"without {name}: {missing}", file=sys.stderr)
        else:
            found.append(name)
    return found
