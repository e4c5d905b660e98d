"""
Measure heartbeats: what an otherwise idle server spends on them.

Ten seconds with a heartbeat every second, minus ten seconds with one every hour. Servers without a
heartbeat, or with a fixed interval, are not measured.

    python -m benchmarks.heartbeat
"""

from __future__ import annotations

from benchmarks import command
from benchmarks.clients import Clients, warm
from benchmarks.command import Column
from benchmarks.servers import cpu

SECONDS = 10
COLUMNS = {
    "each": Column("CPU µs per heartbeat and client", has_ratio=True),
    "idle": Column("CPU ms per second without"),
    "count": Column("bytes per client and second"),
}


def idle(folder, kind, count, heartbeat):
    """Return seconds of CPU time and the number of bytes received."""
    with kind(folder, heartbeat=heartbeat) as server:
        warm(server)
        with Clients(server, count) as clients:
            clients.ask(1, 2)
            clients.answer()
            before = cpu(server.pids)
            clients.ask(1, SECONDS)
            answer = clients.answer()
            return cpu(server.pids) - before, answer.bytes


def measure(folder, kind, count):
    """Return the cost of one server's heartbeats."""
    seldom, _ = idle(folder, kind, count, 3600)
    often, got = idle(folder, kind, count, 1)
    return {
        "each": (often - seldom) / (SECONDS * count) * 1e6,
        "idle": seldom / SECONDS * 1e3,
        "count": got / count / SECONDS,
    }


if __name__ == "__main__":
    names = ("handoff-gevent", "handoff-threads", "nchan", "channel", "better-sse", "sse-starlette")
    command.main(__doc__, measure, COLUMNS, servers=names, choices=names)
