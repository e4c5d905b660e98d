"""Whose streams there are, and ending them."""

import pytest

from sse_sync import END_ID, CloseReason, ConfigurationError, ServerSentEvent, statistics
from sse_sync.channels.presence import Presence
from sse_sync.channels.subscription import Subscription
from sse_sync.settings import Options
from sse_sync.testing import read_events
from tests.core.channels.owned import OPTIONS, ends, generated, hubs, is_open, opened, started


@pytest.fixture
def make_hub(runtime):
    with hubs(runtime) as make:
        yield make


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


def test_reauthorize(hub):
    """The client has to come back, and is asked in its request."""
    stream, other = opened(hub, user="ann"), opened(hub, user="bob")
    hub.reauthorize(user="ann")
    assert ends(stream).event == "stream-disconnect"
    assert is_open(hub, other)
    other.close()
