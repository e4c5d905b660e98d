"""Who is present, as streams come and go."""

import pytest

from sse_sync.channels.presence import Presence
from sse_sync.channels.subscription import Subscription
from sse_sync.testing import read_events
from tests.core.channels.owned import hubs, is_open, opened, started


@pytest.fixture
def make_hub(runtime):
    with hubs(runtime) as make:
        yield make


def test_review_never_fails(hub, monkeypatch):
    """The sweep may be postponed; it must not disturb event delivery."""
    stream = opened(hub, user="ann")
    monkeypatch.setattr(hub._broker.presence, "sweep", lambda: 1 / 0)
    hub.dispatcher.review()
    assert is_open(hub, stream)
    stream.close()


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


def test_closed_hub_rests(make_hub, runtime, caplog, monkeypatch):
    """A hub that was closed while streams are open does nothing any more, and says nothing."""

    hub, calls = make_hub(), []
    stream = opened(hub, presence=Presence("ann"))
    store = hub._broker.presence
    report = store.report
    monkeypatch.setattr(store, "report", lambda *given: calls.append(given) or report(*given))
    runtime.advance(30)
    assert len(calls) > 5
    hub.close()
    calls.clear()
    runtime.advance(60)
    assert len(calls) <= 1
    assert "failed" not in caplog.text
    assert hub.users.presence.task.is_idle
    stream.close()
