"""Messages between processes that end streams."""

import logging
import threading

import pytest

from sse_sync import CloseReason, ConfigurationError
from sse_sync.brokers.base import Publication
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.control import SUBSCRIBE_AGAIN
from sse_sync.channels.subscription import Subscription
from sse_sync.closing import End
from sse_sync.exceptions import BrokerUnavailable
from tests.core.channels.owned import ends, generated, hubs, is_open, opened


@pytest.fixture
def make_hub(runtime):
    with hubs(runtime) as make:
        yield make


def test_orders_cannot_be_forged(hub):
    """Neither the application nor a client can name the control channel."""
    with pytest.raises(ConfigurationError):
        hub.publish("\x01orders", "x")
    with pytest.raises(ConfigurationError):
        Subscription(hub, ("\x01orders",))


def test_broker_is_away(runtime, make_hub, caplog):
    """A generator's stream opens anyway, and the log says what does not work."""

    class Away(MemoryBroker):
        away = True

        def subscribe(self, channels):
            if self.away:
                raise BrokerUnavailable("test", "away")
            return super().subscribe(channels)

    broker = Away()
    hub = make_hub(broker)
    stream = generated(hub, "ann")
    assert "do not reach this one" in caplog.text
    broker.away = False
    # Without another stream.
    runtime.advance(SUBSCRIBE_AGAIN * 2)
    # Calls made meanwhile are not known, so everybody has to reconnect.
    assert ends(stream).event == "stream-disconnect"
    other = generated(hub, "bob")
    hub.disconnect(user="bob")
    assert ends(other).event == "stream-disconnect"


def test_one_who_fails_to_listen_disturbs_nobody(make_hub):
    """A failure of one waiting stream does not affect another."""

    class Slow(MemoryBroker):
        def subscribe(self, channels):
            began.set()
            assert goes_on.wait(10)
            return super().subscribe(channels)

    began, goes_on = threading.Event(), threading.Event()
    hub = make_hub(Slow())
    first = threading.Thread(target=lambda: user_streams.append(hub.users.expect(channels=("a",))))
    user_streams = []
    first.start()
    assert began.wait(10)
    control = hub.users._control
    control._subscribing = Impatient(control._subscribing)
    user_streams.append(hub.users.expect(channels=("a",)))
    goes_on.set()
    first.join(10)
    hub.disconnect(channel="a")
    assert [user_stream._end for user_stream in user_streams] == [End(CloseReason.DISMISSED)] * 2


def test_orders_that_were_missed(runtime, make_hub):
    """Once the control channel works again, the streams from before have to reconnect."""

    class Away(MemoryBroker):
        away, asked = True, 0

        def subscribe(self, channels):
            self.asked += 1
            if self.away:
                raise BrokerUnavailable("test", "away")
            return super().subscribe(channels)

    broker = Away()
    hub = make_hub(broker)
    ann = generated(hub, "ann")
    runtime.advance(SUBSCRIBE_AGAIN * 10)
    # It is retried, but not all the time.
    assert 5 < broker.asked < 20
    broker.away = False
    bob = generated(hub, "bob")
    assert ends(ann).event == "stream-disconnect"
    bob.close()


def test_stream_that_never_opened(runtime, make_hub, caplog):
    """Once nobody needs the control channel, it is not asked for again."""

    class Away(MemoryBroker):
        asked = 0

        def subscribe(self, channels):
            self.asked += 1
            raise BrokerUnavailable("test", "away")

    # A log record would have the error, whose traceback has the stream.
    caplog.set_level(logging.ERROR, "sse_sync")
    broker = Away()
    hub = make_hub(broker)
    refused = hub.users.expect(user="ann")
    for _ in range(5):
        runtime.advance(SUBSCRIBE_AGAIN)
    assert broker.asked > 3
    del refused
    broker.asked = 0
    for _ in range(5):
        runtime.advance(SUBSCRIBE_AGAIN)
    assert broker.asked == 0
    assert hub.users._control.task.is_idle


class Impatient:
    """A lock without waiting."""

    def __init__(self, lock):
        self.lock = lock

    def acquire(self, timeout):
        return self.lock.acquire(blocking=False)

    def release(self):
        self.lock.release()


def test_interruption(hub):
    """An order may be missing, so whoever has a user has to come back."""
    ann, nobody = opened(hub, user="ann"), opened(hub)
    hub.dispatcher.interrupted()
    assert ends(ann).event == "stream-disconnect"
    assert is_open(hub, nobody)
    nobody.close()


def test_message_of_a_former_version(hub):
    """During a deploy, processes of both versions understand each other."""
    ann, bob = opened(hub, user="ann"), opened(hub, user="bob")
    meta = {"user": "ann", "channel": None}
    hub._broker.publish(Publication("\x01orders", b"", event="news", meta={}))
    hub._broker.publish(Publication("\x01orders", b"", event="reauthorize", meta=meta))
    assert ends(ann).event == "stream-disconnect"
    assert is_open(hub, bob)
    bob.close()
