"""The presence store of a single process."""

from functools import partial

import pytest

from sse_sync.brokers.memory import MemoryBroker
from tests.core.brokers.presence_contract import PresenceContract
from tests.waiting import wait_for


class TestMemoryAttendance(PresenceContract):
    """The contract."""

    @pytest.fixture
    def now(self):
        return [1_000_000.0]

    @pytest.fixture
    def make(self, now):
        return lambda: MemoryBroker(now=lambda: now[0])

    @pytest.fixture
    def sleep(self, now):
        def sleep(seconds):
            now[0] += seconds

        return sleep

    @pytest.fixture
    def wait_until(self):
        # Nothing here happens later.
        return partial(wait_for, what="the broker", timeout=0)
