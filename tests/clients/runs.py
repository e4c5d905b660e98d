"""
All clients at once on one server, so that a run takes as long as one stream.

Tests then look at what each of them has seen.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.app.sources import PAUSE
from tests.clients.python_clients import CLIENTS
from tests.live.servers import GUNICORN, ROOT, Kind, Server
from tests.waiting import PATIENCE

NODE = Path(__file__).with_name("node")
BUILT = NODE / "built" / "datastar.js"
# For all that happens on one server, on a machine that does other things as well.
DEADLINE = 2 * PATIENCE + 4 * PAUSE
WORKERS = {
    "gevent": ("-k", "gevent"),
    "GeventWorker": ("-k", "sse_sync.gunicorn.GeventWorker"),
    "ThreadWorker": ("-k", "sse_sync.gunicorn.ThreadWorker", "--threads", "64"),
}
KINDS = {
    f"{worker}-{framework}": Kind(
        f"gunicorn-{worker}",
        f"clients-{framework}",
        (*GUNICORN, *options, "{app}"),
        worker != "ThreadWorker",
    )
    for worker, options in WORKERS.items()
    for framework in ("flask", "django")
}


@dataclass(frozen=True)
class Run:
    """What an application saw through one client."""

    seen: list[Any]
    """The events, in order, as the client hands them out."""
    ended: str
    """``end`` if the stream ended for it, or the exception."""


def serve(kind: str, folder: Path) -> Server:
    """Return a server that is started as a context manager."""
    assert BUILT.exists(), f"the clients of npm are missing: make {BUILT.relative_to(ROOT)}"
    folder.mkdir(exist_ok=True)
    return Server(KINDS[kind], folder / "log", {"CLIENTS_FOLDER": str(folder)})


def run_python(name: str, url: str, scenario: str) -> Run:
    """Let one of the clients in Python read."""
    seen: list[Any] = []
    try:
        CLIENTS[name](url, scenario, seen)
    except Exception as exc:
        return Run(seen, f"{type(exc).__name__}: {exc}")
    return Run(seen, "end")


def run_node(url: str, names: Iterable[str]) -> dict[tuple[str, str], Run]:
    """Let clients of npm read, each given as ``client:scenario``."""
    command = ["node", "run.mjs", url, *names]
    done = subprocess.run(
        command, cwd=NODE, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        said = json.loads(line)
        client, _, scenario = said["name"].partition(":")
        found[client, scenario] = Run(said["seen"], said["ended"])
    return found


class Together:
    """Calls that run at the same time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(64)
        self._calls: dict[Any, Future[Any]] = {}

    def call(self, key: Any, function: Callable[..., Any], *arguments: Any) -> None:
        """Start one."""
        self._calls[key] = self._pool.submit(function, *arguments)

    def results(self) -> dict[Any, Any]:
        """Wait for all; an exception is raised here."""
        found = {key: call.result(DEADLINE) for key, call in self._calls.items()}
        self._pool.shutdown()
        return found


def once(read: Callable[[str], dict[Any, Any]]) -> Callable[[str, Any], Any]:
    """
    Return a function that returns a result of a server's run, which takes place at the first call.

    Args:
        read: Takes a kind; returns what was seen. If it fails, every test of that kind does.
    """
    runs: dict[str, Future[dict[Any, Any]]] = {}

    def get(kind: str, key: Any) -> Any:
        if kind not in runs:
            runs[kind] = Future()
            try:
                runs[kind].set_result(read(kind))
            except BaseException as exc:
                runs[kind].set_exception(exc)
        return runs[kind].result()[key]

    return get
