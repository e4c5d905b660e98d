"""What a client has yet to accept: in which order it is written, and what is kept of it."""

import contextlib
import socket
from types import SimpleNamespace

import pytest

from sse_sync import Overflow
from sse_sync.brokers.base import Message, Position
from sse_sync.channels.mailbox import Mailbox
from sse_sync.event import encode
from sse_sync.streams.handoff.backlog import Backlog
from sse_sync.streams.record import StreamRecord
from tests.core.streams.handoff.clients import dechunked


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with ours, theirs:
        for each in (ours, theirs):
            each.setblocking(False)
        yield ours, theirs


def key(*, chunked=False, most=1000):
    return SimpleNamespace(bounds=(most, 1 << 20, Overflow.DISCONNECT), chunked=chunked)


def event(number, size=1):
    return Message("a", Position("e", number), encode(str(number).zfill(size)))


def pull(theirs):
    data = b""
    try:
        while part := theirs.recv(65536):
            data += part
    except BlockingIOError:
        pass
    return data


def test_order(pair):
    """Bytes that the system has not taken come first, then other bytes, and then the events."""
    ours, theirs = pair
    backlog = Backlog(key(), StreamRecord("/"))
    backlog.insert(memoryview(b"rest"), 1.0)
    backlog.put([event(1), event(2)])
    backlog.insert(b":\n", 2.0)
    assert backlog.has_begun
    assert backlog.since == 1.0
    assert backlog.write(ours, 3.0)
    assert pull(theirs) == b"rest:\n" + event(1).wire + event(2).wire
    assert not backlog.has_begun
    assert not backlog.events


def test_nothing(pair):
    """Of nothing, everything is written."""
    assert Backlog(key(), StreamRecord("/")).write(pair[0], 1.0)


@pytest.mark.parametrize("chunked", [True, False])
def test_client_that_reads_in_between(pair, chunked):
    """Each piece is framed, written as far as the system takes it, counted, and timed."""
    ours, theirs = pair
    record = StreamRecord("/", events=1, bytes=10)
    backlog = Backlog(key(chunked=chunked), record)
    events = [event(number, size=3000) for number in range(30)]
    backlog.put(events)
    raw, times, now = b"", [], 1.0
    while not backlog.write(ours, now):
        assert backlog.has_begun
        times.append(backlog.since)
        raw += pull(theirs)
        now += 1.0
    raw += pull(theirs)
    assert (dechunked(raw) if chunked else raw) == b"".join(each.wire for each in events)
    assert 3 <= len(set(times)) < len(times)
    assert (record.events, record.bytes) == (31, 10 + len(raw))


def test_system_that_takes_nothing(pair):
    """A full socket is no error."""
    ours, theirs = pair
    backlog = Backlog(key(), StreamRecord("/"))
    with contextlib.suppress(BlockingIOError):
        while True:
            ours.send(b"x" * 4096)
    backlog.put([event(1)])
    assert not backlog.write(ours, 1.0)
    pull(theirs)
    assert backlog.write(ours, 2.0)
    assert pull(theirs) == event(1).wire


def test_client_that_is_gone(pair):
    """Whoever writes learns it."""
    ours, theirs = pair
    backlog = Backlog(key(), StreamRecord("/"))
    backlog.put([event(1)])
    theirs.close()
    with pytest.raises(BrokenPipeError):
        backlog.write(ours, 1.0)


def test_events_that_do_not_fit():
    """Whoever writes it learns that some are missing."""
    backlog = Backlog(key(most=2), StreamRecord("/"))
    assert not backlog.lacks_events
    backlog.put([event(1), event(2)])
    assert not backlog.lacks_events
    backlog.put([event(3)])
    assert backlog.lacks_events


def test_earlier_events(pair):
    """It may begin with events that were kept elsewhere."""
    earlier = Mailbox()
    earlier.put(event(1))
    backlog = Backlog(key(), StreamRecord("/"), earlier)
    backlog.put([event(2)])
    assert backlog.write(pair[0], 1.0)
    assert pull(pair[1]) == event(1).wire + event(2).wire
