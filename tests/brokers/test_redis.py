"""The Redis broker, on a real redis-server."""

import contextlib
import itertools
import os
import threading
import time

import pytest

from sse_sync import BrokerUnavailable
from sse_sync.brokers import redis as module
from sse_sync.brokers.redis import RedisBroker
from tests.core.broker_contract import BrokerContract, Receiver
from tests.live.servers import wait_for
from tests.redis_server import RedisServer

_prefixes = (f"test{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A redis-server that all of these tests share, each with a prefix of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path):
    """A redis-server to be mistreated."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Shorter times, so that faults are noticed sooner."""
    monkeypatch.setattr(module, "PAUSES", (0.02, 0.2))
    monkeypatch.setattr(module, "TIMEOUT", 1.0)


@pytest.fixture
def started():
    """Start brokers, and close them."""
    with contextlib.ExitStack() as stack:

        def started(server, **options):
            broker, receiver = RedisBroker(server.url, **options), Receiver()
            stack.callback(broker.close)
            broker.start(receiver)
            return broker, receiver

        yield started


def wait_until(condition):
    wait_for(condition, "the broker", 15)


class TestRedisBroker(BrokerContract):
    """The contract."""

    @pytest.fixture
    def make(self, server):
        brokers = []

        def make(**options):
            brokers.append(RedisBroker(server.url, prefix=next(_prefixes), **options))
            return brokers[-1]

        yield make
        for broker in brokers:
            broker.close()

    @pytest.fixture
    def wait_until(self):
        return wait_until


def test_two_processes(server, started):
    """What one publishes the other receives, with positions in common."""
    prefix = next(_prefixes)
    one, _ = started(server, prefix=prefix)
    other, received = started(server, prefix=prefix)
    since = other.subscribe(["ä b"])
    position = one.publish("ä b", "data: ü\n\n".encode(), event="é", meta={"ö": "\n"})
    wait_until(lambda: received.messages)
    (message,) = received.messages
    assert message.position == position
    assert (message.event, message.meta, message.body) == ("é", {"ö": "\n"}, "data: ü\n\n".encode())
    assert other.history(["ä b"], since).messages == [message]
    assert one.history(["ä b"], since).messages == [message]


def test_prefixes_keep_apart(server, started):
    """Projects that share a Redis do not hear each other."""
    one, _ = started(server, prefix=next(_prefixes))
    other, received = started(server, prefix=next(_prefixes))
    since = other.subscribe(["a"])
    one.publish("a", b"data: x\n\n")
    mine = other.publish("a", b"data: y\n\n")
    wait_until(lambda: received.messages)
    assert [message.position for message in received.messages] == [mine]
    assert len(other.history(["a"], since).messages) == 1


def test_everything_expires(server, started):
    """Nothing stays in Redis for longer than the age, but one hash."""
    prefix = next(_prefixes)
    broker, _ = started(server, prefix=prefix, max_age=0.3)
    start = broker.position()
    for number in range(20):
        broker.publish(f"user-{number}", b"data: x\n\n")
    assert broker.history(["user-3"], start).complete
    wait_for(
        lambda: not [k for k in server.call("KEYS", f"{prefix}:*") if b":events:" in k],
        "the streams to expire",
    )
    assert broker.history(["user-3"], start) == ([], False)
    assert broker.history(["user-3"], broker.position()) == ([], True)
    broker.publish("user-3", b"data: y\n\n")
    assert broker.history(["user-3"], start) == ([], False)


def test_retried_publish_is_stored_once(server, started, monkeypatch):
    """An answer that was lost does not make an event twice."""
    broker, received = started(server, prefix=next(_prefixes))
    since = broker.subscribe(["a"])
    publish, lost = broker._publish, []

    def lose_the_answer(**arguments):
        answer = publish(**arguments)
        if not lost:
            lost.append(answer)
            raise module.redis.ConnectionError("the answer was lost")
        return answer

    broker._publish = lose_the_answer
    position = broker.publish("a", b"data: x\n\n")
    assert module._position(lost[0]) == position
    broker._publish = publish
    last = broker.publish("a", b"data: y\n\n")
    wait_until(lambda: received.messages and received.messages[-1].position == last)
    assert [message.position for message in received.messages] == [position, last]
    other, _ = started(server, prefix=broker._prefix)
    assert [m.position for m in other.history(["a"], since).messages] == [position, last]


def test_recent_events_are_in_the_process(server, started, monkeypatch):
    """A storm of reconnects does not become a storm of questions to Redis."""
    broker, received = started(server, prefix=next(_prefixes))
    since = broker.subscribe(["a", "b"])
    for number in range(10):
        broker.publish("ab"[number % 2], b"data: %d\n\n" % number)
    wait_until(lambda: len(received.messages) == 10)
    monkeypatch.setattr(broker, "_history", lambda **arguments: pytest.fail("asked Redis"))
    messages, complete = broker.history(["a", "b"], since)
    assert complete
    assert messages == received.messages


def test_connection_is_killed(server, started):
    """A process whose subscribed connection breaks fetches what it missed, in order and once."""
    broker, received = started(server, prefix=next(_prefixes))
    broker.subscribe(["a", "b"])
    positions = []
    for number in range(200):
        positions.append(broker.publish("ab"[number % 2], b"data: %d\n\n" % number))
        if number % 40 == 20:
            server.call("CLIENT", "KILL", "TYPE", "pubsub")
    wait_until(lambda: len(received.messages) >= 200)
    assert [message.position for message in received.messages] == positions
    assert received.interruptions == 0


def test_many_channels_catch_up(server, started, monkeypatch):
    """However many channels a process has, it fetches what it missed in one order."""
    monkeypatch.setattr(module, "CHANNELS_AT_ONCE", 7)
    broker, received = started(server, prefix=next(_prefixes))
    names = [f"user-{number}" for number in range(50)]
    broker.subscribe(names)
    positions = []
    for number in range(300):
        positions.append(broker.publish(names[number * 17 % 50], b"data: %d\n\n" % number))
        if number % 100 == 50:
            server.call("CLIENT", "KILL", "TYPE", "pubsub")
    wait_until(lambda: received.messages and received.messages[-1].position == positions[-1])
    assert [message.position for message in received.messages] == positions
    assert received.interruptions == 0


def test_restart_without_memory(own_server, started):
    """A Redis that lost everything makes every client start anew, and then works."""
    broker, received = started(own_server)
    before = broker.subscribe(["a"])
    broker.publish("a", b"data: 1\n\n")
    wait_until(lambda: received.messages)
    own_server.kill()
    with pytest.raises(BrokerUnavailable, match=r"redis://127.0.0.1:\d+/0 is unavailable"):
        broker.publish("a", b"data: lost\n\n")
    wait_until(lambda: received.problems)
    own_server.start()
    wait_until(lambda: received.interruptions)
    wait_until(lambda: received.problems[-1] is None)
    after = broker.publish("a", b"data: 2\n\n")
    assert after.epoch != before.epoch
    wait_until(lambda: len(received.messages) == 2)
    assert received.messages[1].position == after
    assert broker.history(["a"], before) == ([], False)


def test_restart_from_an_older_snapshot(own_server, started):
    """Events that were acknowledged after the snapshot are gone, and nobody resumes over it."""
    broker, received = started(own_server)
    broker.subscribe(["a"])
    kept = broker.publish("a", b"data: kept\n\n")
    own_server.call("SAVE")
    lost = broker.publish("a", b"data: lost\n\n")
    wait_until(lambda: len(received.messages) == 2)
    own_server.kill()
    own_server.start()
    wait_until(lambda: received.interruptions)
    new = broker.publish("a", b"data: new\n\n")
    assert new.epoch not in (kept.epoch,)
    assert new.number > lost.number
    for position in (kept, lost):
        assert broker.history(["a"], position) == ([], False)


@pytest.mark.parametrize("kind", ["events", "floor", "meta"])
def test_deleted_keys(server, started, kind):
    """A key that somebody deleted makes nobody resume over what it held."""
    prefix = next(_prefixes)
    broker, _ = started(server, prefix=prefix, history=3)
    start = broker.position()
    positions = [broker.publish("a", b"data: %d\n\n" % number) for number in range(5)]
    server.call("DEL", f"{prefix}:meta" if kind == "meta" else f"{prefix}:{kind}:a")
    for position in (start, positions[0]):
        assert broker.history(["a"], position) == ([], False)
    broker.publish("a", b"data: new\n\n")
    for position in (start, positions[0]):
        assert broker.history(["a"], position) == ([], False)
    if kind == "events":
        assert broker.history(["a"], positions[3]) == ([], False)


def test_evicted_keys(tmp_path, started):
    """A Redis that has to evict keys starts a new epoch, rather than lose events in silence."""
    options = ("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")
    with RedisServer(tmp_path, *options) as crowded:
        broker, _ = started(crowded)
        start = broker.position()
        broker.publish("a", b"data: x\n\n")
        for number in range(4000):
            crowded_out = int(crowded.call("INFO", "stats")["evicted_keys"])
            if crowded_out:
                break
            broker.publish(f"user-{number}", b"data: " + b"x" * 1000 + b"\n\n")
        assert crowded_out
        assert broker.history(["a"], start) == ([], False)
        assert broker.position().epoch != start.epoch


def test_clock_is_set_back(server, started):
    """Positions increase, and ages are told by them, whatever Redis's clock says."""
    prefix = next(_prefixes)
    broker, _ = started(server, prefix=prefix, max_age=60)
    broker.position()
    future = int(server.call("HGET", f"{prefix}:meta", "number")) + 3600 * 1_000_000
    server.call("HSET", f"{prefix}:meta", "number", future)
    first = broker.publish("a", b"data: x\n\n")
    second = broker.publish("a", b"data: y\n\n")
    assert (first.number, second.number) == (future + 1, future + 2)
    assert [m.position for m in broker.history(["a"], first).messages] == [second]


def test_connection_that_another_thread_reconnects(server, started):
    """redis-py connects anew when a command fails; the listener notices, and nothing is missed."""
    broker, received = started(server, prefix=next(_prefixes))
    broker.subscribe(["a", "b"])
    slow = threading.Event()
    receive = received.receive

    def slowly(messages):
        slow.wait(0.02)
        receive(messages)

    received.receive = slowly
    positions = []
    for number in range(40):
        positions.append(broker.publish("a", b"data: %d\n\n" % number))
        if number == 10:
            server.call("CLIENT", "KILL", "TYPE", "pubsub")
            broker.unsubscribe(["b"])
            with contextlib.suppress(BrokerUnavailable):
                broker.subscribe(["b"])
    wait_until(lambda: received.messages and received.messages[-1].position == positions[-1])
    assert [message.position for message in received.messages] == positions
    assert received.interruptions == 0


def test_recent_events_after_a_reconnect(server, started, monkeypatch):
    """After a broken connection a process keeps recent events again, bounded in bytes."""
    broker, received = started(server, prefix=next(_prefixes))
    broker.subscribe(["a"])
    broker.publish("a", b"data: 1\n\n")
    wait_until(lambda: received.messages)
    server.call("CLIENT", "KILL", "TYPE", "pubsub")
    wait_until(lambda: received.problems[-1:] == [None] and len(received.problems) > 1)
    position = broker.publish("a", b"data: 2\n\n")
    broker.publish("a", b"data: 3\n\n")
    wait_until(lambda: len(received.messages) == 3)
    with monkeypatch.context() as patch:
        patch.setattr(broker, "_history", lambda **arguments: pytest.fail("asked Redis"))
        assert len(broker.history(["a"], position).messages) == 1
    for _ in range(100):
        last = broker.publish("a", b"data: " + b"x" * 10_000 + b"\n\n")
    wait_until(lambda: received.messages[-1].position == last)
    assert sum(len(m.body) for m in broker._recent["a"].messages) <= module.RECENT_BYTES


def test_quiet_process_does_not_fall_behind(server, started, monkeypatch):
    """However long a process hears nothing while others publish, a reconnect is no gap."""
    monkeypatch.setattr(module, "PING_INTERVAL", 0.1)
    prefix = next(_prefixes)
    quiet, received = started(server, prefix=prefix, max_age=0.5)
    busy, _ = started(server, prefix=prefix, max_age=0.5)
    quiet.subscribe(["quiet"])
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        busy.publish("busy", b"data: x\n\n")
        time.sleep(0.02)
    server.call("CLIENT", "KILL", "TYPE", "pubsub")
    wait_until(lambda: received.problems[-1:] == [None] and len(received.problems) > 1)
    assert received.interruptions == 0


def test_fork(server, started):
    """A child reads nothing of what is its parent's."""
    broker, received = started(server, prefix=next(_prefixes))
    broker.subscribe(["a"])
    pid = os.fork()
    if not pid:
        os._exit(0 if broker._closed else 1)
    _, status = os.waitpid(pid, 0)
    assert status == 0
    positions = [broker.publish("a", b"data: %d\n\n" % number) for number in range(5)]
    wait_until(lambda: len(received.messages) == 5)
    assert [message.position for message in received.messages] == positions


def test_publishing_alone_opens_no_subscription(server, started):
    """A process that only publishes has no listener."""
    broker, _ = started(server, prefix=next(_prefixes))
    broker.publish("a", b"data: x\n\n")
    assert broker._pubsub is None
    assert not [
        t for t in threading.enumerate() if t.name == "sse-sync redis" and broker._listening
    ]


def test_flushed(server, own_server, started):
    """A flushed store starts a new epoch."""
    broker, received = started(own_server)
    before = broker.subscribe(["a"])
    broker.publish("a", b"data: 1\n\n")
    own_server.call("FLUSHALL")
    after = broker.publish("a", b"data: 2\n\n")
    assert after.epoch != before.epoch
    wait_until(lambda: received.interruptions)
    wait_until(lambda: len(received.messages) == 2)
    assert broker.history(["a"], before) == ([], False)


def test_hanging_server(own_server, started, monkeypatch):
    """A Redis that hangs blocks a publisher for a bounded time, and the process recovers."""
    monkeypatch.setattr(module, "PING_INTERVAL", 0.5)
    monkeypatch.setattr(module, "SILENCE", 1.5)
    broker, received = started(own_server)
    broker.subscribe(["a"])
    own_server.pause()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        broker.publish("a", b"data: 1\n\n")
    assert time.monotonic() - began < 5
    with pytest.raises(BrokerUnavailable):
        broker.subscribe(["b"])
    wait_until(lambda: received.problems)
    own_server.resume()
    wait_until(lambda: received.problems[-1] is None)
    position = broker.publish("a", b"data: 2\n\n")
    wait_until(lambda: received.messages and received.messages[-1].position == position)


def test_away_from_the_start(own_server, started):
    """A process that starts without Redis works as soon as it is there."""
    own_server.kill()
    broker, received = started(own_server)
    with pytest.raises(BrokerUnavailable):
        broker.subscribe(["a"])
    own_server.start()
    wait_until(lambda: received.problems and received.problems[-1] is None)
    broker.subscribe(["a"])
    broker.publish("a", b"data: 1\n\n")
    wait_until(lambda: received.messages)


def test_password_is_not_shown():
    """Errors and logs name the server without its password."""
    broker = RedisBroker("redis://user:secret@127.0.0.1:1/0")
    with pytest.raises(BrokerUnavailable) as caught:
        broker.position()
    assert "secret" not in str(caught.value)
    broker.close()


def test_many_channels(server, started):
    """Channels per user, thousands of them, cost each event no more."""
    broker, received = started(server, prefix=next(_prefixes))
    names = [f"user-{number}" for number in range(5000)]
    broker.subscribe(names)
    threads = [
        threading.Thread(target=broker.publish, args=[name, b"data: x\n\n"])
        for name in names[::500]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    wait_until(lambda: len(received.messages) == 10)
    assert {message.channel for message in received.messages} == set(names[::500])
