"""What a process holds, and how it reports that to the broker."""

import json
from datetime import date
from functools import partial

import pytest

from sse_sync import BrokerUnavailable, ConfigurationError
from sse_sync.brokers.presence import LEASE, Join, Leave
from sse_sync.channels.presence import (
    MARGIN,
    TICK,
    Presence,
    PresenceTracker,
    user_channel,
    user_key,
)


class Book:
    """A presence store that records its reports, and fails on request."""

    def __init__(self):
        self.told = []
        self.counted = []
        self.fails = 0
        self.known = True
        self.on_report = lambda: None

    def report(self, reports=(), counts=()):
        self.on_report()
        if self.fails:
            self.fails -= 1
            raise BrokerUnavailable("the book", "test")
        self.told.append([(type(each), each.user) for each in reports])
        self.counted += dict(counts).items()
        known, self.known = self.known, True
        return known

    def count(self, name, own, limit=None):
        if self.fails:
            raise BrokerUnavailable("the book", "test")
        self.counted.append((name, own))
        return limit is None or own <= limit


@pytest.fixture
def book():
    return Book()


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def wakes():
    return []


@pytest.fixture
def tracker(book, now, wakes):
    return PresenceTracker(book, lambda: wakes.append(1), clock=lambda: now[0])


ANN = Presence("ann", grace=3.0)
BOB = Presence("bob")
COMES, GOES = (Join, "ann"), (Leave, "ann")


def test_come_and_go(tracker, book, now, wakes):
    """Of a user's streams, only the first and the last are reported."""
    for _ in range(5):
        tracker.enter("room", ANN)
        assert tracker.flush() == TICK
    for _ in range(4):
        tracker.leave("room", ANN)
    tracker.flush()
    assert book.told == [[COMES], [], [], [], [], []]
    assert wakes
    tracker.leave("room", ANN)
    assert tracker.flush() == pytest.approx(3.0 + MARGIN)
    assert book.told[-1] == [GOES]
    now[0] += 3.1
    # Somebody has to look when the grace is over; then nothing is left to do.
    assert tracker.flush() is None
    assert book.told[-1] == []


def test_back_in_time(tracker, book, now):
    """A user who returns before or after the leave was reported is present."""
    tracker.enter("room", ANN)
    tracker.flush()
    tracker.leave("room", ANN)
    tracker.enter("room", ANN)
    tracker.flush()
    assert book.told == [[COMES], [COMES]]
    tracker.leave("room", ANN)
    tracker.flush()
    tracker.enter("room", ANN)
    tracker.flush()
    assert book.told[2:] == [[GOES], [COMES]]


def test_back_while_it_is_told(tracker, book):
    """A leave that is being reported does not override a return."""
    tracker.enter("room", ANN)
    tracker.flush()
    tracker.leave("room", ANN)
    book.on_report = lambda: book.told or tracker.enter("room", ANN)
    book.told.clear()
    tracker.flush()
    tracker.flush()
    assert book.told == [[GOES], [COMES]]


def test_gone_before_anybody_knew(tracker, book):
    """It is not reported."""
    tracker.enter("room", ANN)
    tracker.leave("room", ANN)
    assert tracker.flush() is None
    assert book.told == [[]]


def test_latest_info(tracker, book):
    """The latest stream's info counts."""
    tracker.enter("room", ANN)
    tracker.flush()
    tracker.enter("room", Presence("ann", "new"))
    tracker.flush()
    assert book.told == [[COMES], [COMES]]


def test_broker_is_away(tracker, book):
    """Failed reports are repeated later."""
    tracker.enter("room", ANN)
    book.fails = 1
    with pytest.raises(BrokerUnavailable):
        tracker.flush()
    tracker.enter("room", BOB)
    book.fails = 1
    with pytest.raises(BrokerUnavailable):
        tracker.flush()
    tracker.flush()
    assert [sorted(told, key=str) for told in book.told] == [[COMES, (Join, "bob")]]
    # It is not known whether the leave was recorded before the answer was lost.
    tracker.leave("room", ANN)
    book.fails = 1
    with pytest.raises(BrokerUnavailable):
        tracker.flush()
    tracker.flush()
    assert GOES in book.told[-1]


def test_forgotten(tracker, book):
    """If the broker has forgotten everything, everything is reported again."""
    tracker.enter("room", ANN)
    assert tracker.take_place("bob", 3)
    tracker.flush()
    book.told.clear()
    book.counted.clear()
    book.known = False
    tracker.flush()
    assert book.told == [[], [COMES]]
    assert book.counted == [("bob", 1)]


def test_lease(tracker, book, now):
    """While a user is present, the lease is renewed in time."""
    tracker.enter("room", ANN)
    assert tracker.flush() <= LEASE / 3
    assert tracker.flush() <= LEASE / 3


def test_places(tracker, book):
    """A stream beyond the limit is refused, and a released place is free."""
    assert tracker.take_place("ann", 2)
    assert tracker.take_place("ann", 2)
    assert not tracker.take_place("ann", 2)
    tracker.give_place("ann")
    assert tracker.take_place("ann", 2)
    tracker.flush()
    for _ in range(2):
        tracker.give_place("ann")
    assert tracker.flush() is None
    assert book.counted[-1] == ("ann", 0)


def test_places_while_the_broker_is_away(tracker, book):
    """This process's streams count, and are reported later."""
    book.fails = 1000
    assert tracker.take_place("ann", 1)
    assert not tracker.take_place("ann", 1)
    book.fails = 0
    tracker.flush()
    assert book.counted == [("ann", 1)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("ann", None, -1.0, False),
        ("ann", None, "5", False),
        ("ann", object(), 5.0, False),
        ("ann", None, 5.0, ("a\nb", "c")),
        ("ann", "x" * 20_000, 5.0, False),
        ("ann", None, 5.0, ("one",)),
        ("ann", None, 5.0, "ab"),
        (None, {"name": "Ann"}, 5.0, False),
        (None, None, 5.0, True),
        ("", None, 5.0, False),
    ],
)
def test_unusable_presence(arguments):
    """An invalid presence is refused at once."""
    with pytest.raises(ConfigurationError):
        Presence.of(*arguments)


def test_info_is_json():
    """Those who see a user get the info as JSON has it, written as the application writes it."""
    day = date(2026, 1, 2)
    given = {"since": day, "tags": ("a",)}
    assert Presence.of("ann", given, 5.0, False).info == {"since": "2026-01-02", "tags": ["a"]}
    dumps = partial(json.dumps, default=lambda value: value.year)
    assert Presence.of("ann", given, 5.0, True, dumps).info == {"since": 2026, "tags": ["a"]}


def test_user_key():
    """A user is text, a number or a UUID."""
    assert user_key(7) == "7"
    assert user_channel("ann") == "user:ann"
    for wrong in (None, True, 1.5, b"x", "", "a\nb", "x" * 201):
        with pytest.raises(ConfigurationError, match="user"):
            user_key(wrong)


def test_told_by_somebody_else(tracker, book, now):
    """Of many concurrent reports, most find their work already done."""
    for number in range(10):
        tracker.enter("room", Presence(f"user{number}"))
    for _ in range(10):
        tracker.report()
    assert [len(told) for told in book.told] == [10]
    now[0] += 3 * TICK
    tracker.report()
    assert len(book.told) == 2


def test_places_that_were_given_back_while_it_was_told(tracker, book):
    """The last report is the true state."""
    for _ in range(3):
        assert tracker.take_place("ann", 5)
    tracker.give_place("ann")
    tracker.flush()
    assert book.counted[-1] == ("ann", 2)


def test_killed_while_it_asks(tracker, book):
    """No place is lost."""

    class Killed(BaseException):
        pass

    def count(name, own, limit):
        raise Killed

    book.count, count = count, book.count
    with pytest.raises(Killed):
        tracker.take_place("ann", 1)
    book.count = count
    assert tracker.take_place("ann", 1)


def test_refused_while_it_was_told(tracker, book):
    """A place that was asked for, told, and then refused does not stay in the book."""
    book.count = lambda name, own, limit: tracker.flush() and False
    assert not tracker.take_place("ann", 3)
    tracker.flush()
    assert book.counted[-1] == ("ann", 0)
