"""The contract of brokers. Each broker's test module runs it."""

import threading

import pytest

from sse_sync.brokers.base import Message, Position, Publication
from sse_sync.exceptions import BrokerClosed


class Receiver:
    """Records what it receives."""

    def __init__(self):
        self.messages = []
        self.interruptions = 0
        self.problems = []

    def receive(self, messages):
        self.messages += messages

    def interrupted(self):
        self.interruptions += 1

    def reached(self, position):
        self.position = position

    def degraded(self, problem):
        self.problems.append(problem)

    def review(self):
        pass

    def bodies(self):
        return [message.body for message in self.messages]


class BrokerContract:
    """The suite. A subclass has fixtures ``make(**options)`` and ``wait_until(condition)``."""

    @pytest.fixture
    def receiver(self):
        return Receiver()

    @pytest.fixture
    def broker(self, make, receiver):
        broker = make()
        broker.start(receiver)
        yield broker
        broker.close()

    def test_publish_and_receive(self, broker, receiver, wait_until):
        """An event arrives as published if its channel is subscribed."""
        broker.subscribe(["a", "b"])
        first = broker.publish(
            Publication("a", b"data: 1\n\n", event="e", key="k", meta={"m": [1]})
        )
        broker.publish(Publication("c", b"data: 2\n\n"))
        third = broker.publish(Publication("b", b"data: 3\n\n"))
        wait_until(lambda: len(receiver.messages) == 2)
        assert receiver.messages == [
            Message("a", first, b"data: 1\n\n", "e", "k", {"m": [1]}),
            Message("b", third, b"data: 3\n\n", None, None, None),
        ]

    @pytest.mark.parametrize("keep", [True, False])
    def test_sender(self, broker, receiver, wait_until, keep):
        """Whose event it is travels beside it, and is stored with it."""
        start = broker.subscribe(["a"])
        position = broker.publish(Publication("a", b"data: 1\n\n", keep=keep, sender="tab"))
        wait_until(lambda: receiver.messages)
        expected = Message("a", position, b"data: 1\n\n", kept=keep, sender="tab")
        assert receiver.messages == [expected]
        broker.unsubscribe(["a"])
        assert broker.history(["a"], start).messages == ([expected] if keep else [])

    def test_meta_is_what_it_was(self, broker):
        """It is the value in JSON at the time of publishing, so that it selects the same later."""
        start = broker.position()
        meta = {"tenant": 1, 7: (1, 2)}
        broker.publish(Publication("a", b"data: 1\n\n", meta=meta))
        meta["tenant"] = 2
        (message,) = broker.history(["a"], start).messages
        assert message.meta == {"tenant": 1, "7": [1, 2]}

    def test_positions_increase_across_channels(self, broker):
        """Each position is later than all before, whatever its channel."""
        positions = [broker.publish(Publication(f"c{n % 3}", b"data: x\n\n")) for n in range(50)]
        assert len({position.epoch for position in positions}) == 1
        numbers = [position.number for position in positions]
        assert numbers == sorted(set(numbers))
        assert broker.position() == positions[-1]

    def test_positions_are_event_ids(self, broker):
        """A position survives being an event ID, which is short ASCII."""
        position = broker.publish(Publication("a", b"data: x\n\n"))
        assert Position.parse(str(position)) == position
        assert str(position).isascii()
        assert len(str(position)) < 40

    def test_unsubscribe(self, broker, receiver, wait_until):
        """A channel is not received after unsubscribe()."""
        broker.subscribe(["a", "b"])
        broker.unsubscribe(["a"])
        broker.publish(Publication("a", b"data: 1\n\n"))
        broker.publish(Publication("b", b"data: 2\n\n"))
        wait_until(lambda: receiver.messages)
        assert receiver.bodies() == [b"data: 2\n\n"]

    def test_history(self, broker):
        """The history of some channels is merged in the order of positions."""
        start = broker.position()
        positions = [
            broker.publish(Publication(f"c{n % 3}", b"data: %d\n\n" % n)) for n in range(9)
        ]
        messages, complete = broker.history(["c0", "c2"], start)
        assert complete
        assert [m.body for m in messages] == [b"data: %d\n\n" % n for n in (0, 2, 3, 5, 6, 8)]
        messages, complete = broker.history(["c0", "c2"], positions[5])
        assert complete
        assert [m.position for m in messages] == [positions[6], positions[8]]
        assert broker.history(["c0"], positions[-1]) == ([], True)
        assert broker.history(["never"], start) == ([], True)

    def test_events_that_are_not_kept(self, broker, receiver, wait_until):
        """They arrive in order with the others, but are not in the history."""
        broker.subscribe(["a"])
        start = broker.position()
        first = broker.publish(Publication("a", b"data: 1\n\n"))
        passing = broker.publish(
            Publication("a", b"data: 2\n\n", event="e", meta={"m": 1}, keep=False)
        )
        third = broker.publish(Publication("a", b"data: 3\n\n"))
        assert broker.position() == third
        wait_until(lambda: len(receiver.messages) == 3)
        assert [m.position for m in receiver.messages] == [first, passing, third]
        assert receiver.messages[1] == Message(
            "a", passing, b"data: 2\n\n", "e", None, {"m": 1}, kept=False
        )
        messages, complete = broker.history(["a"], start)
        assert complete
        assert [m.position for m in messages] == [first, third]
        # A client whose last event was one of these has missed nothing.
        messages, complete = broker.history(["a"], passing)
        assert complete
        assert [m.position for m in messages] == [third]

    def test_nothing_is_kept(self, broker):
        """Events that are not kept start no history, and push none out."""
        start = broker.position()
        for _ in range(3):
            broker.publish(Publication("a", b"data: x\n\n", keep=False))
        assert broker.history(["a"], start) == ([], True)

    def test_token_of_what_is_not_kept(self, broker, receiver, wait_until):
        """Its token is remembered like any other."""
        broker.subscribe(["a"])
        first = broker.publish(Publication("a", b"data: 1\n\n", token="t", keep=False))
        assert broker.publish(Publication("a", b"data: 1\n\n", token="t", keep=False)) == first
        broker.publish(Publication("a", b"data: 2\n\n"))
        wait_until(lambda: len(receiver.messages) == 2)

    def test_history_of_another_epoch(self, broker):
        """Positions of other epochs and of the future prove nothing."""
        position = broker.publish(Publication("a", b"data: 1\n\n"))
        assert broker.history(["a"], Position("other", position.number)) == ([], False)
        later = Position(position.epoch, position.number + 1)
        assert broker.history(["a"], later) == ([], False)

    def test_trimmed_history(self, make, receiver):
        """If events that a client has not seen were dropped, the history is incomplete."""
        broker = make(history=3)
        broker.start(receiver)
        start = broker.position()
        positions = [broker.publish(Publication("a", b"data: %d\n\n" % n)) for n in range(5)]
        assert broker.history(["a"], start) == ([], False)
        assert broker.history(["a"], positions[0]) == ([], False)
        messages, complete = broker.history(["a"], positions[1])
        assert complete
        assert [m.position for m in messages] == positions[2:]
        broker.close()

    def test_beginning(self, broker):
        """The latest events of some channels together begin after a position."""
        broker.publish(Publication("other", b"data: x\n\n"))
        positions = [
            broker.publish(Publication(f"c{n % 3}", b"data: %d\n\n" % n)) for n in range(90)
        ]
        latest = broker.publish(Publication("other", b"data: x\n\n"))
        mine = [position for n, position in enumerate(positions) if n % 3 != 1]
        for events, expected in ((1, mine[-1:]), (25, mine[-25:]), (60, mine), (None, mine)):
            position, floors = broker.beginning(["c0", "c2"], events)
            assert position.number == expected[0].number - 1
            messages, complete = broker.history(["c0", "c2"], position, None, floors)
            assert complete
            assert [message.position for message in messages] == expected
        position, floors = broker.beginning(["never"], 5)
        assert position == latest
        assert broker.history(["never"], position, None, floors) == ([], True)

    @pytest.mark.parametrize("events", [None, 1000])
    def test_beginning_of_what_was_trimmed(self, make, receiver, events):
        """It begins with what each channel still has, and nothing of that is missing."""
        broker = make(history=3, channels={"quiet": (100, 60)})
        broker.start(receiver)
        quiet = [broker.publish(Publication("quiet", b"data: q\n\n")) for _ in range(2)]
        busy = [broker.publish(Publication("busy", b"data: b\n\n")) for _ in range(7)]
        position, known = broker.beginning(["quiet", "busy"], events)
        floors = dict(known)
        assert position.number == quiet[0].number - 1
        messages, complete = broker.history(["quiet", "busy"], position, None, floors)
        assert complete
        assert [message.position for message in messages] == quiet + busy[4:]
        # For a client that knows that position, events of the other channel are missing.
        assert not broker.history(["quiet", "busy"], position).complete
        # Of a channel that the client has had nothing of, nothing is missing that is dropped later.
        busy += [broker.publish(Publication("busy", b"data: b\n\n")) for _ in range(2)]
        messages, complete = broker.history(["quiet", "busy"], position, None, floors)
        assert complete
        assert [message.position for message in messages] == quiet + busy[6:]
        # Of any other it is.
        del floors["busy"]
        assert broker.history(["quiet", "busy"], busy[4], None, floors) == ([], False)
        later = broker.history(["quiet", "busy"], busy[5], None, floors)
        assert (later.complete, len(later.messages)) == (True, 3)
        broker.close()

    def test_beginning_of_what_is_too_old(self, make, receiver, wait_until):
        """An event that is older than what is kept does not come back."""
        broker = make(channels={"brief": (10, 0.1)})
        broker.start(receiver)
        broker.publish(Publication("brief", b"data: 1\n\n"))
        other = broker.publish(Publication("other", b"data: 2\n\n"))
        wait_until(
            lambda: broker.beginning(["brief", "other"], None).position.number == other.number - 1
        )
        position, floors = broker.beginning(["brief", "other"], None)
        messages, complete = broker.history(["brief", "other"], position, None, floors)
        assert complete
        assert [message.position for message in messages] == [other]
        broker.close()

    @pytest.mark.parametrize("events", [None, 5])
    def test_beginning_beside_an_unused_channel(self, make, receiver, wait_until, events):
        """A channel that has had no events takes none from one that keeps them for longer."""
        broker = make(max_age=0.1, channels={"long": (10, 60)})
        broker.start(receiver)
        kept = broker.publish(Publication("long", b"data: 1\n\n"))
        usual = broker.publish(Publication("usual", b"data: 2\n\n"))
        wait_until(lambda: broker.beginning(["usual"], None).position == usual)
        broker.publish(Publication("other", b"data: 3\n\n"))
        position, floors = broker.beginning(["long", "unused"], events)
        messages, complete = broker.history(["long", "unused"], position, None, floors)
        assert complete
        assert [message.position for message in messages] == [kept]
        broker.close()

    def test_subscription_has_no_gap(self, broker, receiver, wait_until):
        """Every event after the position that subscribe() returns is received."""
        stop = threading.Event()
        published = []

        def publish():
            while not stop.is_set():
                published.append(broker.publish(Publication("a", b"data: x\n\n")))

        thread = threading.Thread(target=publish)
        thread.start()
        wait_until(lambda: len(published) > 20)
        since = broker.subscribe(["a"])
        wait_until(lambda: len(receiver.messages) > 20)
        stop.set()
        thread.join(10)
        expected = [position for position in published if position.number > since.number]
        wait_until(lambda: receiver.messages[-1].position == published[-1])
        received = [message.position for message in receiver.messages]
        assert [p for p in received if p.number > since.number] == expected

    def test_concurrent_publishers(self, broker, receiver, wait_until):
        """Events of many publishers arrive once and in order."""
        broker.subscribe(["a"])

        def publish(name):
            for number in range(50):
                broker.publish(Publication("a", b"data: %d %d\n\n" % (name, number)))

        threads = [threading.Thread(target=publish, args=[name]) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        wait_until(lambda: len(receiver.messages) == 200)
        numbers = [message.position.number for message in receiver.messages]
        assert numbers == sorted(set(numbers))
        for name in range(4):
            own = [body for body in receiver.bodies() if body.startswith(b"data: %d " % name)]
            assert own == [b"data: %d %d\n\n" % (name, number) for number in range(50)]

    def test_token(self, broker, receiver, wait_until):
        """Publishing twice with the same token stores one event."""
        since = broker.subscribe(["a"])
        first = broker.publish(Publication("a", b"data: 1\n\n", token="t"))
        other = broker.publish(Publication("a", b"data: 2\n\n", token="u"))
        assert broker.publish(Publication("a", b"data: 1\n\n", token="t")) == first
        last = broker.publish(Publication("a", b"data: 3\n\n"))
        wait_until(lambda: receiver.messages and receiver.messages[-1].position == last)
        assert receiver.bodies() == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]
        # The history of a channel that is subscribed may come from what has been received so far.
        broker.unsubscribe(["a"])
        assert [m.position for m in broker.history(["a"], since).messages] == [first, other, last]

    def test_channels_of_their_own(self, make):
        """Channels may keep more or fewer events than others."""
        broker = make(history=3, channels={"chat-*": (1, 60), "chat-9": (5, 60), "big": (5, 60)})
        start = broker.position()
        kept = {}
        for channel in ("chat-9", "big", "other"):
            for _ in range(4):
                broker.publish(Publication(channel, b"data: x\n\n"))
            before = broker.publish(Publication(channel, b"data: x\n\n"))
            broker.publish(Publication(channel, b"data: x\n\n"))
            kept[channel] = broker.history([channel], before)
        assert all(len(history.messages) == 1 and history.complete for history in kept.values())
        assert broker.history(["chat-9"], start) == ([], False)
        assert not broker.history(["big"], start).complete
        # The first match counts.
        first = broker.publish(Publication("chat-9", b"data: x\n\n"))
        broker.publish(Publication("chat-9", b"data: x\n\n"))
        assert broker.history(["chat-9"], first).complete
        broker.publish(Publication("chat-9", b"data: x\n\n"))
        assert not broker.history(["chat-9"], first).complete

    def test_closed(self, make, receiver):
        """A closed broker refuses to work; closing is idempotent."""
        broker = make()
        broker.start(receiver)
        broker.close()
        broker.close()
        with pytest.raises(BrokerClosed, match="the broker is closed"):
            broker.publish(Publication("a", b"data: x\n\n"))
        with pytest.raises(BrokerClosed):
            broker.subscribe(["a"])
        with pytest.raises(BrokerClosed):
            broker.history(["a"], Position("a", 1))
        with pytest.raises(BrokerClosed):
            broker.beginning(["a"], 1)
        broker.unsubscribe(["a"])
