"""Channels as an iterator."""

import pytest

from sse_sync import ConfigurationError, listen
from sse_sync.brokers.memory import MemoryBroker


def test_listen(hub, runtime):
    """A script gets the events of channels as a client does, and resumes."""
    heard = listen(hub, "a", "b")
    opened_at = next(heard)
    assert opened_at.event == "stream-open"
    first = hub.publish("a", "1", event="n")
    hub.publish("b", "2")
    hub.publish("c", "3")
    event = next(heard)
    assert (event.event, event.data, event.id) == ("n", "1", first)
    heard.close()
    assert hub.statistics().subscriptions == 0
    again = listen(hub, "a", "b", last_event_id=first)
    assert next(again).data == "2"
    for _ in range(1500):
        hub.publish("a", "more")
    with pytest.raises(ConfigurationError):
        listen(hub)
    again.close()


def test_slow_listener(make_hub, runtime):
    """A slow script misses no event that is still stored."""
    hub = make_hub(MemoryBroker(history=5000))
    heard = listen(hub, "a")
    next(heard)
    for number in range(3000):
        hub.publish("a", str(number))
    assert [next(heard).data for _ in range(3000)] == [str(number) for number in range(3000)]
    heard.close()


def test_listen_since(hub, runtime):
    """Scripts start there, too."""
    since = hub.position()
    hub.publish("a", "missed")
    heard = listen(hub, "a", since=since)
    assert [next(heard).event, next(heard).data] == ["stream-open", "missed"]
    heard.close()


def test_listen_until(hub, runtime):
    """Then it ends, with all that came before."""
    hub.publish("a", "1")
    hub.publish("a", "2", event="done")
    hub.publish("a", "3")
    texts = [event.data for event in listen(hub, "a", replay="all", until="done")]
    assert texts == ["", "1", "2"]
    assert hub.statistics().subscriptions == 0


def test_listener_that_gets_little(make_hub, runtime):
    """It is not shown the positions that a client is told."""
    now, got = [1000.0], []
    hub = make_hub(MemoryBroker(now=lambda: now[0]))
    heard = listen(hub, "a", match={"tenant": 7}, until="done")
    runtime.spawn(lambda: got.extend(event.data for event in heard), "listener")
    runtime.run_ready()
    for _ in range(3):
        now[0] += 20
        hub.publish("a", "other", meta={"tenant": 8})
        runtime.run_ready()
    hub.publish("a", "last", meta={"tenant": 7}, event="done")
    runtime.run_ready()
    assert got == ["", "last"]
