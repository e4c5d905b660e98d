"""Limits per user and per address."""

import pytest

from sse_sync import EventStream, statistics
from sse_sync.channels.subscription import Subscription
from tests.core.channels.owned import SERVED, hubs, opened


@pytest.fixture
def make_hub(runtime):
    with hubs(runtime) as make:
        yield make


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
