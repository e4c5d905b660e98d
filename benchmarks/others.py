"""
Measure other requests: the latency of ``/ping`` while events go to many clients.

A ping is due every ten milliseconds, each on its own connection, one after another. Latency runs
from when it was due, so a ping that waits delays the following ones, as if others had sent them.
First without events, then while ten events go to all clients.

    python -m benchmarks.others
"""

from __future__ import annotations

import threading
import time

from benchmarks import command
from benchmarks.clients import Clients, deliver, warm
from benchmarks.command import Column
from benchmarks.pace import left

EVENTS = 10
EVERY = 10
COLUMNS = {
    "quiet_p50": Column("p50 without events, ms"),
    "quiet_max": Column("max, ms"),
    "p50": Column("p50 during fan-out, ms"),
    "p99": Column("p99, ms"),
    "max": Column("max, ms"),
    "lost": Column("lost events, %", 1),
}


class Pings(threading.Thread):
    """Send requests at a fixed rate until the block ends; ``took`` is sorted, in milliseconds."""

    def __init__(self, server):
        super().__init__()
        self.server, self.took, self.is_over = server, [], threading.Event()

    def run(self):
        due = time.monotonic_ns()
        while not self.is_over.wait(max(0, left(due))):
            self.server.get("/ping")
            self.took.append(-left(due) * 1e3)
            due += EVERY * 1_000_000

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self.is_over.set()
        self.join()
        self.took.sort()

    def at(self, share):
        """Return a percentile."""
        return self.took[min(len(self.took) - 1, int(share * len(self.took)))]


def measure(folder, kind, count):
    """Return the figures of one server."""
    with kind(folder) as server:
        warm(server)
        with Clients(server, count) as clients:
            deliver(server, clients, 2, 100)
            with Pings(server) as quiet:
                time.sleep(5)
            with Pings(server) as busy:
                _, answer = deliver(server, clients, EVENTS, count // 10 + 20)
    return {
        "quiet_p50": quiet.at(0.5), "quiet_max": quiet.at(1),
        "p50": busy.at(0.5), "p99": busy.at(0.99), "max": busy.at(1),
        "lost": answer.lost(),
    }  # fmt: skip


if __name__ == "__main__":
    names = ("handoff-gevent", "handoff-threads", "nchan", "channel", "hand")
    # The floor does nothing else while it publishes.
    command.main(__doc__, measure, COLUMNS, clients=18_000, servers=names, choices=command.ALL[1:])
