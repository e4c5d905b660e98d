"""What the viewers of a job get: all of it once, its end, and never half an answer for a whole."""

import pytest

from sse_sync import END_ID, CloseReason, EventStream
from sse_sync.brokers.jobs import JobName, JobTerms, Outcome
from sse_sync.brokers.messages import Position
from sse_sync.event import encode
from sse_sync.jobs.viewing import view
from sse_sync.streams.handoff.key import FanoutKey
from sse_sync.testing import read_events
from tests.core.channels.reading import SERVED
from tests.core.jobs.conftest import NAME, Steps
from tests.waiting import wait_for


@pytest.fixture(params=[{}, SERVED], ids=["inline", "beside"])
def open_view(request, jobs):
    """Open a viewer's stream; return it, or None if there is nothing for the client."""

    def open_view(last_event_id=None, **arguments):
        source = view(jobs, jobs.get(NAME), last_event_id, None)
        if source is None:
            return None
        return EventStream(source, dict(request.param), **arguments)

    return open_view


@pytest.fixture
def got(open_view):
    """Return what a viewer gets, as pairs of event type and data."""

    def got(*args, **arguments):
        return [(event.event, event.data) for event in read_events(open_view(*args, **arguments))]

    return got


def end(outcome, message=""):
    return "stream-end", f'{{"outcome": "{outcome}", "message": "{message}"}}'


def test_from_the_beginning(start, ended, got):
    """Whoever comes late gets everything, and how it ended."""
    start(iter(["a", "b"]))
    ended()
    assert got() == [("stream-open", ""), (None, "a"), (None, "b"), end("finished")]


def test_live(start, ended, open_view, jobs, output):
    """Viewers get what was there, what comes, and the end, each once."""
    steps = Steps("a", "b", "c")
    record = start(steps())
    steps.go_on()
    wait_for(lambda: output(record), "the first step", equals=["a"])
    streams = [open_view() for _ in range(3)]
    before = [[event.data for event in read_events(stream, 2)] for stream in streams]
    steps.go_on(3)
    after = [[event.data for event in read_events(stream)] for stream in streams]
    ended()
    assert before == [["", "a"]] * 3
    assert after == [["b", "c", end("finished")[1]]] * 3


def test_from_the_last_event_id(start, ended, open_view, got):
    """A client that comes back gets the rest; one that has the last event gets the end."""
    start(iter(["a", "b", "c"]))
    ended()
    ids = [event.id for event in read_events(open_view())]
    assert ids[-1] == END_ID
    assert got(ids[1]) == [(None, "b"), (None, "c"), end("finished")]
    assert got(ids[0]) == [(None, "a"), (None, "b"), (None, "c"), end("finished")]
    assert got(ids[3]) == [end("finished")]


def test_nothing_more(start, ended, jobs, open_view):
    """A client that has seen the end, and one that never saw a job that is not there, stop."""
    assert open_view() is None
    start(iter("a"))
    ended()
    assert open_view(str(jobs.get(NAME).ends)) is None


@pytest.mark.parametrize("last_event_id", ["abc-1", "7", "nonsense", ""])
def test_job_that_is_gone(got, open_view, last_event_id):
    """A client that has received some of it is told that it is lost."""
    closed = []
    gone = end("lost", "its output is no longer kept")
    assert got(last_event_id, on_close=closed.append) == [("stream-reset", ""), gone]
    assert closed == [CloseReason.LOST]
    plain = open_view(last_event_id, plain=True, error=lambda failure: str(failure.reason))
    assert [event.data for event in read_events(plain)] == ["lost"]


@pytest.mark.parametrize("of", ["earlier run", "other store", "client"])
def test_other_positions(start, ended, open_view, got, of):
    """A client whose position is not in this run gets all of it, after a reset."""
    start(iter(["old"]))
    ended()
    last = read_events(open_view())[1].id
    last = {"earlier run": last, "other store": f"abc{last}", "client": "17"}[of]
    start(iter(["new"]), restart=True)
    ended()
    assert got(last) == [("stream-reset", ""), (None, "new"), end("finished")]


@pytest.mark.parametrize("epoch", ["0", "zzzzzzzzzzzz"])
def test_store_has_begun_another_epoch(start, ended, open_view, got, epoch):
    """Half of it, read in another epoch than it was written in, is not taken for the whole."""
    start(iter(["a", "b"]))
    ended()
    first = Position.parse(read_events(open_view())[1].id)
    assert got(str(Position(epoch, first.number))) == [
        *(("stream-reset", ""), (None, "a"), (None, "b"), end("finished")),
    ]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED, Outcome.LOST])
def test_outcomes(broker, open_view, got, outcome):
    """An event source is told the outcome, for good; a plain client in the application's words."""
    _, hold = broker.jobs.start(NAME, JobTerms())
    broker.jobs.write(hold, 0, [encode("a")])
    broker.jobs.finish(hold, outcome, "why")
    assert got() == [("stream-open", ""), (None, "a"), end(outcome.value, "why")]
    stream = open_view(plain=True, error=lambda failure: [failure.reason.name, failure.message])
    assert [event.data for event in read_events(stream)] == ["a", outcome.name, "why"]


def test_plain_and_finished(start, ended, open_view):
    """A plain client gets the application's events and nothing else, heartbeats included."""
    start(iter(["a", "b"]))
    ended()
    stream = open_view(plain=True, error=lambda failure: 1 / 0)
    body = b"".join(stream)
    stream.close()
    assert [line for line in body.split(b"\n") if line and not line.startswith(b"id: ")] == [
        *(b":", b"data: a", b"data: b", b":"),
    ]
    assert body.endswith(b"\n\n:\n")


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("environ", [{}, SERVED], ids=["inline", "beside"])
@pytest.mark.parametrize(("events", "size"), [(1500, 1), (9, 300_000)])
def test_slower_than_its_source(broker, jobs, environ, plain, events, size):
    """A viewer that lags behind goes on in the history, where all of it is."""
    _, hold = broker.jobs.start(NAME, JobTerms())
    broker.jobs.write(hold, 0, [encode("first")])
    source = view(jobs, jobs.get(NAME), None, None)
    stream = EventStream(source, dict(environ), plain=plain, error=lambda failure: "failure")
    got = [event.data for event in read_events(stream, 1 if plain else 2)]
    wanted = [str(number).rjust(size) for number in range(events)]
    broker.jobs.write(hold, 1, [encode(text) for text in wanted])
    broker.jobs.finish(hold, Outcome.FINISHED)
    got += [event.data for event in read_events(stream)]
    around = ([], []) if plain else ([""], [end("finished")[1]])
    assert got == [*around[0], "first", *wanted, *around[1]]


def test_plain_and_of_an_earlier_run(start, ended, open_view):
    """A plain client with half of another run is told that it lacks something."""
    start(iter(["old"]))
    ended()
    last = read_events(open_view())[1].id
    start(iter(["new"]), restart=True)
    ended()
    stream = open_view(last, plain=True, error=lambda failure: failure.reason.name)
    assert [event.data for event in read_events(stream)] == ["INTERRUPTED"]


def test_each_job_its_own_channel(start, ended, jobs):
    """Another user's job of the same key is another job."""
    start(iter("a"), JobName("report", "ann"))
    start(iter("b"), JobName("report", "bob"))
    wait_for(lambda: jobs.running, "the end", equals=0)
    assert jobs.get(NAME) is None
    found = {jobs.get(JobName("report", user)).channel for user in ("ann", "bob")}
    assert len(found) == 2


def test_fanned_out(start, ended, jobs):
    """Viewers of one job share a fan-out, which gives up where only a request can help."""
    steps = Steps("a")
    start(steps())
    source = view(jobs, jobs.get(NAME), None, None)
    stream = EventStream(source, {})
    key = FanoutKey.of(source, stream._options, stream._dialect, chunked=True)
    assert key.has_snapshot
    assert key.until == {"job-end"}
    steps.go_on(2)
    ended()
    stream.close()
