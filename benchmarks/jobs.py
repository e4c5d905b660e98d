"""
Measure jobs: a thousand at once, each with three viewers, on one worker.

One viewer of each job is the response that started it, the two others attach while it runs. Every
job then yields ten tokens at an interval, the jobs in turn. Latency runs from when a token was
due to its receipt. At the end, all jobs finish, and their viewers' streams have to end.

    python -m benchmarks.jobs

"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time

from benchmarks import command
from benchmarks.clients import Clients
from benchmarks.command import Column
from benchmarks.servers import PEERS, ROOT, Gunicorn, Server, cpu, resident
from tests.redis_server import RedisServer

VIEWERS = 3
TOKENS = 10
PAUSE = 2000
"""Milliseconds between two tokens of a job."""
COLUMNS = {
    "each": Column("CPU µs per token and viewer", 1),
    "redis": Column("Redis's CPU µs per token", 0),
    "job": Column("KiB per job and its first viewer", 1),
    "viewer": Column("KiB per further viewer", 1),
    "kept": Column("KiB in Redis per job", 1),
    "p50": Column("p50, ms", 1),
    "p99": Column("p99, ms", 1),
    "p50_first": Column("p50 of the first viewer", 1),
    "p99_first": Column("p99", 1),
    "wrong": Column("lost or repeated", 0),
}


class Jobs(Gunicorn):
    """Jobs, whose viewers are handed off."""

    worker = ("-k", "sse_sync.gunicorn.GeventWorker")
    app = "benchmarks.jobs_app:app"


class JobsInMemory(Jobs):
    """The same without Redis."""

    def __init__(self, folder, **options):
        super().__init__(folder, **{**options, "broker": "memory://"})


class ResumableStream(Server):
    """Vercel's resumable-stream on Node."""

    around = 8

    @staticmethod
    def missing():
        is_there = shutil.which("node") and (PEERS / "node_modules" / "resumable-stream").exists()
        return "" if is_there else "apt install nodejs npm; make peers"

    def start(self):
        script = ROOT / "benchmarks" / "peers" / "resumable_stream.cjs"
        return self.run(
            ["node", script, self.port],
            NODE_ENV="production",
            NODE_PATH=str(PEERS / "node_modules"),
            REDIS_URL=self.broker,
        )


KINDS = {"jobs": Jobs, "jobs-memory": JobsInMemory, "resumable-stream": ResumableStream}


class Trial:
    """
    Some jobs and their viewers, as a context manager.

    Args:
        server: Where they run.
        redis: Their Redis.
        name: Distinguishes them from other trials on the same server.
        count: How many jobs.

    """

    def __init__(self, server, redis, name, count):
        self.server, self.redis, self.count = server, redis, count
        self.name = name
        self.groups = []

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            begun = self.memory()
            self.enter(stack, "start", self.count)
            started = self.memory()
            self.enter(stack, "attach", self.count * (VIEWERS - 1))
            viewed = self.memory()
            self.stack = stack.pop_all()
        self.job = (started - begun) / self.count / 1024
        self.viewer = (viewed - started) / self.count / (VIEWERS - 1) / 1024
        return self

    def __exit__(self, *exc_info):
        self.stack.close()

    def enter(self, stack, what, count):
        """Open streams."""
        path = f"/{what}/{self.name}/#?of={self.count}"
        # resumable-stream gives up a viewer whose producer takes a second to answer.
        clients = Clients(self.server, count, "timed", "slowly", path=path)
        self.groups.append(stack.enter_context(clients))

    def memory(self):
        """Return the server's bytes, once it has calmed down."""
        time.sleep(2)
        return resident(self.server.pids)

    def used(self):
        """Return the seconds of CPU time of the server and of Redis."""
        return cpu(self.server.pids), cpu([self.redis.process.pid])

    def play(self, tokens, pause):
        """Let every job yield tokens; return both CPU times, and what each group received."""
        before = self.used()
        for group in self.groups:
            group.ask(tokens or -1)
        self.server.publish(tokens, pause)
        answers = [group.answer() for group in self.groups]
        return [now - then for now, then in zip(self.used(), before, strict=True)], answers


def measure(folder, kind, count):
    """Return what one server's jobs cost."""
    jobs = count // VIEWERS
    with (
        tempfile.TemporaryDirectory(dir=folder) as store,
        RedisServer(store) as redis,
        kind(folder, broker=redis.url) as server,
    ):
        with Trial(server, redis, "warm", 50) as trial:
            trial.play(20, 50)
            trial.play(0, PAUSE)
        kept = redis.call("INFO", "memory")["used_memory"]
        with Trial(server, redis, "x", jobs) as trial:
            (used, of_redis), (first, others) = trial.play(TOKENS, PAUSE)
            kept = redis.call("INFO", "memory")["used_memory"] - kept
            _, ends = trial.play(0, PAUSE)
    if sum(each.ended for each in ends) != VIEWERS * jobs:
        raise RuntimeError(f"streams did not end: {ends}")
    return {
        "each": used / (first.total + others.total) * 1e6,
        "redis": of_redis / (TOKENS * jobs) * 1e6,
        "job": trial.job, "viewer": trial.viewer, "kept": kept / jobs / 1024,
        "p50": others.p50, "p99": others.p99, "p50_first": first.p50, "p99_first": first.p99,
        "wrong": sum(each.lacking + each.extra + each.late for each in (first, others)),
    }  # fmt: skip


if __name__ == "__main__":
    command.main(
        __doc__, measure, COLUMNS, kinds=KINDS, clients=3000, servers=tuple(KINDS), choices=KINDS
    )
