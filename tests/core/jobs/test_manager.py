"""The jobs of a process: one run for each name, endings from elsewhere, and what it stops doing."""

import gc
import threading
import weakref

import pytest

from sse_sync import EventStream
from sse_sync.brokers.jobs import JobName, JobTerms, Outcome, Tick, View
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.event import encode
from sse_sync.exceptions import BrokerUnavailable, ConfigurationError, JobRefused, SourceError
from sse_sync.jobs import manager
from sse_sync.jobs.manager import jobs_of
from sse_sync.jobs.viewing import view
from sse_sync.testing import read_events
from tests.core.channels.reading import SERVED
from tests.core.children import in_child
from tests.core.jobs.conftest import NAME, Steps
from tests.waiting import wait_for


def test_started_once(jobs, start, ended):
    """Whoever starts a job that runs gets it, and their own source never runs."""
    steps, other = Steps("a"), Steps("b")
    record = start(steps())
    source = other()
    again, is_new = jobs.start(NAME, source, encode, {"restart": True})
    assert (again.run, is_new) == (record.run, False)
    assert source.gi_frame is None
    assert other.ended == []
    steps.go_on(2)
    assert ended() == (Outcome.FINISHED, "")


def test_started_again(jobs, start, ended, output):
    """A job that is over is returned as it is, or begins anew where that is wanted."""
    record = start(iter("a"))
    ended()
    again, is_new = jobs.start(NAME, iter("b"), encode, {})
    assert (again.run, again.outcome, is_new) == (record.run, Outcome.FINISHED, False)
    new, is_new = jobs.start(NAME, iter("b"), encode, {"restart": True})
    assert is_new
    assert ended() == (Outcome.FINISHED, "")
    assert (output(record), output(new)) == (["a"], ["b"])


def test_on_finish(hub, start, ended):
    """The application hears how a job has ended, once."""
    heard = []
    start(iter("ab"), on_finish=heard.append, meta={"title": "July"})
    ended()
    (status,) = heard
    assert (status.state, status.events, status.meta) == ("finished", 2, {"title": "July"})
    assert not status.is_running


def test_on_finish_of_a_former_run(jobs, start, ended):
    """A job that begins anew before the source of its former run has ended is told of, too."""
    heard = []
    steps, others = Steps("a", "b"), Steps("c")
    record = start(steps(), on_finish=heard.append, meta="first")
    steps.go_on()
    wait_for(lambda: jobs.get(NAME).events, "the first event", equals=1)
    jobs.cancel(NAME, "enough")
    start(others(), restart=True, on_finish=heard.append, meta="second")
    wait_for(lambda: jobs._holders[record.run].is_ending, "the news")
    steps.go_on(2)
    wait_for(lambda: jobs.running, "the end of one", equals=1)
    others.go_on(2)
    ended()
    told = [(s.meta, s.state, s.message, s.events, s.bytes) for s in heard]
    assert told == [("first", "cancelled", "enough", 1, 9), ("second", "finished", "", 1, 9)]
    assert heard[0].started <= heard[0].ended <= heard[1].ended


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_on_finish_fails(start, ended, caplog, error):
    """A callback that fails is logged, and the job is over all the same."""

    def on_finish(status):
        raise error("no mail")

    start(iter("a"), on_finish=on_finish)
    assert ended() == (Outcome.FINISHED, "")
    assert "on_finish of the job 'report' failed" in caplog.text


def test_cancelled(jobs, start, ended):
    """Cancelling ends a job once; what is not there cannot be cancelled."""
    heard = []
    steps = Steps("a", "b")
    start(steps(), on_finish=heard.append)
    assert jobs.cancel(NAME, "enough")
    assert not jobs.cancel(NAME)
    assert not jobs.cancel(JobName("other"))
    steps.go_on(2)
    assert ended() == (Outcome.CANCELLED, "enough")
    assert [status.state for status in heard] == ["cancelled"]


@pytest.mark.parametrize("reason", [None, 7, "x" * 4097, "\ud800"])
def test_reason_that_cannot_be_told(jobs, start, ended, reason):
    """It is refused before anything has ended."""
    steps = Steps("a")
    start(steps())
    with pytest.raises(ConfigurationError, match="reason"):
        jobs.cancel(NAME, reason)
    steps.go_on(2)
    assert ended() == (Outcome.FINISHED, "")


def test_taken_over(broker, jobs, start):
    """A job that another process goes on with ends here, and nobody is told how it ended."""
    heard = []
    steps = Steps("a", "b")
    start(steps(), on_finish=heard.append)
    _, hold = broker.jobs.start(NAME, JobTerms(), take=True)
    wait_for(lambda: all(holder._ending for holder in jobs._holders.values()), "the news")
    steps.go_on(2)
    wait_for(lambda: jobs.running, "the end", equals=0)
    assert broker.jobs.finish(hold, Outcome.FINISHED)
    assert heard == []


def test_nobody_is_watching(broker, jobs, start, ended, monkeypatch):
    """A job that nobody views is cancelled where that is wanted."""
    monkeypatch.setattr(manager, "TICK", 0.005)
    steps = Steps("a", "b")
    start(steps(), stop_when_alone=0.02)
    wait_for(lambda: jobs.get(NAME).outcome, "the end", equals=Outcome.CANCELLED)
    steps.go_on(2)
    assert ended() == (Outcome.CANCELLED, "nobody was watching")


def test_too_many(jobs, start, ended):
    """A process runs so many jobs, but an existing one is found by whoever asks."""
    steps = Steps("a")
    record = start(steps())
    with pytest.raises(JobRefused, match="this process runs 1 jobs already"):
        jobs.start(JobName("other"), iter("a"), encode, {}, max_jobs=1)
    assert jobs.start(NAME, iter("a"), encode, {}, max_jobs=1) == (record, False)
    steps.go_on(2)
    ended()


def test_too_many_and_over(jobs, start, ended):
    """A job that is over is returned as well, unless it is to begin anew."""
    record = start(iter("a"))
    ended()
    steps = Steps("a")
    start(steps(), JobName("other"))
    again, is_new = jobs.start(NAME, iter("a"), encode, {}, max_jobs=1)
    assert (again.run, is_new) == (record.run, False)
    with pytest.raises(JobRefused):
        jobs.start(NAME, iter("a"), encode, {"restart": True}, max_jobs=1)
    steps.go_on(2)
    ended()


def test_too_many_at_once(jobs, broker, monkeypatch):
    """Those that ask the broker at the same time are counted."""
    store_start, refused, steps = broker.jobs.start, [], Steps("a")

    def slow(name, *args, **options):
        if name == NAME:  # Another request comes while this one waits for the broker.
            with pytest.raises(JobRefused) as caught:
                jobs.start(JobName("other"), iter("a"), encode, {}, max_jobs=1)
            refused.append(caught.value)
        return store_start(name, *args, **options)

    monkeypatch.setattr(broker.jobs, "start", slow)
    jobs.start(NAME, steps(), encode, {}, max_jobs=1)
    assert len(refused) == 1
    steps.go_on(2)
    wait_for(lambda: jobs.running, "the end", equals=0)
    assert jobs.start(JobName("other"), iter("a"), encode, {}, max_jobs=1)[1]
    wait_for(lambda: jobs.running, "the end", equals=0)


def test_what_is_no_source(jobs):
    """What cannot be iterated is refused before anything has started."""
    with pytest.raises(SourceError):
        jobs.start(NAME, "text", encode, {})
    with pytest.raises(ConfigurationError, match="keep_for must be seconds"):
        jobs.start(NAME, iter("a"), encode, {"keep_for": None})
    assert jobs.get(NAME) is None


def test_refused_source_is_closed(jobs, broker, monkeypatch):
    """A source that is not started is closed, so that it does not wait for the collector."""

    def away(*args, **arguments):
        raise BrokerUnavailable("it", "is away")

    monkeypatch.setattr(broker.jobs, "start", away)
    source = Steps("a")()
    with pytest.raises(BrokerUnavailable):
        jobs.start(NAME, source, encode, {})
    assert source.gi_frame is None


def test_no_more_threads(jobs, threads, monkeypatch):
    """A job that cannot be started has failed, and is no longer counted."""

    def spawn(function, name):
        if "job" in name:
            raise RuntimeError("can't start new thread")
        return threading.Thread(target=function, daemon=True).start()

    monkeypatch.setattr(threads, "spawn", spawn)
    with pytest.raises(RuntimeError):
        jobs.start(NAME, iter("a"), encode, {"on_finish": print})
    assert jobs._on_finish == {}
    record = jobs.get(NAME)
    assert (record.outcome, record.message) == (Outcome.FAILED, "it could not be started")
    assert jobs.running == 0


def test_listing(jobs, start, ended):
    """The latest comes first; of one user only that user's."""
    start(iter("a"), JobName("one", "ann"))
    start(iter("a"), JobName("two", "ann"))
    start(iter("a"), JobName("three", "bob"))
    wait_for(lambda: jobs.running, "the end", equals=0)
    assert [status.key for status in jobs.find("ann")] == ["two", "one"]
    assert {(status.key, status.user) for status in jobs.find()} == {
        *(("one", "ann"), ("two", "ann")),
        ("three", "bob"),
    }


def test_ticks_only_while_needed(jobs, broker, start, ended, monkeypatch):
    """A process without jobs and viewers asks the broker nothing, and listens to nothing."""
    monkeypatch.setattr(manager, "TICK", 0.001)
    start(iter("a"))
    ended()
    wait_for(lambda: jobs._ticking.is_idle, "the ticks to stop")
    assert not jobs.hub.dispatcher.counts()


def test_ticks_do_not_grow_with_jobs(jobs, hub, broker, start, ended, monkeypatch):
    """Jobs that start, are viewed and end cost no ticks of their own; news from elsewhere do."""
    ticks, tick = [], broker.jobs.tick
    monkeypatch.setattr(broker.jobs, "tick", lambda *some: ticks.append(some) or tick(*some))
    steps = Steps("a")
    start(steps())
    wait_for(lambda: len(ticks), "the first tick", equals=1)
    for number in range(20):
        name = JobName(f"job-{number}")
        jobs.watch(start(iter("a"), name))
        wait_for(lambda: jobs.running, "the end", equals=1)
    assert len(ticks) == 1
    jobs.cancel(NAME)
    wait_for(lambda: len(ticks), "the news", equals=2)
    steps.go_on(2)
    ended()


def test_dead_holders_are_noticed(jobs, hub, broker, monkeypatch):
    """Whoever hears of a running job sees to it that its holder is alive, for a while."""
    monkeypatch.setattr(manager, "TICK", 0.0)
    monkeypatch.setattr(manager, "PATIENCE", 3)
    monkeypatch.setattr(jobs._ticking, "wake", lambda: None)
    ticks, tick = [], broker.jobs.tick
    monkeypatch.setattr(broker.jobs, "tick", lambda *some: ticks.append(some) or tick(*some))
    name = JobName("other", "ann")

    def refused():
        with pytest.raises(JobRefused):
            jobs.start(name._replace(key="more"), iter("a"), encode, {}, max_per_user=1)

    def ticked():
        while jobs._tick() is not None:
            pass
        count = len(ticks)
        ticks.clear()
        return count

    _, hold = broker.jobs.start(name, JobTerms())
    for ask in (
        lambda: jobs.get(name),
        jobs.find,
        lambda: jobs.start(name, iter("a"), encode, {}),
        refused,
    ):
        ask()
        assert ticked() == 3
    broker.jobs.finish(hold, Outcome.FINISHED)
    jobs.get(name)
    jobs.find()
    assert ticked() == 0


def test_tick_while_the_broker_is_away(jobs, broker, start, ended, monkeypatch):
    """Leases are renewed as soon as the broker is back."""
    monkeypatch.setattr(manager, "TICK", 0.001)
    asked = []
    tick = broker.jobs.tick

    def away(held, viewed):
        asked.append(held)
        if len(asked) < 4:
            raise BrokerUnavailable("it", "is away")
        return tick(held, viewed)

    monkeypatch.setattr(broker.jobs, "tick", away)
    steps = Steps("a")
    start(steps())
    wait_for(lambda: len(asked) > 4, "the ticks")
    steps.go_on(2)
    assert ended() == (Outcome.FINISHED, "")


def test_views(jobs, hub, broker, monkeypatch):
    """A process says which jobs its clients view, from their requests on, as long as they do."""
    monkeypatch.setattr(jobs._ticking, "wake", lambda: None)
    monkeypatch.setattr(manager, "PATIENCE", 3)
    monkeypatch.setattr(manager, "TICK", 0.0)
    viewed, has_viewer = [], []

    def tick(held, views):
        viewed.append(views)
        return Tick(set(), set(), set())

    monkeypatch.setattr(broker.jobs, "tick", tick)
    monkeypatch.setattr(hub.dispatcher, "has_subscribers", lambda channel: bool(has_viewer))
    record, _ = broker.jobs.start(NAME, JobTerms())
    jobs.watch(record)
    for _ in range(3):  # The stream has not begun yet.
        jobs._tick()
    has_viewer.append(True)
    jobs._tick()
    has_viewer.clear()
    while jobs._tick() is not None:
        pass
    view = [View(NAME, record.run)]
    assert viewed == [view, [], [], view, view, [], [], []]


@pytest.mark.parametrize("environ", [{}, SERVED], ids=["inline", "beside"])
def test_viewed_output_is_no_longer_kept(threads, environ, monkeypatch):
    """Viewers that are still reading when their time is over are told, and do not wait for ever."""
    monkeypatch.setattr(manager, "TICK", 0.005)
    now = [0.0]
    broker = MemoryBroker(clock=lambda: now[0])
    with Hub(broker) as hub:
        jobs = jobs_of(hub)
        _, hold = broker.jobs.start(NAME, JobTerms(keep_for=5))
        broker.jobs.write(hold, 0, [encode("x" * 300_000) for _ in range(9)])
        broker.jobs.finish(hold, Outcome.FINISHED)
        stream = EventStream(view(jobs, jobs.get(NAME), None, None), dict(environ))
        read = [event.data for event in read_events(stream, 3)]
        now[0] = 6.0
        assert jobs.get(NAME) is None
        read += [event.data for event in read_events(stream)]
        assert len(read) < 10
        assert read[-1] == '{"outcome": "lost", "message": "its output is no longer kept"}'


def test_interrupted(start, ended, jobs):
    """A stopping worker's jobs are lost, and their viewers are told."""
    heard = []
    steps = Steps("a", "b")
    start(steps(), on_finish=heard.append)
    assert manager.running() == 1
    manager.interrupt_all("its worker was stopped")
    wait_for(lambda: jobs.get(NAME).outcome, "the end", equals=Outcome.LOST)
    steps.go_on(2)
    assert ended() == (Outcome.LOST, "its worker was stopped")
    assert [(status.state, status.message) for status in heard] == [
        ("lost", "its worker was stopped")
    ]


def test_fork(hub, jobs, start, ended):
    """A child has no jobs, and can start its own."""
    steps = Steps("a")
    start(steps())

    def child():
        assert jobs_of(hub) is not jobs
        assert jobs_of(hub).running == 0
        assert jobs_of(hub).get(NAME) is None

    in_child(child)
    steps.go_on(2)
    ended()


def test_freed(threads):
    """A closed hub and its jobs can be freed."""
    with Hub(MemoryBroker()) as hub:
        jobs_of(hub).start(NAME, iter("a"), encode, {})
        wait_for(manager.running, "the end", equals=0)
    assert manager.grace() == 0.0
    freed = weakref.ref(jobs_of(hub))
    del hub
    # Its background task may have to hear of it first.
    wait_for(lambda: gc.collect() >= 0 and freed() is None, "the jobs to be freed")
