"""Limits per user and per address."""

import gc

import pytest

from sse_sync import EventStream, statistics
from sse_sync.channels.subscription import Subscription
from tests.core.channels.owned import SERVED, hubs, opened, started


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


def test_places_are_taken_once(hub, runtime, monkeypatch):
    """Who must be told before the stream opens whether it may has taken its places already."""
    asked, count = [], hub._broker.presence.count

    def counted(name, own, limit):
        asked.append(name)
        return count(name, own, limit)

    monkeypatch.setattr(hub._broker.presence, "count", counted)
    first, second = (hub.users.expect(user="ann", limits=[("user", 1)]) for _ in range(2))
    assert first.take_places()
    assert asked == ["user"]
    assert not second.take_places()
    asked.clear()
    stream = started(iter("a"), first, SERVED)
    assert asked == []
    stream.close()
    runtime.run_ready()
    assert hub.users.presence.tracker._counts.get("user", 0) == 0


@pytest.mark.parametrize("then", ["another stream", "a while"])
def test_places_of_a_stream_that_is_dropped(hub, runtime, then):
    """A response that middleware replaces, so that nothing ever closes it, blocks no place."""
    dropped = hub.users.expect(user="ann", limits=[("user", 1)])
    assert dropped.take_places()
    del dropped
    gc.collect()
    if then == "another stream":
        opened(hub, user="ann", limits=[("user", 1)]).close()
    else:
        hub.users.review()
    runtime.run_ready()
    assert hub.users.presence.tracker._counts.get("user", 0) == 0


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
