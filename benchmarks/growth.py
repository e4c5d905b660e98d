"""
Measure growth: CPU time per delivered event, by the number of clients.

Up to 18,000 clients, or as many as the limit of descriptors allows. More clients get fewer events,
so that every figure covers about 200,000 deliveries.

    python -m benchmarks.growth
"""

from __future__ import annotations

from benchmarks import command
from benchmarks.clients import Clients, deliver, warm
from benchmarks.command import Column

COUNTS = (100, 1_000, 5_000)
MOST = 18_000


def at(folder, kind, count):
    """Return CPU microseconds per event and client."""
    with kind(folder) as server:
        warm(server)
        with Clients(server, count) as clients:
            deliver(server, clients, 2, 100)
            events = max(10, min(400, 200_000 // count))
            used, _ = deliver(server, clients, events, count // 10 + 20)
            return used


def measure(folder, kind, count):
    """Return one server's figures, and the growth from 1,000 clients to the maximum."""
    found = {str(each): at(folder, kind, each) for each in COUNTS if each < count}
    found["most"] = at(folder, kind, count)
    found["growth"] = found["most"] / found.get("1000", found["most"])
    return found


if __name__ == "__main__":
    columns = {str(count): Column(f"{count:,} clients") for count in COUNTS}
    columns |= {"most": Column("the most"), "growth": Column("the most / 1,000")}
    names = ("floor", "handoff-gevent", "handoff-threads", "nchan", "channel", "hand")
    command.main(__doc__, measure, columns, clients=MOST, servers=names)
