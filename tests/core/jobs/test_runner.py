"""Running a source as a job: what it yields, how it ends, and a broker that is away."""

import contextlib
import contextvars
import logging

import pytest

from sse_sync.brokers.jobs import Outcome
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.brokers.memory_jobs import MemoryJobStore
from sse_sync.channels.hub import Hub
from sse_sync.event import ServerSentEvent, encode
from sse_sync.exceptions import BrokerUnavailable, EventError
from sse_sync.jobs import runner
from sse_sync.jobs.manager import jobs_of
from tests.core.jobs.conftest import NAME, Steps
from tests.waiting import wait_for

request_id = contextvars.ContextVar("request_id", default=None)


def test_all_that_is_yielded(start, ended, output):
    """Text, events and values are published in order, each once."""

    def source():
        yield "a"
        yield {"n": 1}
        yield ServerSentEvent("c")

    record = start(source())
    assert ended() == (Outcome.FINISHED, "")
    assert output(record) == ["a", '{"n": 1}', "c"]


def test_exception(start, ended, output, caplog):
    """A source that raises an exception fails; the exception is logged, and its text not shown."""

    def source():
        yield "a"
        raise ValueError("secret")

    record = start(source())
    assert ended() == (Outcome.FAILED, "internal error")
    assert output(record) == ["a"]
    assert "secret" in caplog.text
    assert "the job 'report' has failed: ValueError" in caplog.text


def test_what_cannot_be_sent(start, ended, output):
    """It is an error at the yield, after which the source can go on."""

    def source():
        try:
            yield ServerSentEvent("a", id="7")
        except EventError as exc:
            yield str(exc.field)

    record = start(source())
    assert ended() == (Outcome.FINISHED, "")
    assert output(record) == ["id"]


def test_no_request(threads, broker, caplog):
    """A source runs in the application's context, and not in that of the caller."""
    entered, seen = [], []

    @contextlib.contextmanager
    def within():
        entered.append("in")
        yield
        entered.append("out")

    def source():
        seen.append((request_id.get(), list(entered)))
        yield "a"

    request_id.set("7")
    with Hub(broker, within=within) as hub:
        jobs_of(hub).start(NAME, source(), encode, {})
        wait_for(lambda: entered, "the context", equals=["in", "out"])
        wait_for(lambda: jobs_of(hub).running, "the end", equals=0)
    assert seen == [(None, ["in"])]


def test_context_that_fails(threads, broker, caplog):
    """A job whose context cannot be entered fails, and is over."""

    def within():
        raise RuntimeError("no database")

    with Hub(broker, within=within) as hub:
        jobs_of(hub).start(NAME, iter("a"), encode, {})
        wait_for(lambda: broker.jobs.get(NAME).outcome, "the end", equals=Outcome.FAILED)
        wait_for(lambda: jobs_of(hub).running, "the end", equals=0)
    assert "no database" in caplog.text


def test_cancelled_in_a_thread(jobs, start, ended, output):
    """Viewers are told at once; the source ends at its next step, and its finally runs."""
    steps = Steps("a", "b", "c")
    record = start(steps())
    steps.go_on()
    wait_for(lambda: output(record), "the first step", equals=["a"])
    assert jobs.cancel(NAME, "enough")
    assert jobs.get(NAME).outcome is Outcome.CANCELLED
    assert steps.ended == []
    wait_for(lambda: jobs._holders[record.run]._ending, "the job to know")
    steps.go_on(3)
    assert ended() == (Outcome.CANCELLED, "enough")
    assert len(steps.ended) == 1
    assert output(record) == ["a"]


def test_too_long(jobs, start, ended, output):
    """A job that takes too long fails, and its source ends at its next step."""
    steps = Steps("a", "b")
    record = start(steps(), max_seconds=0.01)
    wait_for(lambda: jobs.get(NAME).outcome, "the end", equals=Outcome.FAILED)
    steps.go_on(2)
    assert ended() == (Outcome.FAILED, "it took longer than 0.01 seconds")
    assert len(steps.ended) == 1
    assert output(record) == []


def test_too_much(start, ended, output, caplog):
    """A job that yields more than it may fails, with what it yielded before."""
    record = start(iter(["aaaa", "bbbb", "cccc"]), max_bytes=25)
    assert ended() == (Outcome.FAILED, "the output is too large")
    assert output(record) == ["aaaa", "bbbb"]
    assert "exceeds max_bytes" in caplog.text


class Away(MemoryBroker):
    """A broker whose job store can be away."""

    failures = 0

    @property
    def jobs(self):
        return Store(self, super().jobs)


class Store:
    """A job store that fails so often, before or after storing."""

    def __init__(self, broker, store):
        self.broker, self.store = broker, store

    def __getattr__(self, name):
        what = getattr(self.store, name)

        def asked(*args, **arguments):
            if self.broker.failures > 0:
                self.broker.failures -= 1
                if self.broker.failures % 2:
                    what(*args, **arguments)
                raise BrokerUnavailable("it", "is away")
            return what(*args, **arguments)

        return asked


@pytest.mark.parametrize("failures", [1, 2, 3, 4])
def test_broker_is_away(threads, failures, monkeypatch, caplog):
    """The job waits for the broker, and nothing is lost or stored twice."""
    monkeypatch.setattr(runner, "PAUSES", (0.001, 0.002))
    broker = Away()
    with Hub(broker) as hub:
        jobs = jobs_of(hub)

        def source():
            yield "a"
            broker.failures = failures
            yield "b"
            broker.failures = failures

        record, _ = jobs.start(NAME, source(), encode, {})
        wait_for(lambda: jobs.running, "the end", equals=0)
        begins, _ = hub.beginning([record.channel], None)
        messages = hub.history([record.channel], begins).messages
        assert [m.body for m in messages] == [b"data: a\n\n", b"data: b\n\n", b":\n"]
    assert "waits for the broker" in caplog.text


def test_broker_is_away_at_the_end(threads, monkeypatch, caplog):
    """The application is told how the job has ended as soon as the broker knows."""
    monkeypatch.setattr(runner, "PAUSES", (0.001, 0.002))
    broker, heard = Away(), []
    with Hub(broker) as hub:
        jobs = jobs_of(hub)
        finish = MemoryJobStore.finish

        def leaving(store, *args):
            broker.failures = 3  # After it has stored the end.
            return finish(store, *args)

        monkeypatch.setattr(MemoryJobStore, "finish", leaving)
        jobs.start(NAME, iter("a"), encode, {"on_finish": heard.append})
        wait_for(lambda: jobs.running, "the end", equals=0)
    assert [status.state for status in heard] == ["finished"]


def test_hub_is_closed(threads, broker, caplog):
    """A job whose hub is closed ends, without trying for ever."""
    caplog.set_level(logging.ERROR)
    steps = Steps("a", "b")
    with Hub(broker) as hub:
        jobs = jobs_of(hub)
        jobs.start(NAME, steps(), encode, {})
    steps.go_on(2)
    wait_for(lambda: steps.ended, "the source's end")
    wait_for(lambda: jobs.running, "the end", equals=0)
    assert caplog.text == ""
