"""The job store in a real Redis."""

import threading
import time

import pytest
import redis

from sse_sync.brokers.jobs import JobName, Outcome, View, Written
from sse_sync.brokers.redis import jobs as redis_jobs
from sse_sync.channels.hub import Hub
from sse_sync.event import encode
from sse_sync.exceptions import JobRefused
from sse_sync.jobs import manager
from sse_sync.jobs.manager import jobs_of
from tests.brokers.redis_suite import RedisSuite
from tests.core.brokers.job_contract import NAME, NOTHING, TERMS, SharedJobContract, body
from tests.waiting import wait_for


class RedisJobSuite(RedisSuite, SharedJobContract):
    """The contract; a subclass has a ``server``."""

    module = redis_jobs

    @pytest.fixture
    def two(self, make):
        return make().jobs, make().jobs

    def test_race(self, make):
        """Of twenty that start a job at the same time, one runs it."""
        stores = [make().jobs for _ in range(4)]
        holds, barrier = [], threading.Barrier(20)

        def start(store):
            barrier.wait(10)
            holds.append(store.start(NAME, TERMS)[1])

        threads = [threading.Thread(target=start, args=(stores[n % 4],)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(holds) == 20
        assert sum(hold is not None for hold in holds) == 1

    def test_many_writers(self, make):
        """Jobs that write at the same time share scripts, and each gets its own answer."""
        store = make().jobs
        names = [NAME._replace(key=str(number)) for number in range(12)]
        holds = [store.start(name, TERMS._replace(max_bytes=1000))[1] for name in names]
        store.cancel(names[3])
        answers, barrier, scripts = {}, threading.Barrier(len(holds)), []
        run = store._run
        store._run = lambda *args: scripts.append(args) or run(*args)

        def write(hold):
            barrier.wait(10)
            big = [body("x" * 1000)] if hold is holds[5] else []
            answers[hold] = [store.write(hold, n, [body(str(n)), *big]) for n in range(20)]

        threads = [threading.Thread(target=write, args=(hold,)) for hold in holds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        others = [hold for hold in holds if hold not in (holds[3], holds[5])]
        assert all(answers[hold] == [Written.STORED] * 20 for hold in others)
        assert answers[holds[3]] == [Written.REFUSED] * 20
        assert answers[holds[5]] == [Written.FULL] + [Written.GAP] * 19
        assert {store.get(hold.name).events for hold in others} == {20}
        assert len(scripts) < 240

    def test_many_at_once(self, make, monkeypatch):
        """More jobs than one script takes are listed, renewed and swept."""
        monkeypatch.setattr(redis_jobs, "AT_ONCE", 3)
        store = make().jobs
        holds = [store.start(NAME._replace(key=str(number)), TERMS)[1] for number in range(10)]
        assert len(store.find()) == 10
        assert store.tick(holds, [View(hold.name, hold.run) for hold in holds]) == NOTHING
        for hold in holds[::2]:
            store.finish(hold, Outcome.FINISHED)
        gone = store.tick(holds, []).gone
        assert gone == {hold.run for hold in holds[::2]}


class TestRedisJobStore(RedisJobSuite):
    """On one server."""

    @pytest.fixture
    def server(self, single):
        return single

    def test_everything_expires(self, make):
        """No key stays for ever, neither of a job that ended nor of one whose process died."""
        broker = make()
        store = broker.jobs
        _, hold = store.start(NAME, TERMS)
        store.write(hold, 0, [body("a")])
        _, other = store.start(NAME._replace(user="ann"), TERMS)
        store.tick([hold, other], [View(NAME, hold.run)])
        store.finish(hold, Outcome.FINISHED)
        client = broker._nodes.current()._client
        keys = [key.decode() for key in client.scan_iter(f"{broker._prefix}*")]
        lasting = {key for key in keys if client.ttl(key) < 0}
        names = ("meta", "jobs:leases", "jobs:all", "jobs:running:", "jobs:running:ann")
        assert lasting <= {f"{broker._prefix}:{name}" for name in names}
        assert client.ttl(f"{broker._prefix}:job:\nreport") <= 3600

    def test_dead_holder_of_all_that_a_user_may_run(self, make, short_lease, monkeypatch):
        """Whoever is refused because of it is not refused for ever, though nobody views it."""
        monkeypatch.setattr(manager, "TICK", short_lease / 4)
        make().jobs.start(NAME._replace(user="ann"), TERMS)  # By a process that is killed.
        with Hub(make()) as hub:

            def start():
                try:
                    return jobs_of(hub).start(
                        JobName("other", "ann"), iter("a"), encode, {}, max_per_user=1
                    )[1]
                except JobRefused:
                    return False

            assert not start()
            time.sleep(2 * short_lease)
            assert start()
            wait_for(lambda: jobs_of(hub).running, "the end", equals=0)

    def test_answer_is_lost(self, make, monkeypatch):
        """A start that is repeated, because its answer was lost, has started the job."""
        broker = make()
        node = broker._nodes.current()
        run, lost = node.run, []

        def losing(*args):
            answer = run(*args)
            if not lost:
                lost.append(answer)
                raise redis.ConnectionError("connection reset")
            return answer

        monkeypatch.setattr(node, "run", losing)
        record, hold = broker.jobs.start(NAME, TERMS)
        assert len(lost) == 1
        assert hold == (NAME, record.run, 1)
        assert broker.jobs.start(NAME, TERMS) == (record, None)

    def test_long_job(self, make):
        """What is known of a job that runs for hours does not expire meanwhile."""
        broker = make()
        store = broker.jobs
        record, hold = store.start(NAME, TERMS)
        store.write(hold, 0, [body("a")])
        client, prefix = broker._nodes.current()._client, broker._prefix
        output = f"{prefix}:events:{record.channel}"
        keys = f"{prefix}:job:\nreport", f"{prefix}:jobs:of:", output
        assert [client.ttl(key) > 7000 for key in keys] == [True] * 3
        for key in keys:
            client.expire(key, 5000)
        listed = client.zscore(f"{prefix}:jobs:all", "\nreport")
        client.zadd(f"{prefix}:jobs:all", {"\nreport": listed - 2_200_000})
        store.write(hold, 1, [body("b")])
        assert client.ttl(output) > 7000
        store.tick([hold], [])
        assert [client.ttl(key) > 7000 for key in keys] == [True] * 3
        assert client.zscore(f"{prefix}:jobs:all", "\nreport") >= listed
        client.expire(output, 6000)
        store.tick([hold], [])
        assert client.ttl(output) <= 6000

    def test_kept_for_different_times(self, make):
        """A job that is soon forgotten does not take the others of its user out of the list."""
        broker = make()
        store = broker.jobs
        name = NAME._replace(user="ann")
        store.finish(store.start(name, TERMS)[1], Outcome.FINISHED)
        _, hold = store.start(name._replace(key="short"), TERMS._replace(keep_for=1))
        store.finish(hold, Outcome.FINISHED)
        client = broker._nodes.current()._client
        assert client.ttl(f"{broker._prefix}:jobs:of:ann") > 3000

    def test_lost_output(self, make, server):
        """A store that came back without the latest output refuses what would follow a gap."""
        broker = make()
        record, hold = broker.jobs.start(NAME, TERMS)
        broker.jobs.write(hold, 0, [body("a")])
        client = broker._nodes.current()._client
        before = client.dump(f"{broker._prefix}:job:\nreport")
        broker.jobs.write(hold, 1, [body("b")])
        client.restore(f"{broker._prefix}:job:\nreport", 0, before, replace=True)
        assert broker.jobs.write(hold, 2, [body("c")]) is Written.GAP
        client.flushdb()
        assert broker.jobs.write(hold, 2, [body("c")]) is Written.REFUSED
        assert broker.jobs.get(NAME) is None
        tick = broker.jobs.tick([hold], [View(NAME, record.run)])
        assert (tick.gone, tick.forgotten) == ({record.run}, {record.run})


class TestRedisJobStoreOnACluster(RedisJobSuite):
    """On a cluster."""

    @pytest.fixture
    def server(self, cluster):
        return cluster
