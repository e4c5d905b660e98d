"""What applications call: publishing, and figures."""

import pytest

from sse_sync import ConfigurationError, EventError
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.exceptions import BrokerClosed, BrokerUnavailable
from tests.core.channels.reading import data, events, opened
from tests.core.children import in_child


def test_unsendable(hub):
    """Data that cannot be sent is refused when published."""
    with pytest.raises(EventError, match="neither text nor"):
        hub.publish("a", object())
    with pytest.raises(EventError, match="line break"):
        hub.publish("a", "x", event="a\nb")


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


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"retry_for": -1}, "retry_for must be 0 to 60 seconds"),
        ({"retry_for": 61}, "retry_for must be 0 to 60 seconds"),
        ({"token": ""}, "token must be text of 1 to 200 characters"),
        ({"token": 7}, "token must be text"),
    ],
)
def test_bad_arguments_of_publish(hub, arguments, problem):
    with pytest.raises(ConfigurationError, match=problem):
        hub.publish("a", "x", **arguments)
    with pytest.raises(ConfigurationError, match="channel must have 1 to 200 printable"):
        hub.publish("a\n", "x")


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


def test_event_that_is_too_large(hub, environ):
    """A mebibyte of data is refused with advice, and nothing else is affected."""
    stream = opened(hub, environ=environ)
    events(stream, 1)
    with pytest.raises(EventError, match=r"data makes an event of 1,048,584 bytes, more than"):
        hub.publish("a", "x" * (1 << 20))
    hub.publish("a", "x" * ((1 << 20) - 8))
    assert [len(text) for text in data(stream, 1)] == [(1 << 20) - 8]
    stream.close()


def test_unknown_keywords_of_publish(hub):
    """They are refused by name; flask-sse's spelling of the event type is explained."""
    for publish in (hub.publish, hub.publish_to_user):
        with pytest.raises(TypeError, match="unexpected keyword argument 'evnt'"):
            publish("a", "x", evnt="created")
        with pytest.raises(TypeError, match="'type': write event= instead"):
            publish("a", "x", type="created")


def test_closed_hub_in_a_fork():
    """A closed hub stays closed in a child."""
    hub = Hub(MemoryBroker())
    hub.close()

    def child():
        with pytest.raises(BrokerClosed):
            hub.publish("a", "x")
        return "closed"

    assert in_child(child) == "closed"
