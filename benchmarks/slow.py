"""
Measure isolation: what clients that never read do to the others, and to the server's memory.

A hundred events of 16 KiB, with and without 100 of 5,000 clients (one in fifty) that never read and
have almost no buffer. The latency is that of the others; memory is the growth of the process,
without the kernel's buffers.

    python -m benchmarks.slow
"""

from __future__ import annotations

import contextlib

from benchmarks import command
from benchmarks.clients import Clients, deliver, warm
from benchmarks.command import Column
from benchmarks.servers import resident

EVENTS = 100
SIZE = 16 * 1024
COLUMNS = {
    "p50": Column("p50 without, ms"),
    "p50_stalled": Column("with, ms"),
    "p99": Column("p99 without, ms"),
    "p99_stalled": Column("with, ms"),
    "grown": Column("memory grew without, MiB", 1),
    "grown_stalled": Column("with, MiB", 1),
    "lost": Column("lost by the others, %", 1),
    "ended": Column("of the stalled clients were ended, %", 0),
}


def others(folder, kind, count, stalled):
    """Return the others' latency, the memory's growth, and how many stalled clients were ended."""
    with kind(folder, event=SIZE) as server, contextlib.ExitStack() as stack:
        warm(server)
        stuck = stalled and stack.enter_context(Clients(server, stalled, "stalled"))
        with Clients(server, count - stalled, "timed") as clients:
            deliver(server, clients, 2, 100)
            before = resident(server.pids)
            _, answer = deliver(server, clients, EVENTS, max(50, count // 20))
            grown = (resident(server.pids) - before) / 2**20
            if stuck:
                stuck.ask(-1, 5)
            return answer, grown, stuck and stuck.answer().ended


def measure(folder, kind, count):
    """Return the figures of one server."""
    stalled = max(1, count // 50)
    without, grown, _ = others(folder, kind, count, 0)
    beside, grown_stalled, ended = others(folder, kind, count, stalled)
    return {
        "p50": without.p50, "p50_stalled": beside.p50,
        "p99": without.p99, "p99_stalled": beside.p99,
        "grown": grown, "grown_stalled": grown_stalled,
        "lost": beside.lost(), "ended": 100 * ended / stalled,
    }  # fmt: skip


if __name__ == "__main__":
    names = ("handoff-gevent", "handoff-threads", "nchan", "channel", "hand")
    command.main(__doc__, measure, COLUMNS, servers=names)
