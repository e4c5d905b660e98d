"""The broker of a single process."""

import time
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_sync.brokers.base import Position, Publication, to_base36
from sse_sync.brokers.memory import MemoryBroker
from tests.core.brokers.broker_contract import BrokerContract, Receiver
from tests.waiting import wait_for


class Clock:
    """The time of day, and ahead of it once nobody wants to wait."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead

    def advance(self, seconds):
        self.ahead += seconds


class TestMemoryBroker(BrokerContract):
    """The contract."""

    @pytest.fixture
    def clock(self):
        return Clock()

    @pytest.fixture
    def make(self, clock):
        return partial(MemoryBroker, now=clock)

    @pytest.fixture
    def wait_until(self, clock):
        def wait_until(condition):
            """Wait for other threads, and let events age meanwhile."""
            wait_for(lambda: condition() or clock.advance(0.05), "the broker")

        return wait_until


def test_age():
    """Events are dropped when they are too old, and the history says so."""
    now = [1000.0]
    broker = MemoryBroker(max_age=60, now=lambda: now[0])
    broker.start(Receiver())
    start = broker.position()
    first = broker.publish(Publication("a", b"data: 1\n\n"))
    now[0] += 50
    second = broker.publish(Publication("a", b"data: 2\n\n"))
    assert len(broker.history(["a"], start).messages) == 2
    now[0] += 20
    assert broker.history(["a"], start) == ([], False)
    assert [m.position for m in broker.history(["a"], first).messages] == [second]


def test_quiet_channels_prove_nothing_missing():
    """However long nothing was published, a client that has seen all of it can resume."""
    now = [1000.0]
    broker = MemoryBroker(max_age=60, now=lambda: now[0])
    last = broker.publish(Publication("a", b"data: 1\n\n"))
    now[0] += 3600
    assert broker.history(["a"], last) == ([], True)
    assert broker.history(["never"], last) == ([], True)


def test_forgotten_channels():
    """Abandoned channels are forgotten, and not taken for quiet ones."""
    now = [1000.0]
    broker = MemoryBroker(max_age=60, now=lambda: now[0])
    start = broker.position()
    for number in range(1000):
        broker.publish(Publication(f"user-{number}", b"data: x\n\n"))
    now[0] += 100
    for _ in range(1000):
        broker.publish(Publication("busy", b"data: x\n\n"))
    assert len(broker._channels) == 1
    assert broker.history(["user-7"], start) == ([], False)
    assert broker.history(["user-7"], broker.position()) == ([], True)


def test_clock_that_runs_backwards():
    """Positions increase all the same."""
    now = [1000.0]
    broker = MemoryBroker(now=lambda: now[0])
    first = broker.publish(Publication("a", b"data: 1\n\n"))
    now[0] -= 500
    assert broker.publish(Publication("a", b"data: 2\n\n")).number == first.number + 1


def test_epochs_differ():
    """Two processes never have the same epoch, not even in the same instant."""
    epochs = {MemoryBroker(now=lambda: 1000.0).position().epoch for _ in range(100)}
    assert len(epochs) > 90


@given(st.integers(0, 10**20))
def test_base_36(number):
    """Numbers survive being text."""
    assert int(to_base36(number), 36) == number


def test_negative_base36():
    """A negative number is refused: a clock set before 1970 must not make a process spin."""
    with pytest.raises(ValueError, match="negative"):
        to_base36(-1)


@given(st.text(max_size=60))
def test_parsing_anything(text):
    """Any input parses to a position or None."""
    position = Position.parse(text)
    assert position is None or str(position).split("-")[0] == text.split("-")[0]


@pytest.mark.parametrize(
    "text",
    ["", "-", "a-", "-1", "1", "a-1-2", "a- 1", "a-A", "ä-1", "a-²", "a-+1", "a" * 50 + "-1"],
)
def test_no_position(text):
    """Text that cannot be a position is refused."""
    assert Position.parse(text) is None


def test_tokens_are_forgotten():
    """A token is remembered for ten minutes, even if the clock is set, and no longer."""
    now, day = [1000.0], [5000.0]
    broker = MemoryBroker(now=lambda: day[0], clock=lambda: now[0])
    first = broker.publish(Publication("a", b"data: x\n\n", token="t"))
    now[0] += 599
    day[0] -= 3600
    assert broker.publish(Publication("a", b"data: x\n\n", token="t")) == first
    now[0] += 2
    assert broker.publish(Publication("a", b"data: x\n\n", token="t")) != first
    assert len(broker._tokens) == len(broker._token_ends) == 1


def test_age_of_a_token():
    """It may expire sooner, also before older tokens."""
    now = [1000.0]
    broker = MemoryBroker(clock=lambda: now[0])
    broker.publish(Publication("a", b"data: x\n\n", token="long"))
    first = broker.publish(Publication("a", b"data: x\n\n", token="short", token_age=5))
    now[0] += 4
    assert broker.publish(Publication("a", b"data: x\n\n", token="short", token_age=5)) == first
    now[0] += 2
    assert broker.publish(Publication("a", b"data: x\n\n", token="short", token_age=5)) != first
    assert set(broker._tokens) == {"long", "short"}


def test_history_in_parts():
    """It stops where it may, so that a long replay does not read the rest each time."""
    broker = MemoryBroker()
    start = broker.position()
    positions = [broker.publish(Publication("ab"[n % 2], b"data: %d\n\n" % n)) for n in range(10)]
    found, after = [], start
    while len(found) < 10:
        messages, complete = broker.history(["a", "b"], after, 20)
        assert complete
        assert len(messages) <= 3
        found += [message.position for message in messages]
        after = found[-1]
    assert found == positions


@pytest.mark.parametrize("events", [None, 2])
def test_history_does_not_hold_up_publishers(monkeypatch, events):
    """However long it is, events are looked at without the lock."""
    broker, looked = MemoryBroker(), []
    for number in range(9):
        broker.publish(Publication("ab"[number % 2], b"data: x\n\n"))

    def number_of(message):
        looked.append(broker._lock.locked())
        return message.position.number

    monkeypatch.setattr("sse_sync.brokers.memory._number", number_of)
    position, floors = broker.beginning(["a", "b"], events)
    assert len(broker.history(["a", "b"], position, None, floors).messages) == (events or 9)
    assert looked
    assert not any(looked)
