"""
Compare generator streams with the same generators without the library, in one run.

Figures are CPU time and memory of the server process, from the operating system's accounting, not
wall time. Each figure is measured several times, alternating between the two.

    python -m benchmarks.streams [runs]

"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from importlib import metadata
from pathlib import Path

import gevent
import gunicorn

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
PEERS = ("hand", "ours")
WITH_CHANNEL = (*PEERS, "channel")


class Worker:
    """A gunicorn with one gevent worker."""

    def __enter__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [
            *(str(Path(sys.executable).with_name("gunicorn")), "--no-control-socket"),
            *("-k", "gevent"),
            *("--worker-connections", "4000", "--log-level", "error", "--backlog", "4096"),
            *("-b", f"127.0.0.1:{self.port}", "benchmarks.app:app"),
        ]
        self.process = subprocess.Popen(command, cwd=ROOT)
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                self.get("/count/hand")
                break
            if time.monotonic() > deadline:
                raise TimeoutError("gunicorn did not start")
            time.sleep(0.05)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.pid = int(children.read_text().split()[0])
        return self

    def __exit__(self, *exc_info):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    def get(self, path):
        """Return an ordinary response."""
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=300) as response:
            return response.read()

    def cpu(self):
        """Return the worker's seconds of CPU time, from /proc/PID/schedstat, which is exact."""
        nanoseconds = Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]
        return int(nanoseconds) / 1e9

    def resident(self):
        """Return the bytes of the worker's private memory."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1]) * 1024
        raise LookupError("Private_Dirty")

    def connect(self, path, count):
        """Open streams, and wait until each has its first event."""
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode()
        sockets = []
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", self.port), timeout=60)
            sock.sendall(request)
            data = b""
            while b"data: " not in data:
                data += sock.recv(65536)
            sockets.append(sock)
        return sockets


def read_all(sockets, expected):
    """Read until each socket has had this many events, or has ended; return the total."""
    selector = selectors.DefaultSelector()
    left = {}
    for sock in sockets:
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
        left[sock] = expected
    total = 0
    deadline = time.monotonic() + 120
    while left and time.monotonic() < deadline:
        for key, _ in selector.select(1):
            data = key.fileobj.recv(1 << 20)
            got = data.count(b"data: xxx")
            total += got
            left[key.fileobj] -= got
            if not data or left[key.fileobj] <= 0:
                selector.unregister(key.fileobj)
                del left[key.fileobj]
    selector.close()
    return total


def close_all(worker, sockets, name):
    """Close the clients, and wait until the server has noticed."""
    for sock in sockets:
        sock.close()
    deadline = time.monotonic() + 60
    while worker.get(f"/count/{name}") != b"0" and time.monotonic() < deadline:
        # A hand-written loop notices only at its second write.
        worker.get(f"/publish/{name}?n=1&pause=0.05")


def per_event(worker, name, streams=50, events=400):
    """CPU microseconds of the server per event of a busy generator."""
    before = worker.cpu()
    sockets = worker.connect(f"/{name}/numbers?n={events}", streams)
    got = read_all(sockets, events - 1)
    used = worker.cpu() - before
    for sock in sockets:
        sock.close()
    assert got >= streams * (events - 10), got
    return used / (streams * events) * 1e6


def fan_out(worker, name, streams=500, events=40):
    """CPU microseconds per delivered event, with a queue and a generator per client."""
    sockets = worker.connect(f"/{name}/queue", streams)
    before = worker.cpu()
    publisher = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=300).read()",
            f"http://127.0.0.1:{worker.port}/publish/{name}?n={events}&pause=0.02",
        ]
    )
    got = read_all(sockets, events)
    publisher.wait(60)
    used = worker.cpu() - before
    close_all(worker, sockets, name)
    assert got == streams * events, got
    return used / got * 1e6


def memory(worker, name, streams=1000):
    """KiB of memory per idle client."""
    before = worker.resident()
    sockets = worker.connect(f"/{name}/queue", streams)
    used = worker.resident() - before
    close_all(worker, sockets, name)
    return used / streams / 1024


def connecting(worker, name, count=1500):
    """CPU microseconds per stream that is opened, read to its first event and closed."""
    before = worker.cpu()
    for _ in range(count):
        for sock in worker.connect(f"/{name}/one", 1):
            sock.close()
    return (worker.cpu() - before) / count * 1e6


def leaving(worker, streams=300, clients=60):
    """Milliseconds from an idle client's disconnect to its generator's finally."""
    sockets = worker.connect("/ours/queue", streams)
    took = []
    for sock in sockets[:clients]:
        gone = time.monotonic()
        sock.close()
        time.sleep(0.02)
        took.append((json.loads(worker.get("/left"))[-1] - gone) * 1000)
    assert len(json.loads(worker.get("/left"))) == clients
    close_all(worker, sockets[clients:], "ours")
    return took


FIGURES = [
    ("event of a busy generator, CPU µs", per_event, PEERS, False),
    ("event from a queue per client, 500 clients, CPU µs", fan_out, WITH_CHANNEL, False),
    ("connect, first event, disconnect, CPU µs", connecting, PEERS, False),
    ("idle client, KiB", memory, WITH_CHANNEL, True),
]


def repeat(measure, peers, fresh, runs):
    """Measure all peers in turn, several times, each on a fresh worker if necessary."""
    results = {name: [] for name in peers}
    for run in range(runs):
        order = peers if run % 2 else peers[::-1]
        if fresh:
            for name in order:
                with Worker() as worker:
                    results[name].append(measure(worker, name))
        else:
            with Worker() as worker:
                for name in order:
                    measure(worker, name)
                for name in order:
                    results[name].append(measure(worker, name))
    return results


def cell(values, base):
    """Median, lowest and highest, and the median ratio to the hand-written code."""
    ratio = statistics.median(b / a for a, b in zip(base, values, strict=True))
    text = f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
    return text if values is base else f"{text}, {ratio:.2f} x"


def main(runs):
    """Measure and print a table."""
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()},"
        f" Python {platform.python_version()}, gunicorn {gunicorn.__version__},"
        f" gevent {gevent.__version__}, Flask {metadata.version('flask')}"
    )
    print(f"median of {runs} runs (lowest to highest), median ratio to the code by hand\n")
    print("| figure | by hand | a generator | a channel |")
    print("|---|---|---|---|")
    for title, measure, peers, fresh in FIGURES:
        results = repeat(measure, peers, fresh, runs)
        cells = [cell(values, results["hand"]) for values in results.values()]
        cells += [""] * (3 - len(cells))
        print(f"| {title} | {' | '.join(cells)} |", flush=True)
    with Worker() as worker:
        took = leaving(worker)
    print(
        f"\nidle client leaves, its generator's finally has run: median"
        f" {statistics.median(took):.1f} ms, at the latest {max(took):.1f} ms ({len(took)} clients)"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
