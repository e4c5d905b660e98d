"""The presence store in a real Redis."""

import time

import pytest

from sse_sync.brokers.presence import Leave
from sse_sync.brokers.redis import presence as redis_presence
from sse_sync.brokers.redis.broker import RedisBroker
from tests.brokers.redis_suite import RedisSuite, prefixes
from tests.core.brokers.broker_contract import Receiver
from tests.core.brokers.presence_contract import SharedPresenceContract, arrival, users
from tests.redis_server import RedisServer
from tests.waiting import wait_for


class RedisAttendanceSuite(RedisSuite, SharedPresenceContract):
    """The contract; a subclass has a ``server``."""

    module = redis_presence

    @pytest.fixture
    def two(self, make):
        return make().presence, make().presence

    @pytest.fixture
    def keys(self, make):
        broker = make()
        node = broker._nodes.current()
        pattern = broker._store._prefix + "*"
        return lambda: [key.decode() for key in node._client.scan_iter(pattern)]


class TestRedisAttendance(RedisAttendanceSuite):
    """The contract, on one server."""

    @pytest.fixture
    def server(self, single):
        return single


class TestRedisAttendanceOnACluster(RedisAttendanceSuite):
    """The contract, on a cluster."""

    @pytest.fixture
    def server(self, cluster):
        return cluster


@pytest.mark.parametrize("loss", ["FLUSHALL", "restart"])
def test_store_that_lost_everything(tmp_path, loss):
    """A process learns that it has to report everything again."""
    with RedisServer(tmp_path) as server:
        broker = RedisBroker(server.url)
        broker.start(Receiver())
        book = broker.presence
        book.report([arrival("room", "ann")])
        assert book.report()
        if loss == "restart":
            server.kill()
            server.start()
        else:
            server.call("FLUSHALL")
        assert not book.report()
        assert users(book) == []
        broker.close()


def test_store_that_came_back_from_older_data(tmp_path, monkeypatch):
    """A user who left after the snapshot has left, and a released place is free."""
    monkeypatch.setattr(redis_presence, "LEASE", 0.4)
    with RedisServer(tmp_path) as server:
        broker, other = RedisBroker(server.url), RedisBroker(server.url)
        for each in (broker, other):
            each.start(Receiver())
        book = broker.presence
        book.report([arrival("room", "ann"), arrival("room", "bob")], {"the user ann": 1})
        server.call("SAVE")
        book.report([Leave("room", "ann", 0)], {"the user ann": 0})
        server.kill()
        server.start()
        assert not book.report()
        assert book.report([arrival("room", "bob")])

        def is_right():
            book.report()
            return users(book) == ["bob"] and other.presence.count("the user ann", 1, 1)

        wait_for(is_right, "ann to be gone")
        for each in (broker, other):
            each.close()


def test_clock_set_back(single, make_broker):
    """Leases and graces follow Redis's clock, even while positions stand still."""
    broker = make_broker(single.url)
    book = broker.presence
    book.report()
    meta = broker._store._meta()
    ahead = int((time.time() + 60) * 1e6)
    single.call("HSET", meta, "number", str(ahead))
    book.report([arrival("room", "ann"), Leave("room", "ann", 0.1)])
    time.sleep(0.2)
    assert users(book) == []
    # A lease that seems to last for long does not, either.
    single.call("ZADD", broker._store._prefix + ":processes", str(int(time.time() * 1e4)), "other")
    book.report()
    score = float(single.call("ZSCORE", broker._store._prefix + ":processes", "other"))
    assert score < (time.time() + 60) * 1000


@pytest.fixture
def make_broker():
    brokers = []

    def make_broker(url):
        brokers.append(RedisBroker(url, prefix=next(prefixes)))
        brokers[-1].start(Receiver())
        return brokers[-1]

    yield make_broker
    for broker in brokers:
        broker.close()
