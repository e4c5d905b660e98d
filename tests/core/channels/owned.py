"""Streams that are somebody's, and what their clients read."""

import contextlib

from sse_sync import EventStream
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.channels.subscription import Subscription
from sse_sync.settings import Options
from sse_sync.testing import read_events

SERVED = {"SERVER_SOFTWARE": "test"}
OPTIONS = Options(heartbeat=None)


@contextlib.contextmanager
def hubs(runtime):
    """Make hubs that have the runtime's clock, and sleep by it; close them at the end."""
    with contextlib.ExitStack() as stack:

        def make(broker=None, **arguments):
            broker = broker or MemoryBroker(now=lambda: runtime.now)
            clock = arguments.pop("clock", lambda: runtime.now)
            sleep = arguments.pop("sleep", runtime.sleep)
            return stack.enter_context(Hub(broker, clock=clock, sleep=sleep, **arguments))

        yield make


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
