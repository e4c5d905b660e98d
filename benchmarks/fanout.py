"""
Measure fan-out: what it costs a server to write the events of a channel to its clients.

The floor is a server in C that does nothing else. CPU time is the server's, user and system, of all
its threads, from the operating system's accounting; clients are a program in C. Every figure is
measured several times, in turn for all servers.

    python -m benchmarks.fanout [runs] [clients] [server ...]

"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# An event is 120 bytes, with its id.
DATA = 93


def free_port():
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu(pids):
    """Seconds of CPU time of all threads that these processes have."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident(pids):
    """Bytes of memory that only these processes use."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                total += int(line.split()[1]) * 1024
    return total


def children(pid):
    """Return the processes that a process has started."""
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Server:
    """A server of one process, as a context manager."""

    path = "/events"
    publish_path = "/publish"

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()

    def __enter__(self):
        self.process = subprocess.Popen(self.command(), cwd=ROOT, env=self.environ())
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                self.publish(0)
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"{type(self).__name__} did not start")
            time.sleep(0.05)
        self.pids = self.workers()
        return self

    def __exit__(self, *exc_info):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def environ(self):
        """Return the environment."""
        return {**os.environ, "DATA": str(DATA)}

    def workers(self):
        """Return the processes that are measured."""
        return [self.process.pid]

    def publish(self, n, pause=0):
        """Publish events, with a pause of so many milliseconds after each."""
        url = f"http://127.0.0.1:{self.port}{self.publish_path}?n={n}&pause={pause}"
        with urllib.request.urlopen(url, timeout=300) as response:
            response.read()


class Floor(Server):
    """The server in C."""

    def command(self):
        return [str(self.folder / "floor"), str(self.port), str(DATA)]


class Gunicorn(Server):
    """A Flask application on one gunicorn worker."""

    worker = ("-k", "gevent", "--worker-connections", "20000")

    def command(self):
        return [
            *(str(Path(sys.executable).with_name("gunicorn")), "--no-control-socket"),
            *(*self.worker, "--log-level", "error", "--backlog", "4096"),
            *("-b", f"127.0.0.1:{self.port}", "benchmarks.fanout_app:app"),
        ]

    def workers(self):
        return children(self.process.pid)


class HandOffGevent(Gunicorn):
    """Channels, handed off."""

    worker = ("-k", "sse_sync.gunicorn.GeventWorker")


class HandOffThreads(Gunicorn):
    """The same, without gevent."""

    worker = ("-k", "sse_sync.gunicorn.ThreadWorker", "--threads", "4")


class Channel(Gunicorn):
    """Channels, each stream in its request."""


class ByHand(Gunicorn):
    """A queue and a greenlet for each client, as in tutorials."""

    path, publish_path = "/hand/events", "/hand/publish"


class Nchan(Server):
    """nginx with the nchan module."""

    def command(self):
        config = self.folder / "nginx.conf"
        config.write_text(
            "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;\n"
            f"daemon off; worker_processes 1; pid {self.folder}/nginx.pid;\n"
            f"error_log {self.folder}/error.log;\n"
            "worker_rlimit_nofile 20000; events { worker_connections 19900; }\n"
            "http {\n"
            "  access_log off; nchan_shared_memory_size 256m;\n"
            f"  server {{ listen 127.0.0.1:{self.port} backlog=4096;\n"
            "    location = /events { nchan_subscriber eventsource; nchan_channel_id x;"
            " nchan_subscriber_first_message newest; }\n"
            "    location = /publish { nchan_publisher; nchan_channel_id x; }\n"
            "  }\n}\n"
        )
        return ["nginx", "-c", str(config), "-p", str(self.folder)]

    def workers(self):
        return children(self.process.pid)

    def publish(self, n, pause=0):
        if not n:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            for _ in range(n):
                sock.sendall(
                    b"POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % DATA
                    + b"0" * DATA
                )
                while b"\r\n\r\n" not in sock.recv(65536):
                    pass
                time.sleep(pause / 1000)


class Clients:
    """Many clients, as a context manager."""

    def __init__(self, folder, server, count):
        self.command = [
            *(str(folder / "clients"), str(server.port), server.path, str(count)),
        ]
        self.count = count

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("the clients could not connect")
        return self

    def __exit__(self, *exc_info):
        self.process.kill()
        self.process.wait()

    def ask(self, events):
        """Begin to wait for events."""
        self.process.stdin.write(f"{events}\n")
        self.process.stdin.flush()

    def answer(self):
        """Return how many came, and how many clients had too few or too many."""
        total, wrong, _ = map(int, self.process.stdout.readline().split())
        return total, wrong


def deliver(server, clients, events, pause):
    """CPU microseconds of the server per delivered event."""
    before = cpu(server.pids)
    clients.ask(events)
    publisher = threading.Thread(target=server.publish, args=(events, pause))
    publisher.start()
    total, wrong = clients.answer()
    publisher.join()
    used = cpu(server.pids) - before
    if wrong:
        print(f"{type(server).__name__}: {wrong} clients got {total} events", file=sys.stderr)
    return used / max(1, total) * 1e6


def stopping(server, clients):
    """Seconds until a server that is told to stop is gone, and how many clients were ended."""
    began = time.monotonic()
    clients.ask(-1)
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(60)
    took = time.monotonic() - began
    clients.answer()
    return took


def measure(folder, kind, count):
    """Return all figures of one server."""
    with kind(folder) as server:
        with Clients(folder, server, 50) as clients:
            deliver(server, clients, 20, 10)  # To be warm.
        time.sleep(1)
        memory, used = resident(server.pids), cpu(server.pids)
        with Clients(folder, server, count) as clients:
            connecting = (cpu(server.pids) - used) / count * 1e6
            time.sleep(1)
            idle = (resident(server.pids) - memory) / count / 1024
            deliver(server, clients, 2, 100)
            one = deliver(server, clients, 20, max(60, count // 20))
            burst = deliver(server, clients, 20, 0)
            stop = stopping(server, clients)
    return {
        "one": one, "burst": burst, "connecting": connecting, "idle": idle, "stop": stop,
    }  # fmt: skip


KINDS = {
    "floor": Floor,
    "handoff-gevent": HandOffGevent,
    "handoff-threads": HandOffThreads,
    "nchan": Nchan,
    "channel": Channel,
    "hand": ByHand,
}
TITLES = {
    "one": "CPU µs per event and client",
    "burst": "the same, 20 events at once",
    "connecting": "CPU µs per connection",
    "idle": "KiB per idle client",
    "stop": "s from SIGTERM to the end",
}


def compile_programs(folder):
    """Compile what is in C."""
    for name in ("floor", "clients"):
        source = ROOT / "benchmarks" / "c" / f"{name}.c"
        subprocess.run(["cc", "-O2", "-o", folder / name, source], check=True)


def cell(values, base):
    """Median, lowest and highest, and the median ratio to the floor in the same run."""
    ratio = statistics.median(b / a for a, b in zip(base, values, strict=True) if a)
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})" + (
        "" if values is base else f", {ratio:.2f} x"
    )


def main(runs, count, names):
    """Measure and print a table."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if "nchan" in names and not Path("/usr/lib/nginx/modules/ngx_nchan_module.so").exists():
        print("without nchan: apt install libnginx-mod-nchan", file=sys.stderr)
        names = [name for name in names if name != "nchan"]
    folder = Path(tempfile.mkdtemp())
    results = {name: [] for name in names}
    try:
        compile_programs(folder)
        for run in range(runs):
            for name in names if run % 2 else names[::-1]:
                results[name].append(measure(folder, KINDS[name], count))
    finally:
        shutil.rmtree(folder)
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}, Python"
        f" {platform.python_version()}; {count} clients, events of 120 bytes; median of {runs}"
        " runs (lowest to highest), median ratio to the first\n"
    )
    print(f"| server | {' | '.join(TITLES.values())} |\n|---|{'---|' * len(TITLES)}")
    for name in names:
        cells = [
            cell([each[key] for each in results[name]], [each[key] for each in results[names[0]]])
            for key in TITLES
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        int(given[0]) if given else 5,
        int(given[1]) if len(given) > 1 else 5000,
        given[2:] or list(KINDS),
    )
