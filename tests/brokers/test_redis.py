"""The Redis broker, on a real redis-server."""

import contextlib
import itertools
import os
import threading
import time
import traceback
from functools import partial

import pytest
import redis

from sse_sync import BrokerUnavailable, ConfigurationError, connect, listen
from sse_sync.brokers.base import Publication
from sse_sync.brokers.redis import listener as redis_listener
from sse_sync.brokers.redis import store as redis_store
from sse_sync.brokers.redis import topology as redis_nodes
from sse_sync.brokers.redis.broker import READERS, RedisBroker
from sse_sync.channels.hub import Hub
from sse_sync.channels.schedule import Schedule
from tests.brokers.redis_suite import prefixes
from tests.core.brokers.broker_contract import BrokerContract, Receiver
from tests.redis_server import RedisCluster, RedisServer, Sentinel
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A redis-server shared by all of these tests, each with its own prefix."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path):
    """A redis-server that the test may break."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Shorter pauses, so that faults are noticed sooner. The machine may be busy, Redis slow."""
    monkeypatch.setattr(redis_listener, "PAUSES", (0.02, 0.2))
    give_up_after(10.0, monkeypatch)


def give_up_after(seconds, monkeypatch):
    """Let the broker wait so long for an answer."""
    for module in (redis_listener, redis_nodes):
        monkeypatch.setattr(module, "TIMEOUT", seconds)


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


def forbid_reading(monkeypatch, broker):
    """Fail if the broker reads the history from Redis."""
    node = broker._nodes.current()
    monkeypatch.setattr(node, "history", lambda **arguments: pytest.fail("asked Redis"))


def last_position(received):
    return received.messages[-1].position if received.messages else None


def had_a_problem(received):
    return len(received.problems) > 1 and received.problems[-1] is None


def link_of(replica):
    return replica.call("INFO", "replication")["master_link_status"]


class TestRedisBroker(BrokerContract):
    """The contract."""

    @pytest.fixture
    def make(self, server):
        brokers = []

        def make(**options):
            brokers.append(RedisBroker(server.url, prefix=next(prefixes), **options))
            return brokers[-1]

        yield make
        for broker in brokers:
            broker.close()

    @pytest.fixture
    def wait_until(self):
        return partial(wait_for, what="the broker")


class TestRedisBrokerOnACluster(TestRedisBroker):
    """The contract, on a cluster."""

    @pytest.fixture
    def server(self, cluster):
        return cluster


def testprefixes_spread_over_the_cluster(cluster, started):
    """Each prefix is on one node, whichever node is asked first."""
    urls = [f"redis+cluster://127.0.0.1:{node.port}" for node in cluster.primaries]
    used = set()
    for number in range(12):
        prefix = next(prefixes)
        broker, received = started(cluster, prefix=prefix)
        other = RedisBroker(urls[number % 3], prefix=prefix)
        broker.subscribe(["a", "b"])
        position = other.publish(Publication("a", b"data: x\n\n"))
        wait_for(lambda received=received: received.messages, "the event")
        assert received.messages[0].position == position
        used.add(broker._nodes.current().address)
        other.close()
    assert len(used) > 1


def test_cluster_fails_over(tmp_path, started):
    """When the node with our keys dies, its replica takes over, with another epoch."""
    with RedisCluster(tmp_path, timeout=1000) as cluster:
        broker, received = started(cluster)
        before = broker.subscribe(["a"])
        broker.publish(Publication("a", b"data: 1\n\n"))
        wait_for(lambda: received.messages, "the event")
        cluster.node_at(broker._nodes.current().address).kill()
        wait_for(lambda: works(broker), "the broker to work")
        wait_for(lambda: received.interruptions, "the interruption")
        wait_for(lambda: received.problems[-1:], "the end of the problem", equals=[None])
        after = broker.publish(Publication("a", b"data: 2\n\n"))
        assert after.epoch != before.epoch
        assert after.number > before.number
        wait_for(lambda: last_position(received), "the last event", equals=after)
        assert broker.history(["a"], before) == ([], False)


def test_slot_moves(cluster, started):
    """When our keys' slot moves to another node, the listener follows."""
    prefix = next(prefixes)
    broker, received = started(cluster, prefix=prefix)
    broker.subscribe(["a"])
    here = broker._nodes.current().address
    cluster.move_slot(f"{{{prefix}}}", here)
    wait_for(lambda: works(broker), "the broker to work")
    assert broker._nodes.current().address != here
    # What is published before the listener follows is in another epoch, and it resets everybody.
    wait_for(lambda: received.interruptions, "the listener to follow")
    position = broker.publish(Publication("a", b"data: 2\n\n"))
    wait_for(lambda: last_position(received), "the last event", equals=position)


def test_node_that_was_not_told(cluster, started, monkeypatch):
    """When a node says that the keys have moved, their new owner is believed before other nodes."""
    broker, _ = started(cluster, prefix=next(prefixes))
    broker.position()
    right = broker._nodes.current().address
    others = [("127.0.0.1", n.port) for n in cluster.primaries if n.port != right[1]]
    # All but the owner still believe in another node.
    slots = broker._nodes._slots
    stale = [[0, 16383, [b"127.0.0.1", others[0][1], b"x"]]]
    monkeypatch.setattr(
        broker._nodes, "_slots", lambda address: slots(address) if address == right else stale
    )
    broker._nodes._node, broker._nodes._addresses = None, list(others)
    wait_for(lambda: works(broker), "the broker to work")
    assert broker._nodes.current().address == right


def test_sentinel_fails_over(tmp_path, started):
    """When a watched server dies, its replica takes over, with another epoch."""
    with contextlib.ExitStack() as stack:
        primary, replica = (
            stack.enter_context(RedisServer(folder(tmp_path / name))) for name in ("one", "two")
        )
        replica.call("REPLICAOF", "127.0.0.1", primary.port)
        wait_for(lambda: link_of(replica), "the replica", equals="up")
        sentinel = stack.enter_context(Sentinel(folder(tmp_path / "sentinel"), "ours", primary))
        # The sentinel learns of the replica from the primary, every ten seconds.
        wait_for(lambda: sentinel.call("SENTINEL", "REPLICAS", "ours"), "the replica", 30)
        broker, received = started(sentinel)
        before = broker.subscribe(["a"])
        kept = broker.publish(Publication("a", b"data: kept\n\n"))
        assert primary.call("WAIT", 1, 5000) == 1
        primary.kill()
        with pytest.raises(BrokerUnavailable):
            broker.publish(Publication("a", b"data: lost\n\n"))
        wait_for(lambda: works(broker), "the promotion", 30)
        wait_for(lambda: received.interruptions, "the interruption")
        after = broker.publish(Publication("a", b"data: 2\n\n"))
        assert after.epoch != before.epoch
        assert after.number > kept.number
        wait_for(lambda: last_position(received), "the last event", equals=after)
        assert broker.history(["a"], kept) == ([], False)


def test_lagging_replica_is_promoted(tmp_path, started):
    """No client resumes past events that a promoted replica never received."""
    primary_folder, replica_folder = folder(tmp_path / "one"), folder(tmp_path / "two")
    with RedisServer(primary_folder) as primary, RedisServer(replica_folder) as replica:
        replica.call("REPLICAOF", "127.0.0.1", primary.port)
        wait_for(lambda: link_of(replica), "the replica", equals="up")
        broker, _ = started(primary)
        kept = broker.publish(Publication("a", b"data: kept\n\n"))
        assert primary.call("WAIT", 1, 5000) == 1
        replica.pause()
        lost = broker.publish(Publication("a", b"data: lost\n\n"))
        primary.kill()
        replica.resume()
        replica.call("REPLICAOF", "NO", "ONE")
        promoted, _ = started(replica)
        new = promoted.publish(Publication("a", b"data: new\n\n"))
        assert new.epoch != kept.epoch
        assert new.number > kept.number
        for position in (kept, lost):
            assert promoted.history(["a"], position) == ([], False)


def folder(path):
    path.mkdir()
    return path


def works(broker):
    """Return whether it answers now."""
    with contextlib.suppress(BrokerUnavailable):
        return broker.position()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis+cluster://localhost/3", "names a database, but a cluster has only one"),
        ("redis+sentinel://localhost", "must end in the name that the sentinels watch"),
        ("redis+cluster://localhost:x", "must list host:port, not 'localhost:x'"),
        ("redis://localhost/0?socket_timeout=soon", "cannot be parsed"),
    ],
)
def test_urls_that_cannot_be_used(url, problem):
    """A URL with a mistake is refused when the broker is created."""
    with pytest.raises(ConfigurationError, match=problem):
        RedisBroker(url)


@pytest.mark.parametrize(
    ("url", "addresses", "options"),
    [
        ("redis+cluster://:pw@a:1,b/?protocol=2", [("a", 1), ("b", 6379)], {"password": "pw"}),
        ("rediss+sentinel://a,b:2/ours/3", [("a", 26379), ("b", 2)], {"db": 3}),
    ],
)
def test_urls_with_several_servers(url, addresses, options):
    """All servers of a URL are used, each with its options."""
    nodes = RedisBroker(url)._nodes
    assert nodes._addresses == addresses
    assert nodes._options.items() >= options.items()
    assert "pw" not in nodes.name


def test_unix_socket(tmp_path, started):
    """Redis may be on a unix socket."""
    path = tmp_path / "redis.sock"
    with RedisServer(tmp_path, "--unixsocket", str(path)):
        broker = RedisBroker(f"unix://{path}")
        receiver = Receiver()
        broker.start(receiver)
        broker.subscribe(["a"])
        broker.publish(Publication("a", b"data: x\n\n"))
        wait_for(lambda: receiver.messages, "the event")
        broker.close()


def test_long_history_is_read_in_pages(server, started, monkeypatch):
    """A long history is read in several scripts, and nothing is lost or repeated."""
    prefix = next(prefixes)
    publisher, _ = started(server, prefix=prefix)
    start = publisher.position()
    names = [f"c{number}" for number in range(7)]
    positions = [
        publisher.publish(Publication(names[n * 3 % 7], b"data: x\n\n")) for n in range(400)
    ]
    monkeypatch.setattr(redis_store, "EVENTS_AT_ONCE", 30)
    monkeypatch.setattr(redis_store, "CHANNELS_AT_ONCE", 3)
    reader, _ = started(server, prefix=prefix)
    node = reader._nodes.current()
    read, pages = node.history, []

    def page(**arguments):
        # What is published while it is read comes by the subscription.
        publisher.publish(Publication(names[0], b"data: late\n\n"))
        pages.append(read(**arguments))
        return pages[-1]

    monkeypatch.setattr(node, "history", page)
    messages, complete = reader.history(names, start)
    assert complete
    assert [message.position for message in messages][:400] == positions
    # The first page tells where it ends.
    assert len(messages) == 401
    assert len(pages) > 10
    assert max(sum(len(entries) for entries, *_ in each[2]) for each in pages) < 50


def test_history_that_is_trimmed_while_it_is_read(server, started, monkeypatch):
    """Events dropped between two pages make the history incomplete."""
    prefix = next(prefixes)
    publisher, _ = started(server, prefix=prefix, history=100)
    start = publisher.position()
    for _ in range(100):
        publisher.publish(Publication("a", b"data: x\n\n"))
    monkeypatch.setattr(redis_store, "EVENTS_AT_ONCE", 30)
    reader, _ = started(server, prefix=prefix, history=100)
    node = reader._nodes.current()
    read = node.history

    def page(**arguments):
        answer = read(**arguments)
        for _ in range(60):
            publisher.publish(Publication("a", b"data: y\n\n"))
        return answer

    monkeypatch.setattr(node, "history", page)
    assert reader.history(["a"], start) == ([], False)


@pytest.mark.parametrize("limit", [None, 300])
def test_history_for_a_new_client_that_is_trimmed_while_it_is_read(
    server, started, monkeypatch, limit
):
    """What it gets of each channel has no gap, and goes on to what is to be read next."""
    prefix = next(prefixes)
    publisher, _ = started(server, prefix=prefix, history=100)
    quiet = [publisher.publish(Publication("quiet", b"data: %05d\n\n" % n)) for n in range(50)]
    busy = [publisher.publish(Publication("busy", b"data: %05d\n\n" % n)) for n in range(100)]
    monkeypatch.setattr(redis_store, "EVENTS_AT_ONCE", 30)
    reader, _ = started(server, prefix=prefix, history=100)
    node = reader._nodes.current()
    read = node.history

    def page(**arguments):
        answer = read(**arguments)
        busy.extend(publisher.publish(Publication("busy", b"data: 12345\n\n")) for _ in range(40))
        return answer

    monkeypatch.setattr(node, "history", page)
    after, floors = reader.beginning(["busy", "quiet"], None)
    assert after.number == quiet[0].number - 1
    messages, complete = reader.history(["busy", "quiet"], after, limit, floors)
    assert complete
    found = [message.position for message in messages]
    if limit is not None:
        assert len(found) * 13 >= limit
        assert found == quiet[: len(found)]
        return
    assert found[:50] == quiet
    begins = busy.index(found[50])
    assert found[50:] == busy[begins : begins + len(found) - 50]


@pytest.mark.parametrize("replay", [50, "all", "latest"])
def test_new_clients_of_a_busy_channel(server, started, replay):
    """Each begins with what is held, without a gap, however fast the channel drops events."""
    prefix, stop = next(prefixes), threading.Event()
    broker, _ = started(server, prefix=prefix, history=50)
    texts = map(str, itertools.count())

    def publish():
        while not stop.is_set():
            broker.publish(Publication("a", b"data: %s\n\n" % next(texts).encode()))

    for _ in range(60):
        broker.publish(Publication("a", b"data: %s\n\n" % next(texts).encode()))
    thread = threading.Thread(target=publish)
    thread.start()
    try:
        for _ in range(20):
            with Hub(RedisBroker(server.url, prefix=prefix, history=50)) as hub:
                heard = listen(hub, "a", replay=replay)
                opening, *events = itertools.islice(heard, 60)
                heard.close()
            assert opening.event == "stream-open"
            first = int(events[0].data)
            assert [event.data for event in events] == [str(first + n) for n in range(59)]
    finally:
        stop.set()
        thread.join(10)


def test_catching_up_that_never_succeeds(server, started, monkeypatch):
    """A process that cannot read the missed events gives up, and its clients are reset."""
    broker, received = started(server, prefix=next(prefixes))
    broker.subscribe(["a"])
    node = broker._nodes.current()

    def fail(**arguments):
        raise redis.TimeoutError("too much")

    monkeypatch.setattr(node, "history", fail)
    server.call("CLIENT", "KILL", "TYPE", "pubsub")
    wait_for(lambda: received.interruptions, "the interruption", equals=1)
    position = broker.publish(Publication("a", b"data: x\n\n"))
    wait_for(lambda: last_position(received), "the last event", equals=position)


def test_channels_with_histories_of_their_own(server, started):
    """A channel may be kept for less time, and nobody resumes past its dropped events."""
    channels = {"chat-*": (2, 0.3)}
    broker, _ = started(server, prefix=next(prefixes), channels=channels)
    start = broker.position()
    for number in range(4):
        broker.publish(Publication("chat-1", b"data: %d\n\n" % number))
        last = broker.publish(Publication("orders", b"data: %d\n\n" % number))
    assert broker.history(["chat-1"], start) == ([], False)
    assert len(broker.history(["orders"], start).messages) == 4
    assert broker.history(["orders", "chat-1"], last) == ([], True)
    broker.publish(Publication("chat-1", b"data: 4\n\n"))
    time.sleep(0.4)
    assert broker.history(["chat-1"], last) == ([], False)


def test_publisher_that_keeps_less(server, started):
    """Processes that disagree about the age of events lose none silently."""
    prefix = next(prefixes)
    short, _ = started(server, prefix=prefix, max_age=0.2)
    long, _ = started(server, prefix=prefix)
    start = long.position()
    short.publish(Publication("a", b"data: x\n\n"))
    time.sleep(0.4)
    long.publish(Publication("b", b"data: y\n\n"))
    assert long.history(["a"], start) == ([], False)


def test_channels_that_are_given_back(own_server, started):
    """Unwanted channels are unsubscribed; one that is wanted again misses nothing."""
    broker, received = started(own_server)
    names = [f"c{number}" for number in range(20)]
    broker.subscribe(names)
    broker.unsubscribe(names[5:])
    broker.subscribe(names[10:])

    def subscribed():
        return len(own_server.call("PUBSUB", "CHANNELS"))

    wait_for(subscribed, "the subscriptions", equals=16)
    positions = [broker.publish(Publication(name, b"data: x\n\n")) for name in names]
    wait_for(lambda: len(received.messages), "the events", equals=15)
    assert [m.position for m in received.messages] == positions[:5] + positions[10:]
    broker.subscribe(names[5:10])
    last = broker.publish(Publication(names[7], b"data: y\n\n"))
    wait_for(lambda: last_position(received), "the last event", equals=last)
    broker.unsubscribe(names)
    # The connection is closed, too.
    wait_for(
        lambda: not subscribed() and not own_server.call("CLIENT", "LIST", "TYPE", "pubsub"),
        "the end of the subscriptions",
    )
    broker.subscribe(["c1"])
    last = broker.publish(Publication("c1", b"data: z\n\n"))
    wait_for(lambda: last_position(received), "the last event", equals=last)
    assert received.interruptions == 0


def test_two_processes(server, started):
    """One process receives what another publishes, with the same positions."""
    prefix = next(prefixes)
    one, _ = started(server, prefix=prefix)
    other, received = started(server, prefix=prefix)
    since = other.subscribe(["ä b"])
    position = one.publish(Publication("ä b", "data: ü\n\n".encode(), event="é", meta={"ö": "\n"}))
    wait_for(lambda: received.messages, "the event")
    (message,) = received.messages
    assert message.position == position
    assert (message.event, message.meta, message.body) == ("é", {"ö": "\n"}, "data: ü\n\n".encode())
    assert other.history(["ä b"], since).messages == [message]
    assert one.history(["ä b"], since).messages == [message]


def testprefixes_keep_apart(server, started):
    """Projects that share a Redis do not receive each other's events."""
    one, _ = started(server, prefix=next(prefixes))
    other, received = started(server, prefix=next(prefixes))
    since = other.subscribe(["a"])
    one.publish(Publication("a", b"data: x\n\n"))
    mine = other.publish(Publication("a", b"data: y\n\n"))
    wait_for(lambda: received.messages, "the event")
    assert [message.position for message in received.messages] == [mine]
    assert len(other.history(["a"], since).messages) == 1


def test_databases_keep_apart(server, started):
    """Pub/sub ignores databases; projects in two databases still stay separate."""
    prefix = next(prefixes)
    one, _ = started(server, prefix=prefix)
    other, received = started(Another(server), prefix=prefix)
    since = other.subscribe(["a"])
    one.publish(Publication("a", b"data: x\n\n"))
    mine = other.publish(Publication("a", b"data: y\n\n"))
    wait_for(lambda: received.messages, "the event")
    assert [message.position for message in received.messages] == [mine]
    assert len(other.history(["a"], since).messages) == 1


class Another:
    """Another database of a server."""

    def __init__(self, server):
        self.url = server.url.removesuffix("/0") + "/1"


def test_what_others_publish_is_skipped(server, started):
    """Foreign messages on our topics do no harm."""
    broker, received = started(server, prefix=next(prefixes))
    broker.subscribe(["a"])
    for rubbish in ("rubbish", "a\nb\nc\nd", "\n\n\n"):
        server.call("PUBLISH", broker._store.topic("a"), rubbish)
    last = broker.publish(Publication("a", b"data: x\n\n"))
    wait_for(lambda: received.messages, "the event")
    assert [message.position for message in received.messages] == [last]
    assert received.interruptions == 0


def test_short_memory_of_one_channel(server, started):
    """A channel with a very short history resets no client of others, however quiet it was."""
    broker, _ = started(server, prefix=next(prefixes), channels={"short": (5, 0.1)})
    broker.publish(Publication("short", b"data: x\n\n"))
    start = broker.publish(Publication("quiet", b"data: x\n\n"))
    time.sleep(0.3)
    broker.publish(Publication("short", b"data: y\n\n"))
    assert broker.history(["quiet"], start) == ([], True)


def test_storm_of_replays(server, started, monkeypatch):
    """When many clients reconnect at once, three histories at a time are read, and nobody fails."""
    broker, received = started(server, prefix=next(prefixes))
    start = broker.publish(Publication("a", b"data: 0\n\n"))
    broker.publish(Publication("a", b"data: 1\n\n"))
    node = broker._nodes.current()
    asking, most, history = [], [], node.history

    def slow(**arguments):
        asking.append(1)
        most.append(len(asking))
        time.sleep(0.02)
        try:
            return history(**arguments)
        finally:
            asking.pop()

    monkeypatch.setattr(node, "history", slow)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(broker.history(["a"], start)))
        for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [len(history.messages) for history in found] == [1] * 40
    assert max(most) <= READERS
    assert received.problems == []


def test_everything_expires(server, started):
    """Nothing but one hash stays in Redis longer than its age."""
    prefix = next(prefixes)
    broker, _ = started(server, prefix=prefix, max_age=2.0)
    start = broker.position()
    for number in range(20):
        broker.publish(Publication(f"user-{number}", b"data: x\n\n"))
    assert broker.history(["user-3"], start).complete
    wait_for(
        lambda: not [k for k in server.call("KEYS", f"{{{prefix}}}:*") if b":events:" in k],
        "the streams to expire",
    )
    assert broker.history(["user-3"], start) == ([], False)
    assert broker.history(["user-3"], broker.position()) == ([], True)
    broker.publish(Publication("user-3", b"data: y\n\n"))
    assert broker.history(["user-3"], start) == ([], False)


def test_retried_publish_is_stored_once(server, started, monkeypatch):
    """A lost answer does not store an event twice."""
    prefix = next(prefixes)
    broker, received = started(server, prefix=prefix)
    since = broker.subscribe(["a"])
    node, lost = broker._nodes.current(), []
    publish = node.publish

    def lose_the_answer(**arguments):
        answer = publish(**arguments)
        if not lost:
            lost.append(answer)
            raise redis.ConnectionError("the answer was lost")
        return answer

    monkeypatch.setattr(node, "publish", lose_the_answer)
    position = broker.publish(Publication("a", b"data: x\n\n"))
    assert int(lost[0][1]) == position.number
    monkeypatch.undo()
    last = broker.publish(Publication("a", b"data: y\n\n"))
    wait_for(lambda: last_position(received), "the last event", equals=last)
    assert [message.position for message in received.messages] == [position, last]
    other, _ = started(server, prefix=prefix)
    assert [m.position for m in other.history(["a"], since).messages] == [position, last]


def test_retry_meets_another_redis(own_server, started, monkeypatch):
    """Two stores never have the same epoch, though both were given it by the same request."""
    broker, _ = started(own_server)
    node, lost = broker._nodes.current(), []
    publish = node.publish

    def lose_the_answer(**arguments):
        answer = publish(**arguments)
        if not lost:
            lost.append(answer)
            own_server.kill()
            own_server.start()
            raise redis.ConnectionError("the answer was lost")
        return answer

    monkeypatch.setattr(node, "publish", lose_the_answer)
    position = broker.publish(Publication("a", b"data: x\n\n"))
    assert len(lost) == 1
    assert lost[0][0].decode() != position.epoch


def test_recent_events_are_in_the_process(server, started, monkeypatch):
    """A storm of reconnects does not become a storm of queries to Redis."""
    broker, received = started(server, prefix=next(prefixes))
    since = broker.subscribe(["a", "b"])
    for number in range(10):
        broker.publish(Publication("ab"[number % 2], b"data: %d\n\n" % number))
    wait_for(lambda: len(received.messages), "the events", equals=10)
    forbid_reading(monkeypatch, broker)
    messages, complete = broker.history(["a", "b"], since)
    assert complete
    assert messages == received.messages


def test_connection_is_killed(server, started):
    """When the subscribed connection breaks, the missed events are fetched, in order and once."""
    broker, received = started(server, prefix=next(prefixes))
    broker.subscribe(["a", "b"])
    positions = []
    for number in range(200):
        positions.append(broker.publish(Publication("ab"[number % 2], b"data: %d\n\n" % number)))
        if number % 40 == 20:
            server.call("CLIENT", "KILL", "TYPE", "pubsub")
    wait_for(lambda: len(received.messages) >= 200, "the events")
    assert [message.position for message in received.messages] == positions
    assert received.interruptions == 0


def test_many_channels_catch_up(server, started, monkeypatch):
    """With many channels, missed events are still fetched in order."""
    monkeypatch.setattr(redis_store, "CHANNELS_AT_ONCE", 7)
    broker, received = started(server, prefix=next(prefixes))
    names = [f"user-{number}" for number in range(50)]
    broker.subscribe(names)
    positions = []
    for number in range(300):
        positions.append(
            broker.publish(Publication(names[number * 17 % 50], b"data: %d\n\n" % number))
        )
        if number % 100 == 50:
            server.call("CLIENT", "KILL", "TYPE", "pubsub")
    wait_for(lambda: last_position(received), "the last event", equals=positions[-1])
    assert [message.position for message in received.messages] == positions
    assert received.interruptions == 0


def test_restart_without_memory(own_server, started):
    """After Redis has lost everything, every client is reset, and all works again."""
    broker, received = started(own_server)
    before = broker.subscribe(["a"])
    broker.publish(Publication("a", b"data: 1\n\n"))
    wait_for(lambda: received.messages, "the event")
    own_server.kill()
    with pytest.raises(BrokerUnavailable, match=r"redis://127.0.0.1:\d+/0 is unavailable"):
        broker.publish(Publication("a", b"data: lost\n\n"))
    wait_for(lambda: received.problems, "the problem")
    own_server.start()
    wait_for(lambda: received.interruptions, "the interruption")
    wait_for(lambda: received.problems[-1] is None, "the end of the problem")
    after = broker.publish(Publication("a", b"data: 2\n\n"))
    assert after.epoch != before.epoch
    wait_for(lambda: len(received.messages), "the events", equals=2)
    assert received.messages[1].position == after
    assert broker.history(["a"], before) == ([], False)


def test_restart_from_an_older_snapshot(own_server, started):
    """Events acknowledged after the snapshot are gone, and nobody resumes past them."""
    broker, received = started(own_server)
    broker.subscribe(["a"])
    kept = broker.publish(Publication("a", b"data: kept\n\n"))
    own_server.call("SAVE")
    lost = broker.publish(Publication("a", b"data: lost\n\n"))
    wait_for(lambda: len(received.messages), "the events", equals=2)
    own_server.kill()
    own_server.start()
    wait_for(lambda: received.interruptions, "the interruption")
    new = broker.publish(Publication("a", b"data: new\n\n"))
    assert new.epoch not in (kept.epoch,)
    assert new.number > lost.number
    for position in (kept, lost):
        assert broker.history(["a"], position) == ([], False)


@pytest.mark.parametrize("kind", ["events", "floor", "meta"])
def test_deleted_keys(server, started, kind):
    """After a key was deleted, nobody resumes past its events."""
    prefix = next(prefixes)
    broker, _ = started(server, prefix=prefix, history=3)
    start = broker.position()
    positions = [broker.publish(Publication("a", b"data: %d\n\n" % number)) for number in range(5)]
    server.call("DEL", f"{{{prefix}}}:meta" if kind == "meta" else f"{{{prefix}}}:{kind}:a")
    for position in (start, positions[0]):
        assert broker.history(["a"], position) == ([], False)
    broker.publish(Publication("a", b"data: new\n\n"))
    for position in (start, positions[0]):
        assert broker.history(["a"], position) == ([], False)
    if kind == "events":
        assert broker.history(["a"], positions[3]) == ([], False)


def test_evicted_keys(tmp_path, started):
    """A Redis that evicts keys starts a new epoch, rather than losing events silently."""
    options = ("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")
    with RedisServer(tmp_path, *options) as crowded:
        broker, _ = started(crowded)
        start = broker.position()
        broker.publish(Publication("a", b"data: x\n\n"))
        for number in range(4000):
            crowded_out = int(crowded.call("INFO", "stats")["evicted_keys"])
            if crowded_out:
                break
            broker.publish(Publication(f"user-{number}", b"data: " + b"x" * 1000 + b"\n\n"))
        assert crowded_out
        assert broker.history(["a"], start) == ([], False)
        assert broker.position().epoch != start.epoch


def test_clock_is_set_back(server, started):
    """Positions increase and define ages, even if Redis's clock is set back."""
    prefix = next(prefixes)
    broker, _ = started(server, prefix=prefix, max_age=60)
    broker.position()
    future = int(server.call("HGET", f"{{{prefix}}}:meta", "number")) + 3600 * 1_000_000
    server.call("HSET", f"{{{prefix}}}:meta", "number", future)
    first = broker.publish(Publication("a", b"data: x\n\n"))
    second = broker.publish(Publication("a", b"data: y\n\n"))
    assert (first.number, second.number) == (future + 1, future + 2)
    assert [m.position for m in broker.history(["a"], first).messages] == [second]


def test_connection_that_another_thread_reconnects(server, started):
    """When redis-py reconnects by itself, the listener notices, and nothing is missed."""
    broker, received = started(server, prefix=next(prefixes))
    broker.subscribe(["a", "b"])
    slow = threading.Event()
    receive = received.receive

    def slowly(messages):
        slow.wait(0.02)
        receive(messages)

    received.receive = slowly
    positions = []
    for number in range(40):
        positions.append(broker.publish(Publication("a", b"data: %d\n\n" % number)))
        if number == 10:
            server.call("CLIENT", "KILL", "TYPE", "pubsub")
            broker.unsubscribe(["b"])
            with contextlib.suppress(BrokerUnavailable):
                broker.subscribe(["b"])
    wait_for(lambda: last_position(received), "the last event", equals=positions[-1])
    assert [message.position for message in received.messages] == positions
    assert received.interruptions == 0


def test_recent_events_after_a_reconnect(server, started, monkeypatch):
    """After a broken connection a process keeps recent events again."""
    broker, received = started(server, prefix=next(prefixes))
    broker.subscribe(["a"])
    broker.publish(Publication("a", b"data: 1\n\n"))
    wait_for(lambda: received.messages, "the event")
    server.call("CLIENT", "KILL", "TYPE", "pubsub")
    wait_for(lambda: had_a_problem(received), "the problem, and its end")
    position = broker.publish(Publication("a", b"data: 2\n\n"))
    broker.publish(Publication("a", b"data: 3\n\n"))
    wait_for(lambda: len(received.messages), "the events", equals=3)
    with monkeypatch.context() as patch:
        forbid_reading(patch, broker)
        assert len(broker.history(["a"], position).messages) == 1


def test_quiet_process_does_not_fall_behind(server, started, monkeypatch):
    """A long silence while others publish does not turn a reconnect into a gap."""
    monkeypatch.setattr(redis_listener, "PING_INTERVAL", 0.1)
    prefix = next(prefixes)
    quiet, received = started(server, prefix=prefix, max_age=2.0)
    busy, _ = started(server, prefix=prefix, max_age=2.0)
    quiet.subscribe(["quiet"])
    deadline = time.monotonic() + 4.0
    while time.monotonic() < deadline:
        busy.publish(Publication("busy", b"data: x\n\n"))
        time.sleep(0.02)
    server.call("CLIENT", "KILL", "TYPE", "pubsub")
    wait_for(lambda: had_a_problem(received), "the problem, and its end")
    assert received.interruptions == 0


@pytest.mark.parametrize("is_subscribed", [False, True])
def test_fork(server, is_subscribed):
    """A hub works in a child, with connections of its own; the parent loses nothing."""
    with connect(server.url, channel_prefix=next(prefixes)) as hub:
        listening = listen(hub, "a")
        if is_subscribed:
            next(listening)
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                own = listen(hub, "a")
                assert next(own).event == "stream-open"
                hub.publish("a", "child")
                assert next(own).data == "child"
                os._exit(0)
            os._exit(1)
        _, status = os.waitpid(pid, 0)
        assert status == 0
        hub.publish("a", "parent")
        if is_subscribed:
            assert [next(listening).data, next(listening).data] == ["child", "parent"]
        listening.close()


def test_publishing_alone_opens_no_subscription(own_server, started):
    """A process that only publishes has no listener."""
    server = own_server
    broker, _ = started(server, prefix=next(prefixes))
    broker.publish(Publication("a", b"data: x\n\n"))
    assert not server.call("PUBSUB", "CHANNELS")


def test_flushed(server, own_server, started):
    """A flushed store starts a new epoch."""
    broker, received = started(own_server)
    before = broker.subscribe(["a"])
    broker.publish(Publication("a", b"data: 1\n\n"))
    own_server.call("FLUSHALL")
    after = broker.publish(Publication("a", b"data: 2\n\n"))
    assert after.epoch != before.epoch
    wait_for(lambda: received.interruptions, "the interruption")
    wait_for(lambda: len(received.messages), "the events", equals=2)
    assert broker.history(["a"], before) == ([], False)


def test_hanging_server(own_server, started, monkeypatch):
    """A Redis that hangs blocks a publisher for a bounded time, and the process recovers."""
    monkeypatch.setattr(redis_listener, "PING_INTERVAL", 0.5)
    monkeypatch.setattr(redis_listener, "SILENCE", 1.5)
    give_up_after(1.0, monkeypatch)
    broker, received = started(own_server)
    broker.subscribe(["a"])
    own_server.pause()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        broker.publish(Publication("a", b"data: 1\n\n"))
    assert time.monotonic() - began < 10
    with pytest.raises(BrokerUnavailable):
        broker.subscribe(["b"])
    wait_for(lambda: received.problems, "the problem")
    own_server.resume()
    wait_for(lambda: received.problems[-1] is None, "the end of the problem")
    position = broker.publish(Publication("a", b"data: 2\n\n"))
    wait_for(lambda: last_position(received), "the last event", equals=position)


def test_away_from_the_start(own_server, started):
    """A process that starts without Redis works once Redis is up."""
    own_server.kill()
    broker, received = started(own_server)
    with pytest.raises(BrokerUnavailable, match="Connection refused"):
        broker.subscribe(["a"])
    with pytest.raises(BrokerUnavailable, match="Connection refused") as caught:
        broker.publish(Publication("a", b"data: 1\n\n"))
    assert len(traceback.format_exception(caught.value)) < 10  # Redis's own is not shown.
    own_server.start()
    wait_for(lambda: received.problems and received.problems[-1] is None, "the end of the problem")
    broker.subscribe(["a"])
    broker.publish(Publication("a", b"data: 1\n\n"))
    wait_for(lambda: received.messages, "the event")


def test_password_is_not_shown():
    """Errors and logs name the server without its password."""
    broker = RedisBroker("redis://user:secret@127.0.0.1:1/0")
    with pytest.raises(BrokerUnavailable) as caught:
        broker.position()
    assert "secret" not in str(caught.value)
    broker.close()


@pytest.mark.parametrize("name", ["password", "sentinel_password"])
def test_passwords_of_sentinels_are_not_shown(name):
    """Nor do they show those of its sentinels."""
    broker = RedisBroker(f"redis+sentinel://127.0.0.1:1/primary/0?{name}=secret")
    with pytest.raises(BrokerUnavailable) as caught:
        broker.position()
    assert "secret" not in f"{caught.value}{caught.value!r}"
    broker.close()


def test_many_channels(server, started):
    """Thousands of channels do not make an event more expensive."""
    broker, received = started(server, prefix=next(prefixes))
    names = [f"user-{number}" for number in range(5000)]
    broker.subscribe(names)
    threads = [
        threading.Thread(target=broker.publish, args=[Publication(name, b"data: x\n\n")])
        for name in names[::500]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    wait_for(lambda: len(received.messages), "the events", equals=10)
    assert {message.channel for message in received.messages} == set(names[::500])


def test_at_intervals_once_by_all(server):
    """Scheduled events of several processes arrive once per interval, in all of them."""
    prefix, interval = next(prefixes), 0.1
    callers, received = set(), []
    both, begun = threading.Barrier(2, timeout=30), []

    def tell():
        callers.add(threading.current_thread())
        return int(time.time() / interval)

    def receive(hub):
        events = listen(hub, "room")
        next(events)
        if both.wait() == 0:
            begun.append(int(time.time() / interval))
        both.wait()
        moments = ((event.id, event.data) for event in events if int(event.data) > begun[0] + 1)
        received.append(list(itertools.islice(moments, 8)))
        events.close()

    with contextlib.ExitStack() as stack:
        for _ in range(2):
            schedule = Schedule()
            schedule.publish_every(interval, "room")(tell)
            broker = RedisBroker(server.url, prefix=prefix)
            hub = stack.enter_context(Hub(broker, schedule=schedule))
            threading.Thread(target=receive, args=(hub,), daemon=True).start()
        wait_for(lambda: len(received), "what both received", equals=2)
    assert len(callers) == 2
    one, other = received
    moments = [data for _, data in one]
    assert len(set(moments)) == len(moments)
    assert one == other


@pytest.mark.parametrize("limit", ["EVENTS_AT_ONCE", "BYTES_AT_ONCE", "CHANNELS_AT_ONCE"])
def test_beginning_in_parts(server, started, monkeypatch, limit):
    """No script goes through more than so many events, bytes or channels."""
    broker, _ = started(server, prefix=next(prefixes), channels={"c3": (20, 60)})
    names = [f"c{number}" for number in range(7)]
    positions = [
        (name, broker.publish(Publication(name, b"data: 12345678\n\n")))
        for number in range(60)
        for name in names[: 1 + number % 7]
    ]
    of_c3 = [position for name, position in positions if name == "c3"]
    stored = [position for _, position in positions if position not in of_c3[:-20]]
    sizes = {"EVENTS_AT_ONCE": 30, "BYTES_AT_ONCE": 500, "CHANNELS_AT_ONCE": 2}
    monkeypatch.setattr(redis_store, limit, sizes[limit])
    for events in (1, 45, len(stored), 5000, None):
        position, floors = broker.beginning(names, events)
        expected = stored if events is None else stored[-events:]
        assert position.number == expected[0].number - 1
        messages, complete = broker.history(names, position, None, floors)
        assert complete
        assert [message.position for message in messages] == expected


@pytest.mark.parametrize("events", [30, 10**9])
def test_beginning_of_more_than_is_kept(own_server, started, events):
    """Where all are wanted, Redis does not go through them."""
    broker, _ = started(own_server, history=10, channels={"c": (10, 60)})
    positions = [broker.publish(Publication("abc"[n % 3], b"data: x\n\n")) for n in range(60)]
    own_server.call("CONFIG", "RESETSTAT")
    position, _ = broker.beginning(["a", "b", "c"], events)
    assert position.number == positions[-30].number - 1
    assert "cmdstat_xrevrange" not in own_server.call("INFO", "commandstats")
    assert broker.beginning(["a", "b", "c"], 29)[0].number == positions[-29].number - 1


@pytest.mark.parametrize("replay", [3, "all", "latest"])
def test_next_client_replays_without_reading(server, monkeypatch, replay):
    """What one new client was sent is kept for the next."""
    broker = RedisBroker(server.url, prefix=next(prefixes))
    with Hub(broker) as hub:
        for number in range(9):
            hub.publish("a", str(number), key=str(number % 3))

        def replayed():
            heard = listen(hub, "a", replay=replay)
            texts = [next(heard).data for _ in range(10 if replay == "all" else 4)]
            heard.close()
            return texts

        first = replayed()
        assert first == ["", *(str(number) for number in range(0 if replay == "all" else 6, 9))]
        forbid_reading(monkeypatch, broker)
        assert replayed() == first
