"""The presence store of a single process."""

import pytest

from sse_sync.brokers.memory import MemoryBroker
from tests.core.brokers.presence_contract import PresenceContract


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
        def wait_until(condition):
            assert condition()

        return wait_until
