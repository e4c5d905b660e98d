"""A hub in memory, its jobs, and sources that wait to be told."""

import threading

import pytest

from sse_sync.brokers.jobs import JobName
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.event import encode
from sse_sync.jobs import manager
from sse_sync.jobs.manager import jobs_of
from tests.waiting import wait_for

DEADLINE = 10
NAME = JobName("report")


@pytest.fixture
def threads(threads):
    """The runtime of threads; it ends after what the jobs do in the background."""
    yield threads
    for jobs in list(manager._all):
        wait_for(lambda jobs=jobs: jobs._ticking.is_idle, "the ticks to stop")


@pytest.fixture
def broker():
    return MemoryBroker()


@pytest.fixture
def hub(threads, broker):
    with Hub(broker) as hub:
        yield hub


@pytest.fixture
def jobs(hub):
    return jobs_of(hub)


@pytest.fixture
def start(jobs):
    """Start a source as a job; return its record."""

    def start(source, name=NAME, **options):
        return jobs.start(name, source, encode, options)[0]

    return start


@pytest.fixture
def ended(jobs):
    """Wait for a job's end; return how it ended and why."""

    def ended(name=NAME):
        record = wait_for(
            lambda: (found := jobs.get(name)) and found.outcome and found, "the job's end"
        )
        wait_for(lambda: jobs.running, "the source's end", equals=0)
        return record.outcome, record.message

    return ended


@pytest.fixture
def output(hub):
    """Return the data of a job's events."""

    def output(record):
        begins, floors = hub.beginning([record.channel], None)
        messages = hub.history([record.channel], begins, floors=floors).messages
        return [m.body.decode().strip().removeprefix("data: ") for m in messages if not m.end]

    return output


class Steps:
    """A source that takes a step when it is told."""

    def __init__(self, *texts):
        self.texts = texts
        self.may_go_on = threading.Semaphore(0)
        self.ended = []

    def __call__(self):
        try:
            for text in self.texts:
                assert self.may_go_on.acquire(timeout=DEADLINE)
                yield text
        finally:
            self.ended.append(threading.current_thread().name)

    def go_on(self, steps=1):
        self.may_go_on.release(steps)
