"""What applications call: publishing, and figures."""

import pytest

from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.exceptions import BrokerClosed, BrokerUnavailable
from tests.core.channels.reading import opened
from tests.core.children import in_child


class Unreliable(MemoryBroker):
    """Fails several times, before or after storing the event."""

    def __init__(self, failures, *, stores=True):
        super().__init__()
        self.failures, self.stores = failures, stores

    def publish(self, *args, **arguments):
        if self.failures > 0:
            self.failures -= 1
            if self.stores:
                super().publish(*args, **arguments)
            raise BrokerUnavailable("it", "is away")
        return super().publish(*args, **arguments)


class Time:
    """A clock that advances with each sleep."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("stores", [True, False])
def test_publish_again(make_hub, stores):
    """A retried publish is stored once, whether or not an attempt was stored."""
    time = Time()
    broker = Unreliable(3, stores=stores)
    hub = make_hub(broker, clock=time, sleep=time.sleep)
    since = broker.position()
    published = hub.publish("a", "x", retry_for=10)
    assert [str(m.position) for m in broker.history(["a"], since).messages] == [published]
    assert 0 < time.now < 1


def test_publish_gives_up(make_hub):
    """Publishing is retried only if requested, and for no longer than that."""
    time = Time()
    hub = make_hub(Unreliable(1000), clock=time, sleep=time.sleep)
    with pytest.raises(BrokerUnavailable):
        hub.publish("a", "x")
    assert time.now == 0
    with pytest.raises(BrokerUnavailable):
        hub.publish("a", "x", retry_for=7)
    assert 7 <= time.now < 7.001
    assert hub.statistics().published == 0


def test_figures(hub, runtime):
    """The hub reports statistics."""
    one, two = opened(hub, "a", "b"), opened(hub, "a")
    next(one)
    next(two)
    hub.publish("a", "x")
    hub.publish("c", "x")
    figures = hub.statistics()
    assert (figures.channels, figures.subscriptions) == (2, 3)
    assert (figures.published, figures.received, figures.delivered) == (2, 1, 2)
    assert (figures.interruptions, figures.problem) == (0, None)
    one.close()
    two.close()
    assert (hub.statistics().channels, hub.statistics().subscriptions) == (0, 0)


def test_closed_hub_in_a_fork():
    """A closed hub stays closed in a child."""
    hub = Hub(MemoryBroker())
    hub.close()

    def child():
        with pytest.raises(BrokerClosed):
            hub.publish("a", "x")
        return "closed"

    assert in_child(child) == "closed"
