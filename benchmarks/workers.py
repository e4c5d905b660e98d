"""
Measure Redis end to end: a process that publishes, redis-server, three workers, clients.

CPU time per delivered event is that of all workers together, and of Redis, without the publisher's.
Latency runs from when an event was due to its receipt, at ten events a second.

    python -m benchmarks.workers
"""

from __future__ import annotations

import tempfile

from benchmarks import command
from benchmarks.clients import Clients, deliver, warm
from benchmarks.command import Column
from benchmarks.pace import paced
from benchmarks.servers import cpu
from sse_sync import connect
from tests.redis_server import RedisServer

WORKERS = 3
EVENTS = 100
PAUSE = 100
COLUMNS = {
    "workers": Column("CPU µs of the workers per event and client"),
    "redis": Column("CPU µs of Redis per event", 0),
    "p50": Column("p50, ms"),
    "p99": Column("p99, ms"),
    "p999": Column("p99.9, ms"),
    "max": Column("max, ms"),
    "lost": Column("lost, %", 1),
}


def measure(folder, kind, count):
    """Return the figures of one kind of worker."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as store,
        RedisServer(store) as redis,
        connect(redis.url) as hub,
        kind(folder, workers=WORKERS, broker=redis.url) as server,
    ):

        def publish(n, pause=0):
            for text in paced(n, pause, server.data):
                hub.publish("x", text)

        server.publish = publish
        warm(server)
        with Clients(server, count, "timed") as clients:
            deliver(server, clients, 5, 100)
            before = cpu([redis.process.pid])
            used, answer = deliver(server, clients, EVENTS, PAUSE)
            of_redis = cpu([redis.process.pid]) - before
    return {
        "workers": used, "redis": of_redis / EVENTS * 1e6,
        "p50": answer.p50, "p99": answer.p99, "p999": answer.p999, "max": answer.max,
        "lost": answer.lost(),
    }  # fmt: skip


if __name__ == "__main__":
    names = ("handoff-gevent", "handoff-threads", "channel")
    command.main(__doc__, measure, COLUMNS, servers=names[:1], choices=names, pin=False)
