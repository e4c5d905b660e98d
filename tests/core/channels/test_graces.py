"""When a grace is over: the process that reported a leave is the one that looks again."""

import pytest

from sse_sync.brokers.presence import MemoryPresenceStore
from sse_sync.channels.presence import Presence, PresenceTracker


class Times:
    """The clock of a process, and that of its store, which differ by some milliseconds."""

    def __init__(self):
        self.now = 1000.0
        self.store_is_behind = 0.0

    def process(self):
        return self.now

    def store(self):
        return self.now - self.store_is_behind


@pytest.fixture
def times():
    return Times()


@pytest.fixture
def announced():
    return []


@pytest.fixture
def store(times, announced):
    return MemoryPresenceStore(
        lambda channel, what: announced.append(what.event), lambda: None, now=times.store
    )


@pytest.fixture
def tracker(times, store):
    return PresenceTracker(store, lambda: None, clock=times.process)


@pytest.mark.parametrize("grace", [0.1, 3.0])
@pytest.mark.parametrize("behind", [0.0, 0.001, 0.004])
def test_leave_is_announced_in_time(times, tracker, store, announced, grace, behind):
    """One look after the grace is enough, even if the store's clock is a little behind by then."""
    ann = Presence("ann", grace=grace, announce=("join", "leave"))
    tracker.enter("room", ann)
    tracker.flush()
    tracker.leave("room", ann)
    delay = tracker.flush()
    assert announced == ["join"]
    assert [present.user for present in store.present("room")] == ["ann"]
    times.store_is_behind = behind
    times.now += delay
    assert tracker.flush() is None
    assert announced == ["join", "leave"]
    assert store.present("room") == []


def test_without_a_grace(times, tracker, store, announced):
    """The leave is announced with the report, and nobody has to look again for it."""
    ann = Presence("ann", grace=0.0, announce=("join", "leave"))
    tracker.enter("room", ann)
    tracker.flush()
    tracker.leave("room", ann)
    tracker.flush()
    assert announced == ["join", "leave"]
    assert store.present("room") == []
