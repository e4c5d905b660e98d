"""
Measure asynchronous sources: an async generator for each client, which awaits a queue.

With as many clients: private memory for each; twenty events a second apart, each to every client;
then clients that leave, from the close of the connection to the generator's ``finally``.

    python -m benchmarks.async_sources

"""

from __future__ import annotations

import json
import socket
import statistics
import time

from benchmarks import command
from benchmarks.clients import Clients, deliver, warm
from benchmarks.command import Column
from benchmarks.servers import resident, wait_for

LEAVING = 40
COLUMNS = {
    "each": Column("CPU µs per event and client", has_ratio=True),
    "memory": Column("KiB per idle client", 1),
    "left": Column("ms from disconnect to `finally`, median", 1),
    "last": Column("the longest", 1),
    "lost": Column("% lost", 1),
}


def leave(server):
    """Open a stream, and close it while its source waits; return the milliseconds until it ends."""
    before = len(json.loads(server.get("/left")))
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as sock:
        sock.sendall(f"GET {server.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        data = b""
        while b"ready" not in data:
            data += sock.recv(65536)
        time.sleep(0.02)
        gone = time.monotonic()

    def ended():
        return json.loads(server.get("/left"))[before:]

    return (wait_for(ended, "the source to end", 60)[0] - gone) * 1000


def measure(folder, kind, count):
    """Return what one server's asynchronous sources cost."""
    with kind(folder) as server:
        warm(server)
        before = resident(server.pids)
        with Clients(server, count) as clients:
            time.sleep(1)
            memory = (resident(server.pids) - before) / count / 1024
            used, answer = deliver(server, clients, 20, 1000)
            took = [leave(server) for _ in range(LEAVING)]
        return {
            "each": used,
            "memory": memory,
            "left": statistics.median(took),
            "last": max(took),
            "lost": answer.lost(),
        }


if __name__ == "__main__":
    names = ("async-gevent", "async-threads", "fastapi", "sse-starlette")
    command.main(__doc__, measure, COLUMNS, clients=1000, servers=names, choices=names)
