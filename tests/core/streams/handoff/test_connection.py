"""Connections without a request: what arrives, what ends them, and what is left."""

import contextlib

import pytest

from sse_sync import END_ID, CloseReason, EventStream, Overflow, statistics
from sse_sync.channels.presence import Presence
from sse_sync.channels.subscription import Subscription
from sse_sync.closing import End
from sse_sync.settings import Options
from sse_sync.streams.handoff.takeover import OFFER
from sse_sync.streams.registry import registry
from tests.core.streams.handoff.clients import OPTIONS, Client, logged, publish, received


def test_client_leaves(hub, handed, turn, caplog):
    """A disconnect is noticed at once, and nothing is left."""
    caplog.set_level("INFO", "sse_sync")
    client, other = handed(), handed()
    publish(hub, 0)
    turn()
    client.socket.close()
    turn()
    assert (statistics().open, statistics().closed) == (1, {CloseReason.CLIENT_GONE: 1})
    assert "event stream /events ended: client gone, after 0.0 s, 2 events" in caplog.text
    other.socket.close()
    turn()
    assert statistics().open == 0
    assert hub.statistics().subscriptions == 0
    assert hub.dispatcher.shared == {}
    # The next one is written to by a fan-out of its own.
    client = handed()
    publish(hub, 7)
    turn()
    assert client.numbers() == [7]


def test_client_that_is_found_gone_when_it_is_written_to(hub, handed, turn):
    """A client found gone at a write disturbs nobody."""
    client, other = handed(), handed()
    publish(hub, 0)
    turn()
    client.socket.close()
    publish(hub, 1)
    turn()
    assert other.numbers() == [0, 1]
    assert statistics().closed == {CloseReason.CLIENT_GONE: 1}


def test_longest_reconnection_time(hub, handed, turn):
    """A stream ends properly, whatever the reconnection time."""
    longest = 2**31 - 1
    options = Options(heartbeat=None, retry=longest, retry_stopping=longest, retry_failed=longest)
    for reason in (CloseReason.SERVER_STOPPING, CloseReason.DISMISSED, CloseReason.FAILED):
        client = handed(options=options)
        registry().end_all(reason)
        turn()
        client.read()
        assert client.has_ended
        assert str(longest).encode() in client.body


def test_slow_client(hub, handed, turn, caplog):
    """It delays nobody; when its mailbox is full, it gets the mailbox, and ends."""
    caplog.set_level("INFO", "sse_sync")
    slow, fast = handed(client=Client(buffer=4096), max_events=20), handed(max_events=20)
    publish(hub, 0)
    turn()
    for first in range(1, 101, 10):
        publish(hub, first, 10, size=2000)
        turn()
        fast.pull()
    assert fast.numbers() == list(range(101))
    for _ in range(200):
        slow.pull()
        turn(2)
    got = slow.numbers()
    assert got == list(range(len(got)))
    assert 20 <= len(got) < 101
    assert slow.has_ended
    assert not slow.raw.endswith(b"0\r\n\r\n")
    assert statistics().closed == {CloseReason.OVERFLOWED: 1}
    assert logged(caplog) == [received(slow)]


@pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.LATEST])
def test_slow_client_that_drops(hub, handed, turn, overflow):
    """It stays, and gets the latest events."""
    slow = handed(client=Client(buffer=4096), max_events=5, overflow=overflow)
    publish(hub, 0)
    turn()
    for number in range(1, 100):
        hub.publish("a", str(number).zfill(2000), key=str(number % 3))
        turn(2)
    for _ in range(50):
        slow.pull()
        turn(2)
    got = slow.numbers()
    assert got == sorted(set(got))
    assert got[-1] == 99
    assert len(got) < 100
    publish(hub, 100)
    turn()
    assert slow.numbers()[-1] == 100
    assert statistics().open == 1


def test_client_that_does_not_read(hub, handed, turn, runtime):
    """It is cut off after the write timeout."""
    client = handed(client=Client(buffer=4096), options=OPTIONS.replace({"write_timeout": 5.0}))
    publish(hub, 0, 50, size=2000)
    turn()
    runtime.advance(4.9)
    assert statistics().open == 1
    runtime.advance(0.2)
    assert statistics().closed == {CloseReason.CLIENT_GONE: 1}
    client.pull()
    assert client.raw
    assert client.has_ended


def test_lifetime(handed, runtime, turn):
    """It ends after its lifetime, so that the client reconnects."""
    client = handed(options=OPTIONS.replace({"lifetime": 100.0}))
    runtime.advance(79)
    turn()
    assert statistics().open == 1
    runtime.advance(21.5)
    turn()
    client.read()
    assert (client.raw, client.has_ended) == (b"", True)  # No last chunk: it shall come back.
    assert statistics().closed == {CloseReason.LIFETIME_OVER: 1}


@pytest.mark.parametrize("for_good", [True, False])
def test_disconnect(hub, handed, turn, for_good):
    """It ends with what the page is told, and nobody else does."""
    ann = handed(user_stream=hub.users.expect(user="ann", channels=("a",)))
    bob = handed(user_stream=hub.users.expect(user="bob", channels=("a",)))
    hub.disconnect(user="ann", reason="bye", for_good=for_good)
    publish(hub, 0)
    turn()
    *_, last = ann.read()
    assert (last.event, last.data) == (
        "stream-end" if for_good else "stream-disconnect",
        "bye",
    )
    assert (last.id == END_ID) is for_good
    assert ann.has_ended
    assert bob.numbers() == [0]
    assert statistics().closed == {CloseReason.DISMISSED: 1}
    assert len(hub.users._open) == 1


def test_presence(hub, handed, turn, runtime):
    """A user is present as long as the connection is."""
    ann = Presence("ann", grace=0.0)
    client = handed(user_stream=hub.users.expect(user="ann", channels=("a",), presence=ann))
    assert [present.user for present in hub.present("a")] == ["ann"]
    client.socket.close()
    turn()
    runtime.advance(1)
    assert hub.present("a") == []


def test_server_stops(hub, handed, turn, runtime):
    """Everybody is told when to reconnect; who does not read is dropped after a second."""
    clients = [handed() for _ in range(20)]
    stuck = handed(client=Client(buffer=4096))
    publish(hub, 0, 20, size=2000)
    turn()
    from sse_sync.streams.registry import registry

    registry().end_all(CloseReason.SERVER_STOPPING)
    turn()
    times = set()
    for client in clients:
        client.read()
        assert client.has_ended
        times.add(int(client.body.split(b"retry: ")[-1]))
    assert len(times) > 10
    assert all(2000 <= time <= 4000 for time in times)
    assert statistics().open == 1
    runtime.advance(1.1)
    turn()
    assert statistics().open == 0
    stuck.socket.close()


def members(hub):
    (fanout,) = hub.dispatcher.shared.values()
    return list(fanout._recipients)


def hold_begin(member):
    """Take the job that begins with a connection out of the reactor, and return it."""
    jobs = member._reactor._jobs
    (job,) = [job for job in jobs if getattr(job, "func", None) == member.begin]
    jobs.remove(job)
    return job


def test_what_ends_has_no_gap(hub, handed, turn):
    """A connection that ends before it begins drops events, and sends none of those after them."""
    handed()
    client = handed(settle=False)
    connection = members(hub)[-1]
    begin = hold_begin(connection)
    publish(hub, 0)
    connection.end_with(End(CloseReason.DISMISSED))
    publish(hub, 1)
    turn()
    connection._reactor.call_soon(begin)
    publish(hub, 2)
    turn()
    assert client.numbers() in ([], [0], [0, 1], [0, 1, 2])
    assert client.read()[-1].event == "stream-disconnect"


def test_mailbox_that_overflows_before_it_begins(hub, handed, turn):
    """Nothing is dropped silently."""
    handed(max_bytes=400)
    client = Client()
    client.on_take = lambda: publish(hub, 0)
    handed(client=client, max_bytes=400, settle=False)
    begin = hold_begin(members(hub)[-1])
    publish(hub, 1)
    publish(hub, 2, size=600)
    turn()
    members(hub)[-1]._reactor.call_soon(begin)
    turn()
    publish(hub, 3)
    turn()
    assert client.numbers() == [0, 1]
    assert client.has_ended


def test_socket_that_is_full_from_the_beginning(hub, handed, turn):
    """Its client has as much time as any other."""
    client = Client(buffer=1)
    with contextlib.suppress(BlockingIOError):
        while True:
            client.ours.send(b"x" * 4096)
    handed(client=client, tell_degraded=True, settle=False)
    begin = hold_begin(members(hub)[-1])
    hub.dispatcher.degraded("away")
    turn()
    members(hub)[-1]._reactor.call_soon(begin)
    turn()
    assert statistics().open == 1


def test_slow_client_that_reads_all_the_time(hub, handed, turn, runtime):
    """Each part of its pending bytes has its own deadline."""
    client = handed(client=Client(buffer=4096))
    publish(hub, 0, 900, size=1000)
    turn()
    for _ in range(60):
        runtime.now += 1
        for _ in range(8):
            client.pull(4000)
            turn(2)
    assert client.numbers() == list(range(900))
    assert statistics().open == 1


def test_application_ends_it(hub, handed, turn):
    """The holder of the response can still end the stream."""
    for reconnect in (True, False):
        client = Client()
        environ = {"SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
        list(stream)
        stream.close()
        turn()
        stream.end(reconnect=reconnect)
        turn()
        assert [event.event for event in client.read()] == ([] if reconnect else ["stream-end"])
        assert client.has_ended
        client.socket.close()
    assert statistics().closed == {CloseReason.CLOSED: 2}


def test_application_ends_it_after_an_overflow(hub, handed, turn):
    """The client lacks some of what was published before, and comes back for it."""
    slow = handed(client=Client(buffer=4096), max_events=5)
    (connection,) = members(hub)
    for first in (0, 20):
        publish(hub, first, 20, size=2000)
        turn()
    connection.end_with(End(CloseReason.CLOSED, final=True))
    for _ in range(20):
        slow.pull()
        turn()
    assert slow.has_ended
    found = slow.numbers()
    assert found == list(range(len(found)))
    assert statistics().closed == {CloseReason.OVERFLOWED: 1}


def test_goodbyes_of_many(hub, handed, turn, runtime):
    """The reactor writes some of them in each turn."""
    for _ in range(300):
        handed(settle=False, user_stream=hub.users.expect(channels=("a",)))
    turn()
    now = iter(range(10**9))
    runtime.reactor.clock = lambda: next(now) * 0.0001
    hub.disconnect(channel="a")
    seen = []
    for _ in range(5):
        runtime.reactor.poll()
        seen.append(statistics().open)
    runtime.reactor.clock = lambda: runtime.now
    assert 0 < seen[0] < 300
    assert seen == sorted(seen, reverse=True)
    turn(1000)
    assert statistics().open == 0


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (End(CloseReason.CLOSED), End(CloseReason.DISMISSED, True, "banned"), []),
        (
            End(CloseReason.DISMISSED, False, "go"),
            End(CloseReason.CLOSED, True),
            [("stream-disconnect", "go", False)],
        ),
        (
            End(CloseReason.DISMISSED, True, "banned"),
            End(CloseReason.SERVER_STOPPING),
            [("stream-end", "banned", True)],
        ),
        (End(CloseReason.LIFETIME_OVER), End(CloseReason.FAILED), []),
    ],
)
def test_first_end_counts(hub, handed, turn, first, second, expected):
    """Two requests to end a connection never combine into an end that nobody asked for."""
    client = handed()
    (connection,) = members(hub)
    connection.end_with(first)
    connection.end_with(second)
    turn()
    got = [(event.event, event.data, event.id == END_ID) for event in client.read()]
    assert got == expected
    assert client.has_ended
    assert statistics().closed == {first.reason: 1}


def test_end_of_a_client_that_has_left(hub, handed, turn):
    """A client that is found gone before its end is written counts as dismissed all the same."""
    client = handed()
    (connection,) = members(hub)
    connection.end_with(End(CloseReason.DISMISSED, True, "banned"))
    client.socket.close()
    turn()
    assert statistics().closed == {CloseReason.DISMISSED: 1}


def finish(hub, number, event="done"):
    """Publish the event that ends streams, and one that comes too late."""
    publish(hub, number, event=event)
    publish(hub, number + 1)


def done(client):
    """Return how many events, and bytes, a client got with the event that ended its stream."""
    events, size = received(client)
    return events + 1, size


def got(client):
    """Return the numbers that a client got, and the kind of the last event."""
    found = client.read()
    return [int(event.data) for event in found if event.data], found[-1].event


@pytest.mark.parametrize("reconnect", [True, False])
def test_until(hub, handed, turn, caplog, reconnect):
    """Clients get the event, and the end; others of the channel stay."""
    caplog.set_level("INFO", "sse_sync")
    options = OPTIONS.replace({"reconnect": reconnect})
    clients = [handed(until="done", options=options) for _ in range(3)]
    other = handed(options=options)
    publish(hub, 0, 2)
    finish(hub, 2)
    turn()
    for client in clients:
        assert got(client) == ([0, 1, 2], "done" if reconnect else "stream-end")
        assert client.has_ended
        assert client.raw.endswith(b"0\r\n\r\n") != reconnect
    assert got(other)[0] == [0, 1, 2, 3]
    assert (statistics().open, statistics().closed) == (1, {CloseReason.FINISHED: 3})
    assert logged(caplog) == [done(client) for client in clients]


@pytest.mark.parametrize("client", [Client, lambda **how: Client(chunked=False, **how)])
def test_until_for_a_slow_client(hub, handed, turn, caplog, client):
    """It first gets everything that it has not read yet; then the event, and the end."""
    caplog.set_level("INFO", "sse_sync")
    slow = handed(client=client(buffer=4096), until="done")
    publish(hub, 0, 30, size=2000)
    turn()
    finish(hub, 30)
    turn()
    publish(hub, 32)
    # Nobody else is left, and it needs the hub no more.
    assert hub.statistics().subscriptions == 0
    assert statistics().open == 1
    for _ in range(200):
        slow.pull(500)
        turn(2)
    assert got(slow) == ([*range(31)], "stream-end")
    assert slow.has_ended
    assert statistics().closed == {CloseReason.FINISHED: 1}
    assert logged(caplog) == [done(slow)]


def test_until_for_a_client_that_is_too_slow(hub, handed, turn):
    """If it lacks the event, it has not finished: it comes back for it."""
    slow = handed(client=Client(buffer=4096), until="done", max_events=5)
    publish(hub, 0, 30, size=2000)
    turn()
    publish(hub, 30, 30, size=2000)
    finish(hub, 60)
    turn()
    for _ in range(200):
        slow.pull(5000)
        turn(2)
    found = got(slow)[0]
    assert found == list(range(len(found)))
    assert statistics().closed == {CloseReason.OVERFLOWED: 1}


def test_until_for_a_client_that_does_not_read(hub, handed, turn, runtime):
    """It is cut off after the write timeout, like any other."""
    handed(client=Client(buffer=4096), until="done", options=OPTIONS.replace({"write_timeout": 5}))
    publish(hub, 0, 30, size=2000)
    finish(hub, 30)
    turn()
    runtime.advance(6)
    turn()
    assert statistics().closed == {CloseReason.CLIENT_GONE: 1}


def test_until_while_the_server_stops(hub, handed, turn):
    """Whoever has not got everything yet has to come back."""
    slow = handed(client=Client(buffer=4096), until="done")
    publish(hub, 0, 30, size=2000)
    finish(hub, 30)
    turn()
    registry().end_all(CloseReason.SERVER_STOPPING)
    for _ in range(100):
        slow.pull(5000)
        turn(2)
    assert "stream-end" not in [event.event for event in slow.read()]
    assert statistics().closed == {CloseReason.SERVER_STOPPING: 1}


@pytest.mark.parametrize("earlier", [0, 3])
def test_until_during_a_hand_off(hub, handed, turn, caplog, earlier):
    """The event may arrive between the request and the fan-out."""
    caplog.set_level("INFO", "sse_sync")
    others = [handed(until="done") for _ in range(2)]
    client = Client()

    def on_take():
        publish(hub, 0, earlier)
        finish(hub, earlier)

    client.on_take = on_take
    handed(client=client, until="done")
    for each in (*others, client):
        assert got(each) == ([*range(earlier + 1)], "stream-end")
    assert statistics().closed == {CloseReason.FINISHED: 3}
    assert logged(caplog) == sorted(map(done, (*others, client)))


def read_slowly(client, turn):
    for _ in range(200):
        client.pull(5000)
        turn(2)


def test_application_ends_one_that_is_too_slow(hub, handed, turn):
    """It ends, and the client, which lacks events, comes back for them."""
    slow = handed(client=Client(buffer=4096), max_events=5)
    publish(hub, 0, 30, size=2000)
    turn()
    publish(hub, 30, 30, size=2000)
    turn()
    (connection,) = members(hub)
    connection.end_with(End(CloseReason.CLOSED, final=True))
    read_slowly(slow, turn)
    assert slow.has_ended
    assert "stream-end" not in [event.event for event in slow.read()]
    assert statistics().closed == {CloseReason.OVERFLOWED: 1}


def test_application_ends_one_that_finishes(hub, handed, turn):
    """The client gets the event that ends its stream all the same."""
    slow = handed(client=Client(buffer=4096), until="done")
    publish(hub, 0, 30, size=2000)
    turn()
    (connection,) = members(hub)
    publish(hub, 30, 10, size=2000)
    finish(hub, 40)
    turn()
    connection.end_with(End(CloseReason.CLOSED, final=True))
    read_slowly(slow, turn)
    assert got(slow) == ([*range(41)], "stream-end")
    assert slow.has_ended


def test_application_ends_it_before_it_begins(hub, handed, turn):
    """It gets what was published before, and nothing after that."""
    handed()
    client = Client()
    client.on_take = lambda: publish(hub, 0)
    handed(client=client, settle=False)
    connection = members(hub)[-1]
    begin = hold_begin(connection)
    publish(hub, 1)
    turn()
    connection.end_with(End(CloseReason.CLOSED))
    publish(hub, 2)
    turn()
    connection._reactor.call_soon(begin)
    turn()
    assert client.numbers() == [0, 1]
    assert client.has_ended


def plain_stream(hub, turn, client, **arguments):
    limits = {name: arguments.pop(name) for name in ("max_events",) if name in arguments}
    environ = {"SERVER_SOFTWARE": "test", OFFER: client, "PATH_INFO": "/events"}
    stream = EventStream(
        Subscription(hub, ("a",), **limits),
        environ,
        options=Options(heartbeat=None),
        plain=True,
        **arguments,
    )
    b"".join(stream)
    stream.close()
    turn()
    return stream


def test_end_with_events_in_the_mailbox(hub, turn):
    """A body that lacks events must not end like a whole one."""
    with Client(buffer=4096) as client:
        stream = plain_stream(hub, turn, client)
        for first in range(0, 50, 10):
            publish(hub, first, 10, size=2000)
            turn()
        stream.end()
        for _ in range(300):
            client.pull()
            turn(2)
        got = client.numbers()
        is_whole = client.raw.endswith(b"0\r\n\r\n")
        assert client.has_ended
        assert got == list(range(50)) or not is_whole, (len(got), is_whole)


def test_error_events_are_not_asked_for_without_a_failure(hub, turn):
    """error= is told of failures, and of nothing else."""
    told = []
    with Client() as client:
        stream = plain_stream(hub, turn, client, error=lambda failure: told.append(failure.reason))
        stream.end()
        turn()
        assert told == []


@pytest.mark.parametrize("write_timeout", [5.0, None])
def test_client_that_acknowledges_nothing(hub, handed, turn, runtime, monkeypatch, write_timeout):
    """Whoever is to be reset after its last bytes is waited for, but not for ever."""
    monkeypatch.setattr("sse_sync.streams.handoff.ending.is_acknowledged", lambda fd: False)
    options = OPTIONS.replace({"write_timeout": write_timeout, "lifetime": 1.0})
    client = handed(client=Client(chunked=False), options=options)
    runtime.advance(4)
    assert statistics().open == 1
    client.read()
    assert not client.has_ended
    runtime.advance(3 if write_timeout else 60)
    client.read()
    assert client.has_ended
    assert statistics().closed == {CloseReason.LIFETIME_OVER: 1}
