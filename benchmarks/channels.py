"""
Measure what a channel's event costs a process, by its number of channels, on a real Redis.

Run ``python -m benchmarks.channels``; it starts a redis-server of its own on loopback. One process
receives N channels, and this one publishes to some of them. The figures are the CPU time of each
process, and of Redis, per event.

"""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sse_sync import connect
from tests.redis_server import RedisServer

EVENTS = 5_000
RUNS = 5

RECEIVER = """
import json, resource, sys, time
from sse_sync.brokers.redis.broker import RedisBroker

class Receiver:
    count = 0
    def receive(self, messages): self.count += len(messages)
    def interrupted(self): raise SystemExit("interrupted")
    def degraded(self, problem): pass
    def review(self): pass

def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

url, channels, events = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
receiver = Receiver()
broker = RedisBroker(url)
broker.start(receiver)
broker.subscribe([f"user-{n}" for n in range(channels)])
print("ready", flush=True)
before = cpu()
while receiver.count < events:
    time.sleep(0.01)
print(json.dumps(cpu() - before), flush=True)
"""


def cpu() -> float:
    """Return this process's CPU seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def redis_cpu(server: RedisServer) -> float:
    """Return Redis's CPU seconds."""
    info = server.call("INFO", "cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def measure(server: RedisServer, channels: int) -> tuple[float, float, float]:
    """Return microseconds of CPU per event of receiver, publisher and Redis."""
    server.call("FLUSHALL")
    command = [sys.executable, "-c", RECEIVER, server.url, str(channels), str(EVENTS)]
    receiver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == "ready\n"
        chance = random.Random(1)
        names = [f"user-{chance.randrange(channels)}" for _ in range(EVENTS)]
        with connect(server.url) as hub:
            hub.publish("user-x", "warm")
            own, others = cpu(), redis_cpu(server)
            for name in names:
                hub.publish(name, "x" * 120, event="n")
            own, others = cpu() - own, redis_cpu(server) - others
        received = json.loads(receiver.stdout.readline())
    finally:
        receiver.kill()
        receiver.wait(10)
    return tuple(1e6 * seconds / EVENTS for seconds in (received, own, others))


def main() -> None:
    """Measure, and print a table."""
    print("channels | receiver µs | publisher µs | Redis µs   (median, lowest - highest)")
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(Path(folder)) as server,
    ):
        found: dict[int, list[tuple[float, float, float]]] = {100: [], 20_000: []}
        for _ in range(RUNS):
            for channels, runs in found.items():
                runs.append(measure(server, channels))
                time.sleep(0.1)
        for channels, runs in found.items():
            columns = [
                f"{statistics.median(each):.0f} ({min(each):.0f} - {max(each):.0f})"
                for each in zip(*runs, strict=True)
            ]
            print(f"{channels:>8} | " + " | ".join(columns))


if __name__ == "__main__":
    main()
