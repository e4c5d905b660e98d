"""Sites with jobs, and the viewers of these."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass

from tests.live.servers import Server, kind
from tests.waiting import wait_for

# Kind of server, and number of workers. With several workers, the broker is Redis.
SITES = {
    "gevent": ("gunicorn-handoff-gevent-flask", 3),
    "threads": ("gunicorn-handoff-threads-django", 3),
    "memory": ("gunicorn-handoff-gevent-django", 1),
    "gthread": ("gunicorn-gthread-flask", 1),
}


class Site:
    """A server with jobs, and the notes that these leave."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder

    def call(self, method, path):
        """Return an ordinary response's JSON."""
        request = urllib.request.Request(self.server.url + path, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def status(self, key, query=""):
        return self.call("GET", f"/jobs/{key}/status{query}")

    def state(self, key):
        return (self.status(key) or {}).get("state")

    def start(self, key, query=""):
        """Start a job, and return the stream of the request that did."""
        stream = self.server.stream(f"/jobs/{key}?{query}", method="POST")
        assert stream.status == 200
        return stream

    def begin(self, key, query=""):
        """Start a job whose page is closed at once. Return the process that runs it."""
        self.start(key, query).reset()
        return self.owner(key)

    def whole(self, key, query=""):
        """Start a job; return the data of all that its page gets."""
        with self.start(key, query) as stream:
            return [event.data for event in stream if not event.event]

    def notes(self, key, what=None):
        """Return what a job has noted: what, the process and the time."""
        path = self.folder / f"{key}.notes"
        lines = path.read_text().splitlines() if path.exists() else []
        notes = [Note(what, int(pid), float(at)) for what, pid, at in map(str.split, lines)]
        return [note for note in notes if what in (None, note.what)]

    def noted(self, key, what, timeout=15):
        """Wait for a note."""
        return wait_for(lambda: self.notes(key, what), f"{what} of {key}", timeout)[-1]

    def owner(self, key):
        """Return the process that runs the job."""
        return self.noted(key, "started").pid


@dataclass
class Note:
    """What a job has noted."""

    what: str
    pid: int
    at: float


@contextlib.contextmanager
def running(name, folder, redis, *extra, workers=None, **env):
    """A site for as long as the block runs."""
    which, number = SITES[name]
    if name in ("gevent", "threads"):
        env["TEST_BROKER_URL"] = redis.url
    env["TEST_FOLDER"] = str(folder)
    arguments = ("--workers", str(workers or number), *extra)
    with Server(kind(which), folder / f"{name}.log", env, arguments) as server:
        yield Site(server, folder)
        server.stop()
        output = server.output()
        assert output.count("Traceback") == output.count("ZeroDivisionError:"), output


class Viewer:
    """
    Reads a job as an EventSource does, in a thread of its own, until the end.

    Args:
        site: The site.
        path: What to read.
        last_event_id: Where it goes on.
        but: A process that must not serve it.
        only: The process that must serve it at first.
    """

    def __init__(self, site, path, *, last_event_id=None, but=None, only=None):
        self.site, self.path, self.last_id = site, path, last_event_id
        self.but, self.only = but, only
        self.got = []
        self.ids = []
        self.told = []
        self.breaks = []
        """When it was cut off."""
        self.pids = []
        self.outcome = None
        """What it was told of the end: an outcome, or a status."""
        self.ended = 0.0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.opened()

    def opened(self):
        """Wait until it is connected."""
        wait_for(lambda: self.pids or self.outcome, f"{self.path} to open")

    def has(self, data):
        wait_for(lambda: data in self.got, f"{data} in {self.path}")

    def end(self, timeout=15.0):
        """Wait for the end; return the outcome."""
        wait_for(lambda: self.outcome, f"the end of {self.path}; {self}", timeout)
        return self.outcome

    def __str__(self):
        return f"{self.told} {self.got} {self.breaks}"

    def _run(self):
        while self.outcome is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._read()
            if self.outcome is None:
                self.breaks.append(time.monotonic())
                time.sleep(0.1)

    def _read(self):
        with self._connect() as stream:
            if stream.status != 200:
                self._end(stream.status)
                return
            self.pids.append(int(stream.headers["X-Worker"]))
            for event in stream:
                self._take(event)
                if self.outcome is not None:
                    return

    def _connect(self):
        with contextlib.ExitStack() as others:
            while True:
                stream = self.site.server.stream(self.path, last_event_id=self.last_id)
                worker = int(stream.headers.get("X-Worker", "0"))
                if worker != self.but and self.only in (None, worker):
                    self.only = None
                    return stream
                others.enter_context(stream)  # Kept, so that another worker is less busy.

    def _take(self, event):
        if event.id:
            self.last_id = event.id
        if event.event == "stream-end":
            self._end(json.loads(event.data)["outcome"])
        elif event.event:
            self.told.append(event.event)
            if event.event == "stream-reset":  # A page forgets what it has.
                self.got, self.ids = [], []
        else:
            self.got.append(event.data)
            self.ids.append(event.id)

    def _end(self, outcome):
        self.ended = time.monotonic()
        self.outcome = outcome


def tokens(count, first=0):
    return [f"token {number}" for number in range(first, count)]


def curl(site, *arguments):
    """Start curl; return a function that waits for its end, and returns its exit code and body."""
    process = subprocess.Popen(
        ["curl", "-sN", "--max-time", "30", *arguments[:-1], site.server.url + arguments[-1]],
        stdout=subprocess.PIPE,
    )

    def result():
        body, _ = process.communicate(timeout=30)
        return process.returncode, body

    return result
