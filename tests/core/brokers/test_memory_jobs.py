"""The job store of a single process."""

from functools import partial

import pytest

from sse_sync.brokers.jobs import is_job_channel
from sse_sync.brokers.memory import MemoryBroker
from tests.core.brokers.job_contract import NAME, TERMS, JobContract
from tests.waiting import wait_for


class TestMemoryJobStore(JobContract):
    """The contract."""

    @pytest.fixture
    def now(self):
        return [1_000_000.0]

    @pytest.fixture
    def make(self, now):
        return partial(MemoryBroker, now=lambda: now[0], clock=lambda: now[0])

    @pytest.fixture
    def sleep(self, now):
        def sleep(seconds):
            now[0] += seconds

        return sleep

    @pytest.fixture
    def wait_until(self):
        # Nothing here happens later.
        return partial(wait_for, what="the broker", timeout=0)


def test_former_runs_are_forgotten(monkeypatch):
    """The output of a run goes when its time is over, although the job was started again."""
    now = [0.0]
    broker = MemoryBroker(clock=lambda: now[0])
    for _ in range(3):
        record, hold = broker.jobs.start(NAME, TERMS._replace(keep_for=10), restart=True)
        broker.jobs.write(hold, 0, [b"data: a\n\n"])
        broker.jobs.cancel(NAME)
        now[0] += 4
    assert len(broker._channels) == 3
    now[0] += 5
    assert broker.jobs.get(NAME) == record or broker.jobs.get(NAME).run == record.run
    assert len(broker._channels) == 1
    assert all(is_job_channel(channel) for channel in broker._channels)
