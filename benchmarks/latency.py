"""
Measure latency at a fixed rate, from when an event was due to be published to its receipt.

Twenty events a second for ten seconds, to every client. An event carries the time when it was due,
so a server that lags behind its publisher gains nothing. Events count as lost ten seconds after the
last one that arrived.

    python -m benchmarks.latency
"""

from __future__ import annotations

from benchmarks import command
from benchmarks.clients import Clients, deliver, warm
from benchmarks.command import Column

PAUSE = 50
EVENTS = 200
COLUMNS = {
    "p50": Column("p50, ms"),
    "p99": Column("p99, ms"),
    "p999": Column("p99.9, ms"),
    "max": Column("max, ms"),
    "lost": Column("lost, %", 1),
}


def measure(folder, kind, count):
    """Return the percentiles of one server."""
    with kind(folder) as server:
        warm(server)
        with Clients(server, count, "timed") as clients:
            deliver(server, clients, 5, 100)
            _, answer = deliver(server, clients, EVENTS, PAUSE)
    return {
        "p50": answer.p50, "p99": answer.p99, "p999": answer.p999, "max": answer.max,
        "lost": answer.lost(),
    }  # fmt: skip


if __name__ == "__main__":
    command.main(__doc__, measure, COLUMNS, clients=500)
