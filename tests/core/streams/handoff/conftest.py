"""A hub with a fake clock and real sockets, and streams of it that are handed off."""

import pytest

from sse_sync import EventStream, statistics
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.runtime.process import system_epoll
from sse_sync.runtime.reactor import Reactor
from sse_sync.streams.handoff.takeover import OFFER
from tests.core.channels.reading import subscribed
from tests.core.streams.handoff.clients import OPTIONS, Client


@pytest.fixture
def runtime(runtime):
    runtime.reactor = Reactor(system_epoll(), lambda: runtime.now)
    yield runtime
    runtime.reactor.abandon()


@pytest.fixture
def turn(runtime):
    def turn(times=30):
        for _ in range(times):
            runtime.run_ready()
            runtime.reactor.poll()

    return turn


@pytest.fixture
def broker(runtime):
    return MemoryBroker(now=lambda: runtime.now)


@pytest.fixture
def hub(runtime, broker):
    with Hub(broker, clock=lambda: runtime.now) as hub:
        yield hub


@pytest.fixture
def handed(hub, turn):
    """Open a stream and hand it off."""
    clients = []

    def handed(
        *channels,
        client=None,
        options=OPTIONS,
        user_stream=None,
        settle=True,
        plain=None,
        **arguments,
    ):
        client = client or Client()
        clients.append(client)
        channels = channels or ("a",)
        subscription = subscribed(hub, *channels, user_stream=user_stream, **arguments)
        environ = {"SERVER_SOFTWARE": "test", OFFER: client, "PATH_INFO": "/events"}
        stream = EventStream(
            subscription, environ, options=options, user_stream=user_stream, plain=plain
        )
        client.head = b"".join(stream)
        stream.close()
        assert statistics().handed_off
        if settle:
            turn()
        return client

    yield handed
    for client in clients:
        client.socket.close()
    turn()
    assert statistics().open == 0
