"""Streams as a server iterates them, and what they send."""

from dataclasses import fields

from sse_sync import EventStream, EventStreamParser
from sse_sync.settings import Options
from sse_sync.streams.hooks import Hooks

HOOKS = {field.name for field in fields(Hooks)}
SERVED = {"SERVER_SOFTWARE": "test", "PATH_INFO": "/events"}

PREAMBLE = b":\nretry: 3000\n"

END = b"event: stream-end\nid: sse-sync.end\ndata: \n\n"

HEARTBEAT = b":\n"


def served(source, environ=SERVED, **arguments):
    options = {name: arguments.pop(name) for name in list(arguments) if name in vars(Options())}
    hooks = {name: arguments.pop(name) for name in list(arguments) if name in HOOKS}
    arguments["hooks"] = Hooks(**hooks)
    return EventStream(source, dict(environ), options=Options().replace(options), **arguments)


def slow_to_clean_up(runtime, seconds, seen):
    """A source that blocks after its first event, and whose cleanup takes long."""
    try:
        yield "a"
        runtime.sleep(1000)
    finally:
        runtime.sleep(seconds)
        seen.append("cleaned up")


def retry_in(chunk):
    parser = EventStreamParser()
    parser.feed(chunk)
    return parser.retry


class Client:
    """A client's connection that records what is done with it, and can hang up."""

    fd = 99

    def __init__(self):
        self.done = []

    def watch(self, fd, callback):
        """Keep what the reactor would call."""
        self.hang_up = callback
        return True

    def is_idle(self):
        return False

    def prepare(self, timeout):
        self.done.append(("prepare", timeout))

    def release(self):
        """Nothing is held."""

    def stop_reading(self):
        self.done.append("stop_reading")

    def abort(self):
        self.done.append("abort")

    def forget_error(self):
        self.done.append("forget_error")
