"""The cache of recently received events."""

import random

import pytest

from sse_sync.brokers.base import History, Message, Position
from sse_sync.brokers.redis import replay_cache as module
from sse_sync.brokers.redis.replay_cache import Continuity, ReplayCache


def message(number, channel="a", epoch="e", size=10):
    return Message(channel, Position(epoch, number), b"x" * size)


def numbers(history):
    return [each.position.number for each in history.messages]


@pytest.fixture
def recent():
    recent = ReplayCache()
    recent.restart(["a", "b"], Position("e", 100))
    return recent


def test_history(recent):
    """The events after a position are returned in order, if all were received."""
    for number, channel in ((101, "a"), (103, "b"), (105, "a")):
        assert recent.add(message(number, channel)) is Continuity.NEXT
    assert numbers(recent.history(["a", "b"], Position("e", 100))) == [101, 103, 105]
    assert numbers(recent.history(["b", "a"], Position("e", 101))) == [103, 105]
    assert recent.history(["a"], Position("e", 105)) == History([], True)
    assert recent.history(["a"], Position("e", 99)) is None
    assert recent.history(["a"], Position("e", 106)) is None
    assert recent.history(["a"], Position("f", 101)) is None
    assert recent.history(["c"], Position("e", 101)) is None


def test_repeats_and_gaps(recent):
    """An event is new, a duplicate, or follows a gap."""
    assert recent.add(message(101)) is Continuity.NEXT
    assert recent.add(message(101)) is Continuity.DUPLICATE
    assert recent.add(message(50)) is Continuity.DUPLICATE
    assert recent.add(message(1, epoch="f")) is Continuity.GAP
    assert recent.last == Position("f", 1)
    assert recent.history(["a"], Position("f", 1)) is None


def test_reach(recent):
    """A position reached without events counts; one of another epoch is a gap."""
    assert recent.reach(Position("e", 200)) is Continuity.NEXT
    assert recent.last == Position("e", 200)
    assert recent.reach(Position("e", 150)) is Continuity.NEXT
    assert recent.last == Position("e", 200)
    assert recent.history(["a"], Position("e", 150)) == History([], True)
    assert recent.reach(Position("f", 10)) is Continuity.GAP
    assert recent.history(["a"], Position("f", 10)) is None


def test_floor_beyond_what_was_received(recent):
    """A channel may begin after what was received: earlier events of others are on their way."""
    recent.add(message(101))
    recent.begin(["c"], Position("e", 110))
    for floor in (110, 120):
        assert recent.history(["a", "c"], Position("e", 100), {"c": floor}) is None
    recent.add(message(120))
    assert numbers(recent.history(["a", "c"], Position("e", 100), {"c": 110})) == [101, 120]
    assert numbers(recent.history(["a", "c"], Position("e", 100), {"c": 120})) == [101, 120]


def test_begin(recent):
    """A channel is complete from its subscription on, or from what was received since."""
    recent.add(message(110, "a"))
    recent.begin(["c"], Position("e", 105))
    recent.add(message(112, "c"))
    assert recent.history(["c"], Position("e", 107)) is None
    assert numbers(recent.history(["c"], Position("e", 110))) == [112]
    recent.begin(["d"], Position("f", 200))
    assert recent.history(["d"], Position("e", 112)) is None


def test_forget_and_stop(recent):
    """A dropped channel has no history; after a stop, none has."""
    recent.add(message(101))
    recent.forget(["a"])
    assert recent.history(["a"], Position("e", 100)) is None
    recent.begin(["a"], Position("e", 101))
    assert recent.history(["a"], Position("e", 100)) is None
    recent.stop()
    assert recent.last is None
    assert recent.add(message(7, epoch="z")) is Continuity.NEXT


def test_one_budget_for_all(recent, monkeypatch):
    """The oldest events of all channels go first, and no partial history is returned."""
    monkeypatch.setattr(module, "MAX_EVENTS", 10)
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    recent.add(message(101, "b"))
    for number in range(102, 122):
        recent.add(message(number, "a"))
    assert recent.history(["b"], Position("e", 100)) is None
    assert recent.history(["b"], Position("e", 101)) == History([], True)
    assert recent.history(["a"], Position("e", 110)) is None
    assert numbers(recent.history(["a"], Position("e", 111))) == list(range(112, 122))
    recent.add(message(200, "a", size=990))
    assert numbers(recent.history(["a"], Position("e", 121))) == [200]
    recent.add(message(201, "b", size=2000))
    assert recent.history(["b"], Position("e", 200)) is None
    assert recent.history(["b"], Position("e", 201)) == History([], True)
    assert recent._bytes == 0


def test_random_walk(monkeypatch):
    """Whatever happens, a returned history is the true one."""
    monkeypatch.setattr(module, "MAX_EVENTS", 20)
    chance = random.Random(5)
    recent, happened, told = ReplayCache(), [], 0
    wanted = set()
    recent.restart((), Position("e", 0))
    for number in range(1, 2000):
        channel = chance.choice("abcd")
        if chance.random() < 0.1 and channel in wanted:
            wanted.discard(channel)
            recent.forget([channel])
        elif chance.random() < 0.1 and channel not in wanted:
            wanted.add(channel)
            recent.begin([channel], Position("e", number - 1))
        happened.append(message(number, channel))
        if channel in wanted:
            recent.add(happened[-1])
        asked = chance.sample("abcd", 2)
        after = number - chance.randrange(30)
        history = recent.history(asked, Position("e", after))
        if history is not None:
            told += 1
            expected = [m.position.number for m in happened if m.channel in asked]
            assert numbers(history) == [n for n in expected if n > after]
    assert told > 50
