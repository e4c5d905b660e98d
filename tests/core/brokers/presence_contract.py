"""The contract of presence stores. Each broker's test module runs it."""

import json

import pytest

from sse_sync.brokers.presence import Join, Leave, PresenceEvent
from sse_sync.exceptions import BrokerClosed
from tests.core.brokers.broker_contract import Receiver


def arrival(channel, user, info=None, announced=True):
    """A user joins."""
    if not announced:
        return Join(channel, user, info)
    told = [
        PresenceEvent(event, user, f"event: {event}\ndata: {user}\n\n".encode())
        for event in ("join", "leave")
    ]
    return Join(channel, user, info, *told)


def users(book, channel="room"):
    """Return the users who are present."""
    return [present.user for present in book.present(channel)]


class PresenceContract:
    """The suite. A subclass has ``make()``, ``wait_until(condition)`` and ``sleep(seconds)``."""

    @pytest.fixture
    def receiver(self):
        return Receiver()

    @pytest.fixture
    def broker(self, make, receiver):
        broker = make()
        broker.start(receiver)
        broker.subscribe(["room", "other"])
        yield broker
        broker.close()

    @pytest.fixture
    def book(self, broker):
        return broker.presence

    @pytest.fixture
    def announced(self, receiver, wait_until):
        def announced(*expected):
            def got():
                return [(m.event, m.key) for m in receiver.messages]

            wait_until(lambda: len(got()) >= len(expected))
            assert got() == list(expected)

        return announced

    def test_come_and_go(self, book, announced):
        """A user is present from joining to leaving; each is announced once."""
        book.report([arrival("room", "ann", {"name": "Ann", "tags": [], "n": 2**40})])
        (ann,) = book.present("room")
        assert (ann.user, ann.info) == ("ann", {"name": "Ann", "tags": [], "n": 2**40})
        assert ann.since > 0
        book.report([arrival("room", "bob"), arrival("other", "ann")])
        assert users(book) == ["ann", "bob"]
        assert users(book, "other") == ["ann"]
        assert users(book, "nowhere") == []
        book.report([Leave("room", "ann", 0)])
        assert users(book) == ["bob"]
        assert users(book, "other") == ["ann"]
        announced(("join", "ann"), ("join", "bob"), ("join", "ann"), ("leave", "ann"))

    def test_announcement(self, book, broker, receiver, wait_until):
        """It is an event like any other: in the history, with a position."""
        start = broker.position()
        book.report([arrival("room", "ann")])
        wait_until(lambda: receiver.messages)
        history = broker.history(["room"], start)
        assert history.complete
        assert history.messages == receiver.messages
        assert receiver.messages[0].body == b"event: join\ndata: ann\n\n"
        assert receiver.messages[0].position > start

    def test_not_announced(self, book, broker):
        """Nothing is published if that is not wanted."""
        start = broker.position()
        book.report([arrival("room", "ann", announced=False), Leave("room", "ann", 0)])
        assert users(book) == []
        assert broker.position() == start

    def test_told_twice(self, book, announced):
        """Reports are idempotent; the latest info counts."""
        book.report([arrival("room", "ann", 1)])
        book.report([arrival("room", "ann", 2)])
        assert [present.info for present in book.present("room")] == [2]
        book.report([Leave("room", "ann", 0), Leave("room", "ann", 0)])
        book.report([Leave("room", "ann", 0), Leave("room", "nobody", 0)])
        announced(("join", "ann"), ("leave", "ann"))

    def test_some_announce(self, book, announced):
        """The first stream that announces publishes the join; then the leave is published, too."""
        book.report([arrival("room", "ann", announced=False)])
        book.report([arrival("room", "ann")])
        book.report([arrival("room", "ann", 7, announced=False)])
        assert [present.info for present in book.present("room")] == [7]
        book.report([Leave("room", "ann", 0)])
        announced(("join", "ann"), ("leave", "ann"))

    def test_grace(self, book, announced, sleep):
        """A user who returns within the grace never left."""
        book.report([arrival("room", "ann")])
        since = book.present("room")[0].since
        book.report([Leave("room", "ann", 1.0)])
        assert users(book) == ["ann"]
        book.report([arrival("room", "ann")])
        sleep(1.2)
        book.report()
        assert [present.since for present in book.present("room")] == [since]
        book.report([Leave("room", "ann", 0.2)])
        sleep(0.3)
        # present() shows it, and the announcement is published.
        assert users(book) == []
        announced(("join", "ann"), ("leave", "ann"))

    def test_grace_is_over(self, book, announced, sleep):
        """Any process's report removes what has expired."""
        book.report([arrival("room", "ann"), Leave("room", "ann", 0.1)])
        sleep(0.2)
        book.report()
        announced(("join", "ann"), ("leave", "ann"))
        book.report([arrival("room", "ann")])
        announced(("join", "ann"), ("leave", "ann"), ("join", "ann"))

    def test_known(self, book):
        """A process learns whether its earlier reports are still known."""
        assert not book.report()
        assert book.report([arrival("room", "ann")])
        assert book.report()

    def test_many(self, book):
        """Many users at once."""
        book.report([arrival("room", f"user{n}", announced=False) for n in range(1000)])
        assert len(users(book)) == 1000
        book.report([Leave("room", f"user{n}", 0) for n in range(1000)])
        assert users(book) == []

    def test_odd_names(self, book):
        """Names may be any text."""
        for name in ("a b", "{x}", "ü\U0001f600", '"', "\\", "1", "[1]"):
            book.report([arrival(name, name, name)])
            assert [(p.user, p.info) for p in book.present(name)] == [(name, name)]

    def test_count(self, book):
        """A limit refuses exactly the streams beyond it."""
        book.report()
        assert book.count("user:ann", 1, 2)
        assert book.count("user:ann", 2, 2)
        assert not book.count("user:ann", 3, 2)
        assert book.count("user:ann", 1)
        assert book.count("user:ann", 2, 2)
        assert book.count("user:bob", 1, 1)
        assert book.count("user:bob", 5)

    def test_closed(self, broker, book):
        """It is closed with its broker."""
        broker.close()
        for ask in (
            lambda: book.report([arrival("room", "ann")]),
            book.sweep,
            lambda: book.present("room"),
            lambda: book.count("ann", 1, 2),
        ):
            with pytest.raises(BrokerClosed):
                ask()


class SharedPresenceContract(PresenceContract):
    """The suite for several processes. A subclass also has ``two()`` stores on the same data."""

    def test_two_processes(self, two, sleep):
        """A user is present as long as any process holds one."""
        one, other = two
        one.report([arrival("room", "ann")])
        other.report([arrival("room", "ann")])
        one.report([Leave("room", "ann", 0)])
        assert users(one) == users(other) == ["ann"]
        other.report([Leave("room", "ann", 0)])
        assert users(one) == []

    def test_process_that_was_killed(self, two, sleep, short_lease):
        """Only what a dead process held is undone."""
        one, other = two
        one.report([arrival("room", f"user{n}", announced=False) for n in range(500)])
        one.report([arrival("room", "both")])
        one.count("user:ann", 2)
        other.report([arrival("room", "both")])
        assert not other.count("user:ann", 1, 2)
        for _ in range(6):
            sleep(short_lease / 4)
            other.report()
        assert users(other) == ["both"]
        assert other.count("user:ann", 2, 2)
        # It only hung; it has to report everything again.
        assert not one.report()
        assert one.report([arrival("room", "user1")])
        assert one.report()
        assert sorted(users(other)) == ["both", "user1"]

    def test_everybody_was_silent(self, broker, two, sleep, short_lease, announced):
        """If no process could report for longer than a lease, no user has left because of that."""
        one, other = two
        people = [arrival("room", f"user{n}") for n in range(300)]
        assert not one.report(people)
        other.report([arrival("room", "bob")])
        sleep(short_lease * 2)
        assert one.report()
        assert other.report()
        assert len(users(one)) == 301
        announced(*[("join", each.user) for each in people], ("join", "bob"))

    def test_telling_takes_long(self, broker, two, sleep, short_lease, monkeypatch, announced):
        """Nobody expires during a long report."""
        one, other = two
        people = [arrival("room", f"user{n}") for n in range(10)]
        names = {f"name{n}": 1 for n in range(2000)}
        one.report(people)
        run = one._run

        def slow(*arguments):
            sleep(short_lease / 8)
            return run(*arguments)

        monkeypatch.setattr(one, "_run", slow)
        for _ in range(2):
            assert one.report((), names)
        announced(*[("join", each.user) for each in people])
        assert not other.count("name1999", 1, 1)

    def test_only_counts(self, two, sleep, short_lease):
        """A process with only a count is trusted until its lease ends."""
        one, other = two
        one.report()
        sleep(short_lease * 2)
        assert one.count("user:ann", 1, 1)
        assert not other.count("user:ann", 1, 1)
        for _ in range(6):
            sleep(short_lease / 4)
            other.report()
        assert other.count("user:ann", 1, 1)

    def test_counts_of_two(self, two):
        """A limit applies to all processes together."""
        one, other = two
        for book in two:
            book.report()
        assert one.count("user:ann", 2, 3)
        assert other.count("user:ann", 1, 3)
        assert not one.count("user:ann", 3, 3)
        assert other.count("user:ann", 0)
        assert one.count("user:ann", 3, 3)

    def test_nothing_is_left(self, two, keys):
        """When everybody has left, nothing is left in the store."""
        for book in two:
            book.report([arrival("room", "ann", json.dumps("x"))])
            book.count("user:ann", 1)
        for book in two:
            book.report([Leave("room", "ann", 0)])
            book.count("user:ann", 0)
        left = {key.partition("}:")[2].partition(":")[0] for key in keys()}
        assert left <= {"meta", "events", "floor", "token", "processes"}
