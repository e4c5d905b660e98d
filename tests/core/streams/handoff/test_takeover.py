"""How a stream leaves its request: all of it, once, or not at all."""

import socket
import threading
from functools import partial

import pytest

from sse_sync import CloseReason, EventStream, EventStreamParser, statistics
from sse_sync.channels.subscription import Subscription
from sse_sync.closing import End
from sse_sync.streams import stream as stream_module
from sse_sync.streams.handoff.connection import HandoffConnection
from sse_sync.streams.handoff.fanout import Fanout
from sse_sync.streams.handoff.takeover import OFFER
from tests.core.streams.handoff.clients import OPTIONS, Client, publish


@pytest.mark.parametrize(
    ("refusal", "filter", "on_close"),
    [
        ("something has changed what was sent", None, None),
        ("", lambda event, key, meta: True, None),
        ("", None, lambda reason: None),
    ],
)
def test_stays_with_its_request(hub, runtime, refusal, filter, on_close):
    """A stream that cannot be handed off works like any other."""
    subscription = Subscription(hub, ("a",), filter=filter)
    with Client(refusal=refusal) as client:
        environ = {"SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(subscription, environ, options=OPTIONS, on_close=on_close)
        assert next(stream).startswith(b":\nretry: 1000")
        assert b"stream-open" in next(stream)
        runtime.reactor.call_at(runtime.now + 1, lambda now: publish(hub, 7))
        assert b"data: 7" in next(stream)
        assert statistics().handed_off == 0
        stream.close()


@pytest.mark.parametrize("received", [False, True])
@pytest.mark.parametrize("filter", [None, lambda event, key, meta: True])
def test_who_stays_is_watched(hub, runtime, handed, received, filter):
    """The disconnect of a stream that kept its request is noticed."""
    if received:
        handed()
    ours, theirs = socket.socketpair()
    with ours, Client(refusal="no") as client:
        environ = {"gunicorn.socket": ours, "SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(Subscription(hub, ("a",), filter=filter), environ, options=OPTIONS)
        assert b"stream-open" in next(stream) + (b"" if received else next(stream))
        runtime.reactor.call_at(runtime.now + 1, lambda now: theirs.close())
        assert list(stream) == []
        stream.close()
    assert statistics().closed[CloseReason.CLIENT_GONE] == 1


def test_no_room_for_those_that_stay(hub, runtime, monkeypatch):
    """A stream that unexpectedly keeps its request must not fill the server."""
    monkeypatch.setattr("sse_sync.streams.admission.Admission.is_over", lambda *arguments: True)
    with Client(refusal="no") as client:
        environ = {"SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
        *_, last = stream
        assert int(last.split()[-1]) >= 30_000
        stream.close()
    assert statistics().open == 0
    assert statistics().closed == {CloseReason.NO_ROOM: 1}


def test_nothing_is_lost_while_it_is_handed_off(hub, handed, turn):
    """Events during the hand-off arrive, once and in order."""
    handed()
    client = Client()
    client.on_take = lambda: publish(hub, 0, 3)
    handed(client=client, settle=False)
    publish(hub, 3, 3)
    turn(1)
    publish(hub, 6, 3)
    turn()
    publish(hub, 9)
    turn()
    assert client.numbers() == list(range(10))


def test_disconnect_while_it_is_handed_off(hub, handed, turn):
    """A disconnect during the hand-off is not missed."""
    client = Client()
    client.on_take = lambda: hub.disconnect(user="ann")
    handed(client=client, user_stream=hub.users.expect(user="ann", channels=("a",)))
    assert [event.event for event in client.read()] == ["stream-disconnect"]


def test_who_ends_it_meanwhile(hub, runtime, turn):
    """A stream that is ended during the hand-off ends."""
    client = Client()
    environ = {"SERVER_SOFTWARE": "test", OFFER: client}
    stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
    client.on_take = lambda: stream.end_with(End(CloseReason.SERVER_STOPPING))
    list(stream)
    stream.close()
    turn()
    client.read()
    assert b"retry: " in client.body
    assert statistics().open == 0
    client.socket.close()


def test_end_during_the_hand_off_leaves_no_gap(hub, handed, turn):
    """A client whose stream ends during the hand-off gets no event after one that it lacks."""
    handed()
    client = Client()
    user_stream = hub.users.expect(user="ann", channels=("a",))

    def meanwhile():
        hub.reauthorize(user="ann")
        publish(hub, 1)

    client.on_take = meanwhile
    handed(client=client, settle=False, user_stream=user_stream)
    publish(hub, 2)
    turn()
    assert client.numbers() in ([], [1], [1, 2])
    assert client.read()[-1].event == "stream-disconnect"


def test_end_while_it_misses_something(hub, runtime, turn):
    """Ended by its application, but without all that was published before: it comes back."""
    client = Client()
    environ = {"SERVER_SOFTWARE": "test", OFFER: client}
    stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)

    def meanwhile():
        hub.dispatcher.interrupted()
        stream.end()

    client.on_take = meanwhile
    list(stream)
    stream.close()
    turn()
    assert client.read() == []
    assert client.has_ended
    assert statistics().closed == {CloseReason.INTERRUPTED: 1}
    client.socket.close()


class Gate:
    """A lock at which one thread has to wait."""

    def __init__(self, lock):
        self.lock = lock
        self.waits, self.opens = threading.Event(), threading.Event()

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            self.waits.set()
            assert self.opens.wait(10)
        return self.lock.__enter__()

    def __exit__(self, *exc_info):
        return self.lock.__exit__(*exc_info)


def test_thread_that_ends_it_meanwhile(hub, runtime, turn, monkeypatch):
    """A thread that ends a stream during its hand-off ends the connection that it has become."""
    client = Client()
    environ = {"SERVER_SOFTWARE": "test", OFFER: client}
    stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
    gate = Gate(stream_module._lock)
    monkeypatch.setattr(stream_module, "_lock", gate)
    thread = threading.Thread(target=stream.end)

    def meanwhile():
        thread.start()
        assert gate.waits.wait(10)

    client.on_take = meanwhile
    list(stream)
    gate.opens.set()
    thread.join(10)
    stream.close()
    turn()
    client.read()
    assert client.has_ended
    assert statistics().closed == {CloseReason.CLOSED: 1}
    client.socket.close()


def test_namespace_is_not_kept(hub, handed):
    """Nothing of the request is kept alive."""
    import gc
    import weakref

    def snapshot():
        return ["state"]

    handed(snapshot=snapshot)
    reference = weakref.ref(snapshot)
    del snapshot
    gc.collect()
    assert reference() is None


def test_history_that_is_ahead_of_the_process(hub, broker, handed, turn):
    """An event that the client already got from the history is not repeated."""
    other = handed()
    publish(hub, 0)
    turn()
    at = hub.position()
    broker._subscribed.clear()
    publish(hub, 1, 2)
    client = handed(last_event_id=str(at))
    assert b"data: 1\n" in client.head
    hub.dispatcher.receive(hub.history(("a",), at).messages)
    turn()
    assert client.numbers() == []
    broker._subscribed.add("a")
    publish(hub, 3, 2)
    turn()
    assert client.numbers() == [3, 4]
    assert other.numbers() == list(range(5))


def test_history_that_the_process_receives_during_the_hand_off(hub, broker, handed, turn):
    """What the history gave is not sent again when the process receives it just then."""
    other = handed()
    publish(hub, 0)
    turn()
    at = hub.position()
    broker._subscribed.clear()
    publish(hub, 1, 2)
    client = Client()
    client.on_take = lambda: hub.dispatcher.receive(hub.history(("a",), at).messages)
    handed(client=client, last_event_id=str(at))
    assert b"data: 2\n" in client.head
    assert client.numbers() == []
    broker._subscribed.add("a")
    publish(hub, 3)
    turn()
    assert client.numbers() == [3]
    assert other.numbers() == [0, 1, 2, 3]


@pytest.fixture
def ahead(hub, broker, handed, turn, monkeypatch):
    """A fan-out that has resumed from the history; returns the event that its process lacks."""
    other = handed()
    publish(hub, 0)
    turn()
    history, found = hub.history, []

    def with_another(*arguments):
        # Published after the process subscribed again, and not received yet.
        broker._subscribed.clear()
        publish(hub, 1)
        found.append(history(*arguments))
        return found[-1]

    with monkeypatch.context() as patch:
        patch.setattr(hub, "history", with_another)
        hub.dispatcher.interrupted()
        turn()
    assert other.numbers() == [0, 1]
    broker._subscribed.add("a")
    return found[-1].messages[-1:]


def test_joining_a_fanout_that_is_ahead(hub, handed, turn, ahead, monkeypatch):
    """Whoever started before an event that the fan-out has already sent waits for it."""
    monkeypatch.setattr("time.sleep", lambda seconds: hub.dispatcher.receive(ahead))
    client = handed()
    assert client.numbers() == [1]
    publish(hub, 2)
    turn()
    assert client.numbers() == [1, 2]


def test_fanout_that_stays_ahead(hub, ahead, monkeypatch, turn):
    """A stream stays with its request where what it lacks does not come, and loses nothing."""
    monkeypatch.setattr("sse_sync.channels.dispatcher.DELIVERY_PATIENCE", 0)
    with Client() as client:
        environ = {"SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
        assert b"stream-open" in next(stream)
        monkeypatch.setattr(
            "sse_sync.channels.subscription.ChannelFeed.wait",
            lambda self: hub.dispatcher.receive(ahead),
        )
        assert next(stream).endswith(b"data: 1\n\n")
        stream.close()
    assert statistics().handed_off == 1


def test_event_that_the_feed_gets_first(hub, handed, turn, monkeypatch):
    """The feed sends an event before the fan-out has it."""
    client = Client()
    environ = {"SERVER_SOFTWARE": "test", OFFER: client}
    stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
    sent = [next(stream), next(stream)]
    handed()
    put, there, goes_on = Fanout.put, threading.Event(), threading.Event()

    def slow(self, message):
        there.set()
        assert goes_on.wait(5)
        put(self, message)

    monkeypatch.setattr(Fanout, "put", slow)
    publisher = threading.Thread(target=publish, args=(hub, 1))
    publisher.start()
    assert there.wait(5)
    sent.append(next(stream))
    threading.Timer(0.02, goes_on.set).start()
    sent += stream
    stream.close()
    publisher.join(5)
    turn()
    assert b"".join(sent).count(b"data: 1\n") == 1
    assert client.numbers() == []
    client.socket.close()


def test_killed_while_it_is_handed_off(hub, handed, turn, monkeypatch):
    """Nothing is left of the connection."""
    keep = handed()
    client = Client()
    environ = {"SERVER_SOFTWARE": "test", OFFER: client}
    stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(HandoffConnection, "join", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(stream)
    stream.close()
    turn()
    client.read()
    assert client.has_ended
    client.socket.close()
    assert statistics().open == 1
    keep.socket.close()
    turn()
    assert hub.dispatcher.shared == {}


def test_no_more_descriptors(hub, runtime, turn):
    """The stream keeps its request, and nothing is left of the fan-out."""

    def fails(let_go):
        raise OSError(24, "Too many open files")

    with Client() as client:
        client.take = fails
        environ = {"SERVER_SOFTWARE": "test", OFFER: client}
        stream = EventStream(Subscription(hub, ("a",)), environ, options=OPTIONS)
        next(stream)
        next(stream)
        runtime.reactor.call_at(runtime.now + 1, lambda now: publish(hub, 7))
        assert b"data: 7" in next(stream)
        assert hub.dispatcher.shared == {}
        stream.close()


@pytest.mark.parametrize("replay", [5, "all", "latest"])
def test_replay_before_a_hand_off(hub, handed, turn, replay):
    """A new client gets the history with its request, and what follows after that."""
    publish(hub, 0, 9)
    client = handed(replay=replay, max_bytes=50)
    publish(hub, 9, 3)
    turn()
    replayed = [int(event.data) for event in EventStreamParser().feed(client.head) if event.data]
    assert replayed + client.numbers() == list(range(4 if replay == 5 else 0, 12))


def test_match_across_a_hand_off(hub, handed, turn):
    """Clients of different tenants are handed off, each to a fan-out that has its events alone."""

    def of_tenants(first):
        for number in range(first, first + 6):
            publish(hub, number, meta={"tenant": number % 3})

    clients = []
    for tenant in (1, 2):
        clients.append(Client())
        # What arrives during the hand-off is selected from, too.
        clients[-1].on_take = partial(of_tenants, 10 * tenant)
        handed(client=clients[-1], match={"tenant": tenant})
    of_tenants(30)
    turn()
    assert clients[0].numbers() == [10, 13, 22, 25, 31, 34]
    assert clients[1].numbers() == [20, 23, 32, 35]


def test_event_that_ended_others(hub, broker, handed, turn):
    """A client whose replay began after an event is not ended because others get it later."""
    other = handed(until="done")
    start, receiver, broker._receiver = hub.position(), broker._receiver, None
    publish(hub, 0, event="done")
    publish(hub, 1)
    client = handed(until="done", replay=1)
    assert client.head.count(b"\ndata: 1\n") == 1
    broker._receiver = receiver
    receiver.receive(hub.history(["a"], start).messages)
    publish(hub, 2)
    publish(hub, 3, event="done")
    turn()
    events = [[event.data for event in each.read() if event.data] for each in (other, client)]
    assert events == [["0"], ["2", "3"]]
    assert client.has_ended
