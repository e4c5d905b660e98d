"""The contract of job stores. Each broker's test module runs it."""

import pytest

from sse_sync.brokers.jobs import (
    CONTROL,
    Hold,
    JobName,
    JobTerms,
    Outcome,
    View,
    Written,
    job_channel,
)
from sse_sync.brokers.messages import COMMENT, JOB_END
from sse_sync.exceptions import JobRefused
from tests.core.brokers.broker_contract import Receiver

NAME = JobName("report")
TERMS = JobTerms()
NOTHING = set(), set(), set()


def body(text):
    """An event as it is stored."""
    return f"data: {text}\n\n".encode()


class JobContract:
    """The suite. A subclass has ``make()``, ``wait_until(condition)`` and ``sleep(seconds)``."""

    @pytest.fixture
    def receiver(self):
        return Receiver()

    @pytest.fixture
    def broker(self, make, receiver):
        broker = make()
        broker.start(receiver)
        yield broker
        broker.close()

    @pytest.fixture
    def store(self, broker):
        return broker.jobs

    @pytest.fixture
    def output(self, broker):
        """Returns the stored bodies of a run, with how it ended."""

        def output(record):
            begins, floors = broker.beginning([record.channel], None)
            messages = broker.history([record.channel], begins, floors=floors).messages
            ends = [message.meta["outcome"] for message in messages if message.event == JOB_END]
            return [m.body for m in messages if m.event != JOB_END], ends

        return output

    def test_from_start_to_finish(self, store, output, broker):
        """A job runs, is written to, and ends; all of it is read from its beginning."""
        before = broker.position()
        record, hold = store.start(NAME, TERMS._replace(meta={"title": "July", "tags": []}))
        assert (record.name, record.outcome, record.events) == (NAME, None, 0)
        assert hold == Hold(NAME, record.run, record.fence)
        assert record.begins >= before
        assert store.write(hold, 0, [body("a"), body("b")]) is Written.STORED
        assert store.write(hold, 2, [body("c")]) is Written.STORED
        now = store.get(NAME)
        assert (now.events, now.bytes, now.outcome, now.ends) == (3, 3 * len(body("a")), None, None)
        assert store.finish(hold, Outcome.FINISHED)
        over = store.get(NAME)
        assert (over.outcome, over.message, over.meta) == (
            *(Outcome.FINISHED, ""),
            {"title": "July", "tags": []},
        )
        assert over.started <= over.ended
        assert over.begins < over.ends <= broker.position()
        assert output(record) == ([body("a"), body("b"), body("c")], ["finished"])

    def test_the_end_is_no_event(self, store, broker, receiver, wait_until):
        """What is delivered at the end is a comment without an id, and says how the job ended."""
        record, hold = store.start(NAME, TERMS)
        broker.subscribe([record.channel])
        store.write(hold, 0, [body("a")])
        store.finish(hold, Outcome.FAILED, "no disk")
        wait_until(lambda: len(receiver.messages) == 2)
        first, last = receiver.messages
        assert (first.body, first.end) == (body("a"), None)
        assert first.wire == f"id: {first.position}\n".encode() + body("a")
        assert last.wire == COMMENT
        assert (last.end.reason.name, last.end.final) == ("FAILED", True)
        assert last.end.data == '{"outcome": "failed", "message": "no disk"}'
        assert last.position == store.get(NAME).ends

    def test_one_run_for_each_name(self, store):
        """Whoever comes second gets the job, and no right to write."""
        record, _ = store.start(NAME, TERMS)
        again, hold = store.start(NAME, TERMS, restart=True)
        assert (again.run, hold) == (record.run, None)
        other, hold = store.start(JobName("report", "ann"), TERMS)
        assert other.run != record.run
        assert hold is not None

    def test_begin_anew(self, store, output):
        """A job that is over begins anew only if asked to; its former output stays readable."""
        record, hold = store.start(NAME, TERMS)
        store.write(hold, 0, [body("old")])
        store.finish(hold, Outcome.FINISHED)
        again, nothing = store.start(NAME, TERMS)
        assert (again.run, again.outcome, nothing) == (record.run, Outcome.FINISHED, None)
        new, mine = store.start(NAME, TERMS, restart=True)
        assert new.run != record.run
        assert (new.outcome, new.events) == (None, 0)
        assert store.write(hold, 1, [body("late")]) is Written.REFUSED
        assert store.write(mine, 0, [body("new")]) is Written.STORED
        assert output(new) == ([body("new")], [])
        assert output(record) == ([body("old")], ["finished"])

    def test_nothing_after_the_end(self, store, output):
        """What comes after the end is refused, a second end included."""
        record, hold = store.start(NAME, TERMS)
        assert store.finish(hold, Outcome.FINISHED)
        assert store.write(hold, 0, [body("a")]) is Written.REFUSED
        assert not store.finish(hold, Outcome.FAILED)
        assert not store.cancel(NAME)
        assert output(record) == ([], ["finished"])

    def test_taken_over(self, store, output):
        """Whoever takes a job over goes on; the former holder is refused, and learns of it."""
        record, former = store.start(NAME, TERMS)
        store.write(former, 0, [body("a")])
        taken, hold = store.start(NAME, TERMS, take=True)
        assert (taken.run, taken.events) == (record.run, 1)
        assert hold.fence > former.fence
        assert store.write(former, 1, [body("x")]) is Written.REFUSED
        assert not store.finish(former, Outcome.FAILED)
        assert store.tick([former, hold], []).gone == {record.run}
        assert store.write(hold, 1, [body("b")]) is Written.STORED
        assert store.finish(hold, Outcome.FINISHED)
        assert output(record) == ([body("a"), body("b")], ["finished"])

    def test_repeated_writes(self, store, output):
        """A write that is repeated stores nothing twice; one after a loss stores nothing."""
        record, hold = store.start(NAME, TERMS)
        assert store.write(hold, 0, [body("a")]) is Written.STORED
        assert store.write(hold, 0, [body("a")]) is Written.STORED
        assert store.write(hold, 0, [body("a"), body("b")]) is Written.STORED
        assert store.write(hold, 3, [body("d")]) is Written.GAP
        assert output(record) == ([body("a"), body("b")], [])

    def test_too_much(self, store, output):
        """An output is bounded, and a write that is too much stores nothing."""
        record, hold = store.start(NAME, TERMS._replace(max_bytes=2 * len(body("a"))))
        assert store.write(hold, 0, [body("a")]) is Written.STORED
        assert store.write(hold, 1, [body("b"), body("c")]) is Written.FULL
        assert store.write(hold, 1, [body("b")]) is Written.STORED
        assert output(record) == ([body("a"), body("b")], [])

    def test_not_trimmed(self, make, output):
        """An output is kept whole, however little of a channel is kept."""
        broker = make(history=2, max_age=1.0)
        broker.start(Receiver())
        store = broker.jobs
        record, hold = store.start(NAME, TERMS)
        bodies = [body(number) for number in range(50)]
        store.write(hold, 0, bodies)
        begins, floors = broker.beginning([record.channel], None)
        found = broker.history([record.channel], begins, floors=floors)
        assert found.complete
        assert [message.body for message in found.messages] == bodies
        middle = found.messages[24].position
        assert len(broker.history([record.channel], middle).messages) == 25
        broker.close()

    def test_cancel(self, store, broker, receiver, wait_until, output):
        """Anybody can end a job; its viewers and its holder are told."""
        assert not store.cancel(NAME)
        record, hold = store.start(NAME, TERMS)
        broker.subscribe([record.channel, CONTROL])
        assert store.cancel(NAME, "enough")
        wait_until(lambda: len(receiver.messages) == 2)
        assert [m.channel for m in receiver.messages] == [record.channel, CONTROL]
        assert receiver.messages[1].meta == {"run": record.run}
        now = store.get(NAME)
        assert (now.outcome, now.message) == (Outcome.CANCELLED, "enough")
        assert store.write(hold, 0, [body("a")]) is Written.REFUSED
        assert store.tick([hold], []).gone == {record.run}
        assert output(record) == ([], ["cancelled"])

    def test_listing(self, store):
        """Jobs are found by their user, until their output is no longer kept."""
        ann, _ = store.start(JobName("a", "ann"), TERMS)
        _, hold = store.start(JobName("b", "ann"), TERMS)
        store.start(JobName("a", "bob"), TERMS)
        store.start(JobName("a"), TERMS)
        store.finish(hold, Outcome.FINISHED)
        assert {record.name for record in store.find("ann")} == {("a", "ann"), ("b", "ann")}
        assert len(store.find()) == 4
        assert store.find("eve") == []
        assert {record.outcome for record in store.find("ann")} == {None, Outcome.FINISHED}
        assert ann in store.find("ann")

    def test_limit(self, store):
        """A user can have so many running jobs, and a job that exists is none more."""
        _, hold = store.start(JobName("a", "ann"), TERMS, limit=2)
        store.start(JobName("b", "ann"), TERMS, limit=2)
        with pytest.raises(JobRefused, match="2 jobs already"):
            store.start(JobName("c", "ann"), TERMS, limit=2)
        store.start(JobName("c", "bob"), TERMS, limit=2)
        assert store.start(JobName("a", "ann"), TERMS, limit=2)[1] is None
        store.finish(hold, Outcome.FINISHED)
        assert store.start(JobName("c", "ann"), TERMS, limit=2)[1] is not None

    def test_forgotten(self, store, broker, sleep):
        """Output is kept for so long after the end, and then gone with everything else."""
        record, hold = store.start(NAME, TERMS._replace(keep_for=0.5))
        store.write(hold, 0, [body("a")])
        sleep(0.7)
        assert store.get(NAME).events == 1
        store.finish(hold, Outcome.FINISHED)
        assert store.get(NAME).outcome is Outcome.FINISHED
        sleep(0.7)
        assert store.get(NAME) is None
        assert store.find() == []
        begins, floors = broker.beginning([record.channel], None)
        assert broker.history([record.channel], begins, floors=floors).messages == []

    def test_no_longer_kept(self, store, sleep):
        """A process learns that what its clients view is gone; a former run is, when its time is
        over, and a run without output is there.
        """
        record, hold = store.start(NAME, TERMS._replace(keep_for=0.6))
        view = View(NAME, record.run)
        assert store.tick([], [view]) == NOTHING
        store.write(hold, 0, [body("a")])
        store.finish(hold, Outcome.FINISHED)
        new, _ = store.start(NAME, TERMS, restart=True)
        assert store.tick([], [view, View(NAME, new.run)]) == NOTHING
        sleep(0.8)
        unknown = View(JobName("unknown"), "its-run")
        tick = store.tick([], [view, View(NAME, new.run), unknown])
        assert tick.forgotten == {record.run, "its-run"}

    def test_alone(self, store, sleep):
        """A job that nobody has viewed for a while is named to its holder."""
        record, hold = store.start(NAME, TERMS._replace(stop_when_alone=0.4))
        other, hers = store.start(JobName("other"), TERMS)
        assert store.tick([hold, hers], []).alone == set()
        sleep(0.3)
        assert store.tick([hold], [View(NAME, record.run)]) == NOTHING
        sleep(0.3)
        assert store.tick([hold, hers], []).alone == set()
        sleep(0.3)
        assert store.tick([hold, hers], []).alone == {record.run}
        assert other.channel == job_channel(other.run)


class SharedJobContract(JobContract):
    """
    For stores that several processes share. A subclass has ``two``, stores of two processes, and
    ``short_lease``.
    """

    def test_whoever_is_first(self, two):
        """Of two processes that start a job, one runs it."""
        one, other = two
        record, hold = one.start(NAME, TERMS)
        again, nothing = other.start(NAME, TERMS)
        assert (again, nothing) == (record, None)
        assert one.write(hold, 0, [body("a")]) is Written.STORED
        assert other.get(NAME).events == 1
        assert other.cancel(NAME)
        assert one.write(hold, 1, [body("b")]) is Written.REFUSED

    def test_lost(self, two, short_lease, sleep):
        """A holder that renews no lease is taken for dead; one that does is not."""
        one, other = two
        record, hold = one.start(NAME, TERMS)
        _, hers = other.start(JobName("other"), TERMS)
        for _ in range(6):
            sleep(short_lease / 4)
            other.tick([hers], [])
        over = other.get(NAME)
        assert (over.outcome, over.message) == (Outcome.LOST, "its process is gone")
        assert over.ends is not None
        assert other.get(JobName("other")).outcome is None
        assert one.write(hold, 0, [body("a")]) is Written.REFUSED
        assert one.tick([hold], []).gone == {record.run}
        again, mine = other.start(NAME, TERMS, restart=True)
        assert again.run != record.run
        assert mine is not None

    def test_viewers_notice(self, two, short_lease, sleep):
        """It is enough that somebody views a job."""
        one, other = two
        record, _ = one.start(NAME, TERMS)
        for _ in range(6):
            sleep(short_lease / 4)
            other.tick([], [View(NAME, record.run)])
        assert other.get(NAME).outcome is Outcome.LOST

    def test_nobody_could_renew(self, two, short_lease, sleep):
        """After a while in which nobody could renew, as without the broker, nobody is lost."""
        one, other = two
        record, hold = one.start(NAME, TERMS)
        one.tick([hold], [])
        sleep(2 * short_lease)
        assert other.tick([], [View(NAME, record.run)]) == NOTHING
        assert one.tick([hold], []).gone == set()
        assert one.write(hold, 0, [body("a")]) is Written.STORED

    def test_alone(self, two, short_lease, sleep):
        """The same. But processes tell only now and then that they have viewers, and not while the
        broker is away.
        """
        one, other = two
        record, hold = one.start(NAME, TERMS._replace(stop_when_alone=short_lease / 10))
        _, hers = other.start(JobName("other"), TERMS)
        assert other.tick([hers], [View(NAME, record.run)]) == NOTHING
        sleep(short_lease / 4)
        assert one.tick([hold, hers], []).alone == set()
        sleep(short_lease)
        assert one.tick([hold, hers], []).alone == set()
        for _ in range(3):
            sleep(short_lease / 4)
            alone = one.tick([hold, hers], []).alone
        assert alone == {record.run}
