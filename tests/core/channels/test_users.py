"""Users' streams: ending, reauthorizing and counting them, and presence."""

import contextlib
import threading

import pytest

from sse_sync import (
    END_ID,
    CloseReason,
    ConfigurationError,
    EventStream,
    ServerSentEvent,
    statistics,
)
from sse_sync.brokers.base import Publication
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.control import SUBSCRIBE_AGAIN
from sse_sync.channels.hub import Hub
from sse_sync.channels.presence import Presence
from sse_sync.channels.subscription import Subscription
from sse_sync.closing import End
from sse_sync.exceptions import BrokerClosed, BrokerUnavailable
from sse_sync.settings import Options
from sse_sync.testing import read_events

SERVED = {"SERVER_SOFTWARE": "test"}
OPTIONS = Options(heartbeat=None)


@pytest.fixture
def make_hub(runtime):
    with contextlib.ExitStack() as stack:

        def make_hub(broker=None, **people):
            broker = broker or MemoryBroker(now=lambda: runtime.now)
            clock = people.pop("clock", lambda: runtime.now)
            return stack.enter_context(Hub(broker, clock=clock, **people))

        yield make_hub


@pytest.fixture
def hub(make_hub):
    return make_hub()


@pytest.fixture(params=[{}, SERVED], ids=["inline", "beside"])
def environ(request):
    """In a test client, and on a server."""
    return request.param


def opened(hub, *channels, environ=SERVED, user=None, presence=None, limits=(), **arguments):
    """An open stream of channels, whose first event has been read."""
    channels = channels or ("a",)
    if presence is not None:
        user = presence.user
    user_stream = hub.users.expect(user=user, channels=channels, presence=presence, limits=limits)
    stream = started(
        Subscription(hub, channels, user_stream=user_stream), user_stream, environ, **arguments
    )
    assert [event.event for event in read_events(stream, 1)] == ["stream-open"]
    return stream


def generated(hub, user, source=None, environ=SERVED, **arguments):
    """An open stream of a generator."""
    source = iter(["x", *("y" * 1000)]) if source is None else source
    return started(source, hub.users.expect(user=user), environ, **arguments)


def started(source, user_stream, environ, options=OPTIONS, **arguments):
    stream = EventStream(
        source, dict(environ), user_stream=user_stream, options=options, **arguments
    )
    read_events(stream, 0)
    return stream


def ends(stream):
    """Return a stream's last event."""
    (*_, last) = read_events(stream)
    stream.close()
    return last


def is_open(hub, stream, channel="a"):
    """Return whether events still arrive."""
    published = hub.publish(channel, "ping")
    while (event := read_events(stream, 1)) and event[0].id != published:
        assert event[0].event in ("stream-open", None), event
    return bool(event)


def test_disconnect_a_user(hub, environ):
    """All streams of the user end, and nobody else's."""
    anns = [opened(hub, name, environ=environ, user="ann") for name in ("a", "b")]
    bob = opened(hub, environ=environ, user="bob")
    nobody = opened(hub, environ=environ)
    hub.disconnect(user="ann", reason="logged out")
    for stream in anns:
        last = ends(stream)
        assert (last.event, last.data) == ("stream-disconnect", "logged out")
        assert last.id != END_ID
    for stream in (bob, nobody):
        assert is_open(hub, stream)
        stream.close()
    assert statistics().closed[CloseReason.DISMISSED] == 2


def test_disconnect_a_channel(hub, environ):
    """All streams of the channel end."""
    one, both = opened(hub, "a", environ=environ), opened(hub, "b", "a", environ=environ)
    other = opened(hub, "b", environ=environ)
    hub.disconnect(channel="a")
    assert ends(one).event == ends(both).event == "stream-disconnect"
    assert is_open(hub, other, "b")
    other.close()


def test_disconnect_who_is_shown(hub):
    """A user is found by presence, even if the stream is another user's."""
    stream = opened(hub, user="ann")
    (user_stream,) = hub.users._open
    user_stream.presence = Presence("alice")
    hub.disconnect(user="alice")
    user_stream.presence = None
    assert ends(stream).event == "stream-disconnect"


@pytest.mark.parametrize("reason", [7, "\ud800", "x" * 5000])
def test_unusable_reason(hub, reason):
    """An invalid reason is refused before any stream ends."""
    with pytest.raises(ConfigurationError, match="reason"):
        hub.disconnect(user="ann", reason=reason)


def test_disconnect_a_user_from_a_channel(hub, environ):
    """With both given, only streams that match both end."""
    hers = [opened(hub, name, environ=environ, user=7) for name in ("a", "b")]
    his = opened(hub, "a", environ=environ, user=8)
    hub.disconnect(user=7, channel="a")
    assert ends(hers[0]).event == "stream-disconnect"
    assert is_open(hub, hers[1], "b")
    assert is_open(hub, his)
    for stream in (*hers, his):
        stream.close()


@pytest.mark.parametrize("options", [OPTIONS, Options(heartbeat=None, reconnect=True)])
def test_disconnect_for_good(hub, environ, options):
    """The client is told to stop, and why."""
    stream = opened(hub, environ=environ, user="ann", options=options)
    hub.disconnect(user="ann", reason="kicked\nby bob", for_good=True)
    assert ends(stream) == ServerSentEvent("kicked\nby bob", event="stream-end", id=END_ID)


@pytest.mark.parametrize("for_good", [False, True])
def test_disconnect_a_generator(hub, environ, for_good, runtime):
    """Streams of generators are ended, too; the generator is closed."""
    closed = []

    def source():
        try:
            while True:
                yield "x"
        finally:
            closed.append(1)

    stream = generated(hub, "ann", source(), environ)
    assert read_events(stream, 1) == [ServerSentEvent("x")]
    hub.disconnect(user="ann", for_good=for_good)
    assert ends(stream).event == ("stream-end" if for_good else "stream-disconnect")
    runtime.run_ready()
    assert closed == [1]


def test_disconnected_clients_come_back_apart(hub):
    """Each client gets a reconnection time of its own."""
    streams = [opened(hub) for _ in range(20)]
    hub.disconnect(channel="a")
    times = {int(b"".join(stream).split(b"retry: ")[1].split(b"\n")[0]) for stream in streams}
    assert len(times) > 10
    assert all(3000 <= time <= 6000 for time in times)


def test_disconnect_before_the_stream_is_open(hub, environ):
    """An order that comes between a client's permission and its stream is not missed."""
    early = hub.users.expect(user="ann", channels=("a",))
    hub.disconnect(user="ann")
    late = hub.users.expect(user="ann", channels=("a",))
    first = started(Subscription(hub, ("a",), user_stream=early), early, environ)
    assert ends(first).event == "stream-disconnect"
    second = started(Subscription(hub, ("a",), user_stream=late), late, environ)
    assert is_open(hub, second)
    second.close()


def test_nothing_is_left(hub):
    """When all streams have ended, the hub leaves its control channel."""
    streams = [opened(hub, user="ann"), opened(hub)]
    assert hub.statistics().subscriptions == 2
    assert hub.dispatcher._subscribers["\x01orders"]
    for stream in streams:
        stream.close()
    assert not hub.users._open
    assert not hub.dispatcher._subscribers["\x01orders"]
    # Expected, but never opened: a refused client, or HEAD.
    hub.users.expect(user="ann")
    hub.users.review()
    assert not hub.dispatcher._subscribers["\x01orders"]


@pytest.mark.parametrize(
    "arguments", [{}, {"reason": "x"}, {"user": ""}, {"channel": "\x01orders"}, {"user": 1.5}]
)
def test_unusable_orders(hub, arguments):
    """Invalid calls are refused at once."""
    with pytest.raises(ConfigurationError):
        hub.disconnect(**arguments)
    with pytest.raises(ConfigurationError):
        hub.reauthorize(**{k: v for k, v in arguments.items() if k != "reason"})


def test_orders_cannot_be_forged(hub):
    """Neither the application nor a client can name the control channel."""
    with pytest.raises(ConfigurationError):
        hub.publish("\x01orders", "x")
    with pytest.raises(ConfigurationError):
        Subscription(hub, ("\x01orders",))


def test_broker_is_away(runtime, make_hub, caplog):
    """A generator's stream opens anyway, and the log says what does not work."""

    class Away(MemoryBroker):
        away = True

        def subscribe(self, channels):
            if self.away:
                raise BrokerUnavailable("test", "away")
            return super().subscribe(channels)

    broker = Away()
    hub = make_hub(broker)
    stream = generated(hub, "ann")
    assert "do not reach this one" in caplog.text
    broker.away = False
    # Without another stream.
    runtime.advance(SUBSCRIBE_AGAIN * 2)
    # Calls made meanwhile are not known, so everybody has to reconnect.
    assert ends(stream).event == "stream-disconnect"
    other = generated(hub, "bob")
    hub.disconnect(user="bob")
    assert ends(other).event == "stream-disconnect"


def test_one_who_fails_to_listen_disturbs_nobody(make_hub):
    """A failure of one waiting stream does not affect another."""

    class Slow(MemoryBroker):
        def subscribe(self, channels):
            began.set()
            assert goes_on.wait(10)
            return super().subscribe(channels)

    began, goes_on = threading.Event(), threading.Event()
    hub = make_hub(Slow())
    first = threading.Thread(target=lambda: user_streams.append(hub.users.expect(channels=("a",))))
    user_streams = []
    first.start()
    assert began.wait(10)
    control = hub.users._control
    control._subscribing = Impatient(control._subscribing)
    user_streams.append(hub.users.expect(channels=("a",)))
    goes_on.set()
    first.join(10)
    hub.disconnect(channel="a")
    assert [user_stream._end for user_stream in user_streams] == [End(CloseReason.DISMISSED)] * 2


def test_orders_that_were_missed(runtime, make_hub):
    """Once the control channel works again, the streams from before have to reconnect."""

    class Away(MemoryBroker):
        away, asked = True, 0

        def subscribe(self, channels):
            self.asked += 1
            if self.away:
                raise BrokerUnavailable("test", "away")
            return super().subscribe(channels)

    broker = Away()
    hub = make_hub(broker)
    ann = generated(hub, "ann")
    runtime.advance(SUBSCRIBE_AGAIN * 10)
    # It is retried, but not all the time.
    assert 5 < broker.asked < 20
    broker.away = False
    bob = generated(hub, "bob")
    assert ends(ann).event == "stream-disconnect"
    bob.close()


class Impatient:
    """A lock without waiting."""

    def __init__(self, lock):
        self.lock = lock

    def acquire(self, timeout):
        return self.lock.acquire(blocking=False)

    def release(self):
        self.lock.release()


def test_review_never_fails(hub, monkeypatch):
    """The sweep may be postponed; it must not disturb event delivery."""
    stream = opened(hub, user="ann")
    monkeypatch.setattr(hub._broker.presence, "sweep", lambda: 1 / 0)
    hub.dispatcher.review()
    assert is_open(hub, stream)
    stream.close()


# Asking again.


def test_reauthorize(hub):
    """The client has to come back, and is asked in its request."""
    stream, other = opened(hub, user="ann"), opened(hub, user="bob")
    hub.reauthorize(user="ann")
    assert ends(stream).event == "stream-disconnect"
    assert is_open(hub, other)
    other.close()


def test_interruption(hub):
    """An order may be missing, so whoever has a user has to come back."""
    ann, nobody = opened(hub, user="ann"), opened(hub)
    hub.dispatcher.interrupted()
    assert ends(ann).event == "stream-disconnect"
    assert is_open(hub, nobody)
    nobody.close()


def test_message_of_a_former_version(hub):
    """During a deploy, processes of both versions understand each other."""
    ann, bob = opened(hub, user="ann"), opened(hub, user="bob")
    meta = {"user": "ann", "channel": None}
    hub._broker.publish(Publication("\x01orders", b"", event="news", meta={}))
    hub._broker.publish(Publication("\x01orders", b"", event="reauthorize", meta=meta))
    assert ends(ann).event == "stream-disconnect"
    assert is_open(hub, bob)
    bob.close()


# Counting.


def test_limit(hub, environ):
    """A stream beyond the limit is told to reconnect much later; a free place is used."""
    limits = [("the user ann", 2), ("the address x", 5)]
    streams = [opened(hub, environ=environ, user="ann", limits=limits) for _ in range(2)]
    user_stream = hub.users.expect(user="ann", channels=("a",), limits=limits)
    refused = EventStream(
        Subscription(hub, ("a",), user_stream=user_stream), dict(environ), user_stream=user_stream
    )
    first = next(refused)
    assert first.startswith(b": too many streams of this user or address\nretry: ")
    assert int(first.split()[-1]) >= 30_000
    assert list(refused) == []
    refused.close()
    assert statistics().open == 2
    assert statistics().refused == 1
    streams.pop().close()
    streams.append(opened(hub, environ=environ, user="ann", limits=limits))
    for stream in streams:
        stream.close()
    assert set(hub.users.presence.tracker._counts.values()) <= {0}


def test_limit_gives_back_what_it_took(hub, runtime):
    """A stream refused by one limit does not count towards another."""
    one = opened(hub, user="ann", limits=[("address", 10), ("user", 1)])
    user_stream = hub.users.expect(user="ann", limits=[("address", 10), ("user", 1)])
    assert not user_stream.begin(one)
    runtime.run_ready()
    assert hub.users.presence.tracker._counts == {"address": 1, "user": 1}
    one.close()


def test_reload(hub, runtime):
    """A reloaded page may reconnect before its disconnect is noticed."""
    one = opened(hub, user="ann", limits=[("user", 1)])
    hub.users._surroundings.places._sleep = lambda seconds: one.close()
    opened(hub, user="ann", limits=[("user", 1)]).close()


def test_killed_while_it_asks(hub, monkeypatch):
    """Nothing is left of the stream."""

    class Killed(BaseException):
        pass

    def count(*arguments):
        raise Killed

    monkeypatch.setattr(hub._broker.presence, "count", count)
    user_stream = hub.users.expect(user="ann", channels=("a",), limits=[("user", 1)])
    stream = EventStream(
        Subscription(hub, ("a",), user_stream=user_stream), dict(SERVED), user_stream=user_stream
    )
    with pytest.raises(Killed):
        next(stream)
    stream.close()
    assert statistics().open == 0
    assert list(hub.users._open) == []


# Presence.


def announced(stream, limit):
    return [(e.event, e.data) for e in read_events(stream, limit) if e.event != "stream-open"]


def test_presence(hub, environ, runtime):
    """Tabs open and close; a user joins and leaves once."""
    watcher = opened(hub, environ=environ)
    ann = Presence("ann", {"name": "Ann"}, 5.0, ("join", "leave"))
    tabs = [opened(hub, environ=environ, presence=ann) for _ in range(3)]
    (present,) = hub.present("a")
    assert (present.user, present.info, present.since) == ("ann", {"name": "Ann"}, 1000.0)
    told = '{"user": "ann", "info": {"name": "Ann"}}'
    for tab in tabs:
        tab.close()
    runtime.advance(4)
    assert len(hub.present("a")) == 1
    runtime.advance(2)
    assert hub.present("a") == []
    assert announced(watcher, 2) == [("join", told), ("leave", told)]
    watcher.close()


def test_newcomer_sees_itself(hub, environ):
    """The snapshot already contains the user, and the announcement follows it."""
    presence = Presence("ann", announce=("join", "leave"))
    user_stream = hub.users.expect(user="ann", channels=("a",), presence=presence)
    subscription = Subscription(
        hub, ("a",), user_stream=user_stream, snapshot=lambda: [str(len(hub.present("a")))]
    )
    stream = started(subscription, user_stream, environ)
    assert [e.event or e.data for e in read_events(stream, 3)] == ["stream-open", "1", "join"]
    stream.close()


def test_reload_is_no_leave(hub, runtime):
    """A user who returns within the grace never left."""
    presence = Presence("ann", announce=("join", "leave"))
    watcher = opened(hub)
    for _ in range(5):
        stream = opened(hub, presence=presence)
        stream.close()
        runtime.advance(3)
    runtime.advance(10)
    hub.publish("a", "end")
    assert [event for event, _ in announced(watcher, 3)] == ["join", "leave", None]
    watcher.close()


def test_nobody_is_left(hub, runtime):
    """When everybody has left, nothing runs any more."""
    stream = opened(hub, presence=Presence("ann"))
    stream.close()
    runtime.advance(20)
    assert hub.present("a") == []
    assert not hub.users.presence.tracker._here
    assert hub.users.presence.task._signal is None
    assert hub.users.presence.tracker.flush() is None


def test_closed_hub_rests(make_hub, runtime, caplog):
    """A hub that was closed while streams are open does nothing any more, and says nothing."""

    class Closing(MemoryBroker):
        """Like Redis's, whose presence is closed with it."""

        def close(self):
            super().close()
            self.presence.report = self.presence.sweep = self.closed

        def closed(self, *args):
            calls.append(args)
            raise BrokerClosed

    calls = []
    hub = make_hub(Closing(now=lambda: runtime.now))
    stream = opened(hub, presence=Presence("ann"))
    hub.close()
    runtime.advance(60)
    assert len(calls) <= 1
    assert "failed" not in caplog.text
    stream.close()
