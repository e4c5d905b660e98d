"""What the contracts of the stores of several processes need of a real Redis."""

import itertools
import time
from functools import partial

import pytest

from sse_sync.brokers.redis.broker import RedisBroker
from tests.waiting import wait_for

prefixes = (f"test{number}" for number in itertools.count())


class RedisSuite:
    """A base of suites; a subclass has a ``server``, and ``module``, whose leases are shortened."""

    module = None

    @pytest.fixture
    def make(self, server):
        prefix = next(prefixes)
        brokers = []

        def make(**kept):
            brokers.append(RedisBroker(server.url, prefix=prefix, **kept))
            return brokers[-1]

        yield make
        for broker in brokers:
            broker.close()

    @pytest.fixture
    def sleep(self):
        return time.sleep

    @pytest.fixture
    def wait_until(self):
        return partial(wait_for, what="the broker")

    @pytest.fixture
    def short_lease(self, monkeypatch):
        monkeypatch.setattr(self.module, "LEASE", 1.0)
        return 1.0
