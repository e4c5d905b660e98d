"""Clients whose connections are handed off, and what they are sent."""

import contextlib
import re
import socket

from sse_sync import EventStreamParser
from sse_sync.settings import Options

OPTIONS = Options(heartbeat=None, retry=1000)


class Client:
    """The client's end of a connection, and its offer."""

    def __init__(self, chunked=True, refusal="", buffer=None):
        ours, self.socket = socket.socketpair()
        if buffer is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        ours.setblocking(False)
        self.socket.setblocking(False)
        self.ours = ours
        self.is_chunked = chunked
        self.reason = refusal
        self.on_take = lambda: None
        self.raw = b""
        self.has_ended = False

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.ours.close()
        self.socket.close()

    def refusal(self, sent):
        return self.reason

    def take(self, let_go):
        if not let_go():
            return None
        self.on_take()
        import _socket

        return _socket.socket(fileno=self.ours.detach())

    def pull(self, most=1 << 20):
        """Read the available bytes."""
        with contextlib.suppress(BlockingIOError):
            while most > 0:
                data = self.socket.recv(min(most, 65536))
                if not data:
                    self.has_ended = True
                    break
                most -= len(data)
                self.raw += data

    @property
    def body(self):
        """What was pulled so far, without its framing."""
        return dechunked(self.raw) if self.is_chunked else self.raw

    def read(self):
        """Read the available bytes, and return all events so far."""
        self.pull()
        return list(EventStreamParser().feed(self.body))

    def numbers(self):
        return [int(event.data) for event in self.read() if event.event is None]


def settle(turn, clients):
    """Let clients read until nothing more comes."""
    quiet = 0
    while quiet < 5:
        known = sum(len(client.raw) for client in clients)
        turn(2)
        for client in clients:
            client.pull()
        quiet = quiet + 1 if sum(len(client.raw) for client in clients) == known else 0


def logged(caplog):
    """Return how many events and bytes each ended stream has sent, according to the log, sorted."""
    found = re.findall(r"ended: .*?, (\d+) events, (\d+) bytes", caplog.text)
    return sorted((int(events), int(size)) for events, size in found)


def received(client):
    """Return how many events of its channels, and bytes, a client got, with its request."""
    return len(client.numbers()) + client.head.count(b"\ndata:"), len(client.head + client.raw)


def dechunked(raw):
    body, at = [], 0
    while (end := raw.find(b"\r\n", at)) >= 0:
        length = int(raw[at:end], 16)
        following = end + 2 + length
        if len(raw) < following + 2:
            break
        assert raw[following : following + 2] == b"\r\n"
        body.append(raw[end + 2 : following])
        at = following + 2
    return b"".join(body)


def publish(hub, first, count=1, channel="a", size=0, **arguments):
    for number in range(first, first + count):
        hub.publish(channel, str(number).zfill(size or 1), **arguments)
