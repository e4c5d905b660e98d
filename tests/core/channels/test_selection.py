"""Where a new client starts, and which events of its channels it gets."""

import pytest

from sse_sync import ConfigurationError, ServerSentEvent, listen
from sse_sync.brokers.base import Position
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.selection import Selection
from tests.core.channels.reading import data, events, opened


@pytest.mark.parametrize("since", ["", "x", "1 2", 7, True, ["a-1"]])
def test_unusable_position(since):
    """The position comes from the application, so that a wrong one is its error."""
    with pytest.raises(ConfigurationError, match="since must be what position"):
        Selection.of(since=since)


@pytest.mark.parametrize("form", [str, lambda position: position], ids=["text", "position"])
def test_since(hub, environ, form):
    """A new client starts after a position, which it gets first, and misses nothing."""
    hub.publish("a", "before")
    since = hub.position()
    for number in range(3):
        hub.publish("a", str(number))
    stream = opened(hub, environ=environ, since=form(since))
    first, *missed = events(stream, 4)
    assert first == ServerSentEvent("", event="stream-open", id=str(since))
    assert [event.data for event in missed] == ["0", "1", "2"]
    hub.publish("a", "new")
    assert data(stream, 1) == ["new"]
    stream.close()


def test_last_event_id_precedes_since(hub, environ):
    """A client that comes back continues where it was."""
    since = hub.position()
    last = hub.publish("a", "seen")
    hub.publish("a", "missed")
    stream = opened(hub, environ=environ, since=since, last_event_id=last)
    assert data(stream, 1) == ["missed"]
    stream.close()


def test_since_with_nothing_after_it(hub, environ):
    """The client has a position even if nothing was published meanwhile."""
    hub.publish("a", "before")
    since = hub.position()
    stream = opened(hub, environ=environ, since=since)
    (first,) = events(stream, 1)
    assert (first.event, first.id) == ("stream-open", str(since))
    stream.close()


def test_since_beyond_history(make_hub, environ):
    """Where events are missing, the client is told so, and gets the state."""
    hub = make_hub(MemoryBroker(history=2))
    since = hub.position()
    for number in range(3):
        hub.publish("a", str(number))
    stream = opened(hub, environ=environ, since=since, snapshot=lambda: ["state"])
    reset, state = events(stream, 2)
    assert (reset.event, state.data) == ("stream-reset", "state")
    stream.close()


def test_since_an_earlier_epoch(hub, environ):
    """A position from before the broker was restarted is no error: the client is reset."""
    stream = opened(hub, environ=environ, since=Position("old", 5))
    (reset,) = events(stream, 1)
    assert reset.event == "stream-reset"
    stream.close()


def test_since_and_snapshot(hub, environ):
    """The page has its state already."""
    since = hub.position()
    stream = opened(hub, environ=environ, since=since, snapshot=lambda: ["state"])
    assert [event.event for event in events(stream, 1)] == ["stream-open"]
    hub.publish("a", "new")
    assert data(stream, 1) == ["new"]
    stream.close()


def test_listen_since(hub, runtime):
    """Scripts start there, too."""
    since = hub.position()
    hub.publish("a", "missed")
    heard = listen(hub, "a", since=since)
    assert [next(heard).event, next(heard).data] == ["stream-open", "missed"]
    heard.close()
