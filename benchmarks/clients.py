"""Many clients, in a C program; and what it costs a server to deliver events to them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import ROOT, cpu

PATIENCE = 10
"""Seconds without an event after which the missing ones count as lost."""


@contextlib.contextmanager
def programs():
    """Compile the C programs, into a folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp())
    try:
        for name in ("floor", "clients"):
            source = ROOT / "benchmarks" / "c" / f"{name}.c"
            subprocess.run(["cc", "-O2", "-o", folder / name, source], check=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Answer:
    """What the clients received; latencies are in milliseconds."""

    total: int
    lacking: int
    extra: int
    ended: int
    bytes: int
    p50: float
    p99: float
    p999: float
    max: float
    late: int
    """Events not later than the client's one before: repeated, or in the wrong order."""

    def lost(self):
        """Return the percentage of lost events."""
        return 100 * self.lacking / max(1, self.total - self.extra + self.lacking)


class Clients:
    """
    Many clients, as a context manager.

    Args:
        server: The server to connect to.
        count: Number of clients.
        how: ``timed`` to measure latency, ``stalled`` for clients with almost no buffer, ``slowly``
            to open a few at a time, each of which has to receive "ready".
        path: What they ask for, if it is not the server's path; ``#`` is the client's number.

    """

    def __init__(self, server, count, *how, path=None):
        self.server, self.count = server, count
        self.command = [
            *(server.folder / "clients", str(server.port), path or server.path, str(count)),
            *(*server.clients, *how),
        ]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            if self.process.stdout.readline() != "ready\n":
                raise RuntimeError("the clients could not connect")
            self.server.subscribed(self.count)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def ask(self, events, patience=PATIENCE):
        """Begin to wait for this many events per client, or for the end of all streams with -1."""
        self.process.stdin.write(f"{events} {patience}\n")
        self.process.stdin.flush()

    def answer(self):
        """Wait until they have arrived, or none has arrived for a while."""
        fields = self.process.stdout.readline().split()
        return Answer(*map(int, fields[:5]), *map(float, fields[5:9]), int(fields[9]))


def deliver(server, clients, events, pause):
    """Publish; return the CPU microseconds of the server per delivered event, and the answer."""
    before = cpu(server.pids)
    clients.ask(events)
    publisher = threading.Thread(target=server.publish, args=(events, pause))
    publisher.start()
    answer = clients.answer()
    publisher.join()
    used = cpu(server.pids) - before
    if answer.extra or answer.ended:
        print(f"{type(server).__name__}: {answer}", file=sys.stderr)
    return used / max(1, answer.total) * 1e6, answer


def warm(server):
    """Run a server once, with a few clients."""
    with Clients(server, 50) as clients:
        deliver(server, clients, 20, 10)
    server.forget()
