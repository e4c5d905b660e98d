"""
Measure fan-out: what it costs a server to write a channel's events to its clients.

The floor is a server in C that does nothing else. CPU time is user and system time of all the
server's threads, from the operating system's accounting; the clients are a C program. Every figure
is measured several times, alternating between the servers.

    python -m benchmarks.fanout
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time

from benchmarks import command
from benchmarks.clients import Clients, deliver, warm
from benchmarks.command import Column
from benchmarks.servers import LONGEST, cpu, resident

COLUMNS = {
    "one": Column("CPU µs per event and client", has_ratio=True),
    "burst": Column("the same, 20 events at once", has_ratio=True),
    "lost": Column("lost of the events one by one, %", 1),
    "burst_lost": Column("lost of those at once, %", 1),
    "connecting": Column("CPU µs per connection", 0),
    "idle": Column("KiB per idle client"),
    "stop": Column(f"s from SIGTERM to the end, {LONGEST} if it did not"),
}


def stopping(server, clients):
    """Return the seconds from SIGTERM to a server's end."""
    began = time.monotonic()
    clients.ask(-1)
    server.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.process.wait(LONGEST)
    return time.monotonic() - began


def measure(folder, kind, count):
    """Return all figures of one server."""
    with kind(folder) as server:
        warm(server)
        memory, used = resident(server.pids), cpu(server.pids)
        with Clients(server, count) as clients:
            connecting = (cpu(server.pids) - used) / count * 1e6
            time.sleep(1)
            idle = (resident(server.pids) - memory) / count / 1024
            deliver(server, clients, 2, 100)
            # Twice as long as the slowest server needs for an event.
            one, calm = deliver(server, clients, 20, max(60, count // 5))
            burst, storm = deliver(server, clients, 20, 0)
            stop = stopping(server, clients)
    return {
        "one": one, "burst": burst, "lost": calm.lost(), "burst_lost": storm.lost(),
        "connecting": connecting, "idle": idle, "stop": stop,
    }  # fmt: skip


if __name__ == "__main__":
    command.main(__doc__, measure, COLUMNS)
