"""Fixtures of the core suite: one process, seconds, any order, and nothing left behind."""

import contextlib
import gc
import os
import re
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from sse_sync import runtime
from sse_sync.channels import hub
from sse_sync.runtime.threads import ThreadReactor, ThreadRuntime
from tests.core.examples import EXAMPLES

DEADLINE = 10
OF_DJANGO = re.compile("_?(dj|django|live_server|template_string|fail_for_invalid_template)_").match

# How long anything takes depends on what else the machine does.
settings.register_profile(
    "core",
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("core")


def pytest_itemcollected(item):
    """Spare the core what pytest-django does before each test, and what takes longer than most."""
    item.fixturenames[:] = [name for name in item.fixturenames if not OF_DJANGO(name)]


@pytest.fixture(scope="session", autouse=True)
def quick_collections():
    """Some tests collect garbage, which need not search all of pytest each time."""
    gc.collect()
    gc.freeze()


def children():
    """Return the process ids of this process's children, those that have ended included."""
    found = set()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return found  # As usual; to read the files of all threads takes longer than most tests.
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # The thread has ended meanwhile.
            found.update(task.read_text().split())
    return found


@pytest.fixture(autouse=True)
def nothing_is_left_behind(monkeypatch):
    """A test closes its hubs, so that no later fork starts them again, and ends what it runs."""
    hubs = set()
    monkeypatch.setattr(hub, "_hubs", hubs)
    monkeypatch.setattr(runtime, "_threads", None)
    before, known = set(threading.enumerate()), children()
    yield
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(DEADLINE)
    assert [thread for thread in left if thread.is_alive()] == []
    assert hubs == set()
    # Servers of live tests may run in the same process of pytest.
    assert children() - known == set()


class EndingReactor(ThreadReactor):
    """A reactor whose thread can end."""

    def __init__(self):
        super().__init__()
        self.ended = threading.Event()

    def _run(self):
        try:
            super()._run()
        except SystemExit:
            self.ended.set()

    def end(self):
        """End the thread, and close what it watches."""
        self.call_soon(sys.exit)
        assert self.ended.wait(DEADLINE)
        self.abandon()


@pytest.fixture
def make_reactor():
    """Make reactors with a thread each, which ends with the test."""
    made = []

    def make():
        made.append(EndingReactor())
        return made[-1]

    yield make
    for reactor in made:
        reactor.end()


@pytest.fixture
def threads(make_reactor, monkeypatch):
    """The runtime of threads, which ends with the test."""
    monkeypatch.setattr("sse_sync.runtime.threads.ThreadReactor", make_reactor)
    world = ThreadRuntime()
    monkeypatch.setattr("sse_sync.runtime.current", lambda: world)
    return world
