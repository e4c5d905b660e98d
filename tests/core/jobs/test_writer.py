"""Jobs that a task writes: from its block's beginning to its end, run again, taken over."""

import pytest

from sse_sync.brokers.jobs import JobName, Outcome
from sse_sync.event import ServerSentEvent, encode
from sse_sync.exceptions import BrokerUnavailable, ConfigurationError, EventError, JobOver
from sse_sync.jobs.writer import JobWriter, job
from tests.core.jobs.conftest import NAME
from tests.waiting import wait_for


@pytest.fixture
def write(jobs):
    """Return a writer, as a task has it."""

    def write(name=NAME, *, resume=True, **options):
        return JobWriter(jobs, name, encode, options, resume=resume, sleep=lambda seconds: None)

    return write


def test_block(write, jobs, output):
    """The job runs as long as the block."""
    with write(meta="July") as job:
        assert jobs.running == 1
        job.emit("a")
        job.emit({"n": 1})
        job.emit(ServerSentEvent("c"))
        assert (job.events, job.is_cancelled) == (3, False)
        assert jobs.get(NAME).meta == "July"
    record = jobs.get(NAME)
    assert (record.outcome, record.message) == (Outcome.FINISHED, "")
    assert output(record) == ["a", '{"n": 1}', "c"]
    assert jobs.running == 0


def test_exception(write, jobs):
    """A block that raises an exception makes the job fail."""
    with pytest.raises(ZeroDivisionError), write() as job:
        job.emit(1 / 0)
    assert (jobs.get(NAME).outcome, jobs.get(NAME).message) == (Outcome.FAILED, "internal error")


def test_process_ends(write, jobs):
    """A block that is left because its process ends leaves a lost job."""
    with pytest.raises(SystemExit), write():
        raise SystemExit
    assert jobs.get(NAME).outcome is Outcome.LOST


def test_run_again_after_being_killed(write, jobs, output):
    """A task that is run again goes on where the output ends."""
    killed = write().__enter__()
    killed.emit("a")
    killed.emit("b")
    with write() as job:
        assert job.events == 2
        with pytest.raises(JobOver, match="'report' takes no more output: it was ended elsewhere"):
            killed.emit("x")
        assert killed.is_cancelled
        job.emit("c")
    killed.__exit__(None, None, None)
    assert output(jobs.get(NAME)) == ["a", "b", "c"]
    assert jobs.get(NAME).outcome is Outcome.FINISHED


def test_begin_anew(write, jobs, output):
    """Or it begins anew, and those who viewed the former run are told."""
    killed = write().__enter__()
    killed.emit("a")
    former = jobs.get(NAME)
    with write(resume=False) as job:
        assert job.events == 0
        job.emit("b")
    killed.__exit__(None, None, None)
    assert jobs.get(NAME).run != former.run
    assert output(jobs.get(NAME)) == ["b"]
    assert jobs.get(NAME).outcome is Outcome.FINISHED


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.LOST])
def test_run_again_after_a_failure(write, jobs, broker, output, outcome):
    """After a failure the next attempt is a new run."""
    with write() as job:
        job.emit("a")
        broker.jobs.finish(job.hold, outcome)
    with write() as job:
        job.emit("b")
    assert output(jobs.get(NAME)) == ["b"]


@pytest.mark.parametrize("outcome", [Outcome.FINISHED, Outcome.CANCELLED])
def test_nothing_to_do(write, broker, outcome):
    """A task that is run again although its job is settled does nothing."""
    with write() as job:
        broker.jobs.finish(job.hold, outcome)
    with pytest.raises(JobOver, match=f"it is {outcome}"), write():
        raise AssertionError("the block was entered")


def test_cancelled(write, jobs, broker):
    """The block is told, at the latest by its next event."""
    with write() as job:
        jobs.cancel(NAME, "enough")
        wait_for(lambda: job.is_cancelled, "the news")
        with pytest.raises(JobOver):
            job.emit("a")
    assert (jobs.get(NAME).outcome, jobs.get(NAME).message) == (Outcome.CANCELLED, "enough")


def test_too_much(write, jobs):
    """More than the job may have is refused, and the job fails."""
    with write(max_bytes=20) as job:
        job.emit("a")
        with pytest.raises(JobOver, match="the output is too large"):
            job.emit("x" * 20)
    assert (jobs.get(NAME).outcome, jobs.get(NAME).message) == (
        *(Outcome.FAILED, "the output is too large"),
    )


def test_what_cannot_be_sent(write, jobs, output):
    """It is refused where it is emitted, and the job goes on."""
    with write() as job:
        with pytest.raises(EventError):
            job.emit(b"bytes")
        job.emit("a")
    assert output(jobs.get(NAME)) == ["a"]


def test_broker_is_away(write, jobs, broker, output, monkeypatch):
    """An event whose answer was lost is stored once."""
    failing = iter([True, False, True, True, False])
    stored = broker.jobs.write

    def unreliable(*args):
        written = stored(*args)
        if next(failing, False):
            raise BrokerUnavailable("it", "is away")
        return written

    monkeypatch.setattr(broker.jobs, "write", unreliable)
    with write() as job:
        job.emit("a")
        job.emit("b")
    assert output(jobs.get(NAME)) == ["a", "b"]


def test_broker_stays_away(jobs, broker, monkeypatch):
    """Whoever emits is told after a while."""
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    def away(*args):
        raise BrokerUnavailable("it", "is away")

    writer = JobWriter(jobs, NAME, encode, {}, clock=lambda: now[0], sleep=sleep)
    with writer as job:
        monkeypatch.setattr(broker.jobs, "write", away)
        with pytest.raises(BrokerUnavailable):
            job.emit("a")
    assert 60 <= now[0] < 61


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_goes_on_after_an_outage(jobs, broker, output, monkeypatch, is_stored, again):
    """Whoever goes on, with the same event or the next one, loses none and has none twice."""
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    stored = broker.jobs.write

    def away(*args):
        if is_stored:
            stored(*args)
        raise BrokerUnavailable("it", "is away")

    with JobWriter(jobs, NAME, encode, {}, clock=lambda: now[0], sleep=sleep) as job:
        job.emit("a")
        with monkeypatch.context() as patch:
            patch.setattr(broker.jobs, "write", away)
            with pytest.raises(BrokerUnavailable):
                job.emit("b")
        if again:
            job.emit("b")
        job.emit("c")
        job.emit("c")
        assert job.events == 4
    assert output(jobs.get(NAME)) == ["a", "b", "c", "c"]


def test_in_a_script(hub, jobs, output):
    """A script has a hub, and no application."""
    with job(hub, "report", user=7, meta="x") as written:
        written.emit({"n": 1})
    record = jobs.get(JobName("report", "7"))
    assert (record.meta, record.outcome, output(record)) == ("x", Outcome.FINISHED, ['{"n": 1}'])


def test_outside_its_block(write):
    """A writer is of use in its block only."""
    with pytest.raises(RuntimeError, match="in the block of a with statement"):
        write().emit("a")
    with pytest.raises(ConfigurationError):
        write(JobName("other"), lifetime=5)
