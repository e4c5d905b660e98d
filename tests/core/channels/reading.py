"""Streams of channels, and what their clients read."""

from sse_sync import EventStream
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.selection import Selection, SelectOptions
from sse_sync.channels.subscription import Subscription
from sse_sync.testing import read_events

SERVED = {"SERVER_SOFTWARE": "test"}


def opened(hub, *channels, environ=SERVED, on_close=None, options=None, **arguments):
    """A stream that is open and has registered; its first bytes have been read."""
    subscription = subscribed(hub, *channels or ("a",), **arguments)
    stream = EventStream(subscription, dict(environ), on_close=on_close, options=options)
    read_events(stream, 0)
    return stream


def subscribed(hub, *channels, **arguments):
    """A subscription with all keywords of subscribe()."""
    names = SelectOptions.__annotations__.keys() & arguments.keys()
    selected = {name: arguments.pop(name) for name in names}
    return Subscription(hub, channels, selection=Selection.of(**selected), **arguments)


def events(stream, limit):
    return read_events(stream, limit)


def data(stream, limit):
    return [event.data for event in events(stream, limit)]


class Broker(MemoryBroker):
    """A broker that can lose events on their way, and everything it keeps."""

    is_connected = True

    def start(self, receiver):
        super().start(self)
        self.receiver = receiver

    def receive(self, messages):
        """Pass events on, if they arrive."""
        if self.is_connected:
            self.receiver.receive(messages)

    def begin_epoch(self, epoch="new"):
        """Begin anew, as a store that was restarted."""
        self._epoch = epoch
