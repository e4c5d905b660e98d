"""Mailboxes: bounded, with a policy."""

import threading

import pytest

from sse_sync import Overflow
from sse_sync.brokers.base import Message, Position
from sse_sync.channels.mailbox import Mailbox


def message(number, key=None, size=10):
    return Message("c", Position("e", number), b"x" * size, None, key, None)


def numbers(mailbox):
    return [message.position.number for message in mailbox.take()]


def filled(overflow, *messages, **bounds):
    mailbox = Mailbox(overflow=overflow, **bounds)
    for each in messages:
        mailbox.put(each)
    return mailbox


def test_order():
    """Events are taken once and in order."""
    mailbox = filled(Overflow.DISCONNECT, message(1), message(2))
    assert len(mailbox) == 2
    assert numbers(mailbox) == [1, 2]
    assert numbers(mailbox) == []


@pytest.mark.parametrize("bounds", [{"max_events": 3}, {"max_bytes": 30}])
def test_disconnect(bounds):
    """A full mailbox keeps what it has, without a gap, and accepts no more."""
    mailbox = filled(Overflow.DISCONNECT, *map(message, range(1, 6)), **bounds)
    assert mailbox.overflowed
    assert numbers(mailbox) == [1, 2, 3]
    mailbox.put(message(6))
    assert numbers(mailbox) == []


@pytest.mark.parametrize("bounds", [{"max_events": 3}, {"max_bytes": 30}])
def test_drop_oldest(bounds):
    """The latest events are kept."""
    mailbox = filled(Overflow.DROP_OLDEST, *map(message, range(1, 6)), **bounds)
    assert not mailbox.overflowed
    assert mailbox.dropped == 2
    assert numbers(mailbox) == [3, 4, 5]


def test_latest():
    """The latest event of each key is kept, in order; events without a key are all kept."""
    mailbox = filled(
        Overflow.LATEST,
        message(1, "a"),
        message(2, "b"),
        message(3),
        message(4, "a"),
        message(5),
    )
    assert mailbox.dropped == 1
    assert numbers(mailbox) == [2, 3, 4, 5]
    for number in range(10, 1000):
        mailbox.put(message(number, "a"))
    assert numbers(mailbox) == [999]


def test_latest_is_bounded_too():
    """More keys than fit drop the oldest."""
    events = [message(n, f"k{n}") for n in range(1, 6)]
    mailbox = filled(Overflow.LATEST, *events, max_events=3)
    assert numbers(mailbox) == [3, 4, 5]


@pytest.mark.parametrize("overflow", list(Overflow))
def test_large_event(overflow):
    """A single event larger than the bound fits into an empty mailbox."""
    mailbox = filled(overflow, message(1, size=100), max_bytes=50)
    assert numbers(mailbox) == [1]
    assert not mailbox.overflowed


def test_bytes_are_given_back():
    """Taking makes room."""
    mailbox = Mailbox(max_bytes=30)
    for number in range(100):
        mailbox.put(message(number))
        mailbox.put(message(number + 1000))
        assert len(mailbox.take()) == 2
    assert not mailbox.overflowed


def test_threads():
    """Between two threads, nothing is lost or repeated."""
    mailbox, taken, done = Mailbox(max_events=10**6, max_bytes=10**9), [], threading.Event()

    def take():
        while not done.is_set():
            taken.extend(numbers(mailbox))
        taken.extend(numbers(mailbox))

    thread = threading.Thread(target=take)
    thread.start()
    for number in range(5000):
        mailbox.put(message(number))
    done.set()
    thread.join(10)
    assert taken == list(range(5000))
