"""How a gunicorn worker hands a connection off, without a server."""

import contextlib
import itertools
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.http.wsgi import Response

import sse_sync.gunicorn
from sse_sync.gunicorn import handoff as offers
from sse_sync.gunicorn.handoff import GunicornOffer, HandoffMixin
from sse_sync.streams.handoff.takeover import OFFER


@pytest.fixture(autouse=True)
def dead_end(monkeypatch):
    """A dead end for this test only; a worker keeps its own."""
    monkeypatch.setattr(offers, "_dead_end", None)
    yield
    if offers._dead_end is not None:
        offers._dead_end.close()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def response(pair):
    request = SimpleNamespace(version=(1, 1), method="GET", should_close=lambda: False)
    return Response(request, pair[0], Config())


def begin(response, headers=(), status="200 OK"):
    response.start_response(status, [("Content-Type", "text/event-stream"), *headers])
    response.write(b"abc")


def test_take(response, pair):
    """The connection lives on, and nothing the server still does reaches the client."""
    ours, theirs = pair
    begin(response)
    forgotten = []
    offer = GunicornOffer(response, ours, forgotten.append)
    assert offer.is_chunked
    assert offer.refusal(3) == ""
    fd = ours.fileno()
    assert offer.take(lambda: False) is None
    taken = offer.take(lambda: True)
    assert forgotten == [fd] == [ours.fileno()]
    response.write(b"by a middleware")
    response.close()
    assert response.should_close()
    assert ours.recv(10) == b""
    ours.shutdown(socket.SHUT_RDWR)
    ours.close()
    assert taken.send(b"later") == 5
    data = theirs.recv(65536)
    assert data.endswith(b"3\r\nabc\r\nlater")
    assert not os.get_inheritable(taken.fileno())
    taken.close()
    assert theirs.recv(10) == b""


@pytest.mark.parametrize(
    ("headers", "status", "sent"),
    [
        ([], "200 OK", 2),
        ([("Content-Encoding", "gzip")], "200 OK", 3),
        ([("Content-Length", "100")], "200 OK", 3),
        ([], "201 Created", 3),
    ],
)
def test_refusal(response, pair, headers, status, sent):
    """A connection is not taken if the bytes on the wire are not certain."""
    begin(response, headers, status)
    assert GunicornOffer(response, pair[0], print).refusal(sent)


def test_not_begun(response, pair):
    """A connection is not taken before the headers are sent."""
    response.start_response("200 OK", [])
    assert GunicornOffer(response, pair[0], print).refusal(0)


class Worker:
    """The parts of a worker that the mixin needs."""

    def __init__(self):
        self.log = SimpleNamespace(warning=lambda *arguments: self.warnings.append(arguments))
        self.warnings = []

    def load_wsgi(self):
        """Load the application."""
        self.wsgi = lambda environ, start_response: environ


class HandingOffWorker(HandoffMixin, Worker):
    """A worker with the mixin."""


def test_offered(response, pair):
    """Every request of gunicorn's own HTTP/1 has an offer."""
    worker = HandingOffWorker()
    worker.load_wsgi()
    environ = {"gunicorn.socket": pair[0]}
    assert isinstance(worker.wsgi(environ, response.start_response)[OFFER], GunicornOffer)
    assert OFFER not in worker.wsgi({}, response.start_response)
    assert OFFER not in worker.wsgi({"gunicorn.socket": pair[0]}, lambda *arguments: None)


def test_unknown_gunicorn(response, pair, monkeypatch):
    """On an untested release it works as gunicorn's own worker, and logs it."""
    monkeypatch.setattr(offers.gunicorn, "version_info", (99, 0, 0))
    worker = HandingOffWorker()
    worker.load_wsgi()
    assert OFFER not in worker.wsgi({"gunicorn.socket": pair[0]}, response.start_response)
    assert "hand-off is disabled" in worker.warnings[0][0]


class Requests:
    """What a stopping worker of gunicorn's does."""

    alive = False
    cfg = SimpleNamespace(graceful_timeout=30)
    log = SimpleNamespace(info=lambda *arguments: None)
    error = None

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds
        self.said = []

    def run(self):
        for _ in range(self.seconds):
            self.notify()
            self.clock.sleep(1)
        if self.error is not None:
            raise self.error

    def notify(self):
        self.said.append(self.clock.now)


class StoppingWorker(HandoffMixin, Requests):
    """A worker that has been told to stop."""


class Jobs:
    """Jobs that end some seconds after they were interrupted, by a fake clock."""

    def __init__(self, grace, *, last_words=0.0, begin=0.0):
        self.now, self._grace, self._last_words = 0.0, grace, last_words
        self._begin = begin
        self.interrupted = None
        self.monotonic = lambda: self.now

    def sleep(self, seconds):
        self.now += seconds

    def running(self):
        if self.now < self._begin:
            return False
        return self.interrupted is None or self.now < self.interrupted + self._last_words

    def grace(self):
        return self._grace

    def interrupt_all(self, message):
        if self.interrupted is None:
            self.interrupted = self.now


@pytest.mark.parametrize(
    ("grace", "seconds", "error", "interrupted"),
    [
        (20, 0, None, 20),
        (20, 5, None, 20),  # Counted from the beginning of the stop.
        (20, 25, None, 20),  # While gunicorn waits for requests.
        (60, 0, None, 28),  # Before gunicorn kills the worker.
        (20, 3, SystemExit(0), 3),  # Ctrl-C.
    ],
)
def test_jobs_of_a_stopping_worker(monkeypatch, grace, seconds, error, interrupted):
    """They have their grace and the time to say their last words, while the arbiter hears of the
    worker."""
    jobs = Jobs(grace, last_words=0.5)
    monkeypatch.setitem(sys.modules, "sse_sync.jobs.manager", jobs)
    monkeypatch.setattr(offers, "time", jobs)
    worker = StoppingWorker(jobs, seconds)
    worker.error = error
    with pytest.raises(SystemExit) if error else contextlib.nullcontext():
        worker.run()
    assert jobs.interrupted == pytest.approx(interrupted, abs=0.1)
    assert jobs.now == pytest.approx(max(interrupted + 0.5, seconds), abs=0.1)
    assert max(b - a for a, b in itertools.pairwise([0.0, *worker.said])) <= 1


def test_job_of_a_last_request(monkeypatch):
    """A job that starts while the worker stops does not have more time than is left."""
    jobs = Jobs(60, last_words=0.5, begin=10)
    monkeypatch.setitem(sys.modules, "sse_sync.jobs.manager", jobs)
    monkeypatch.setattr(offers, "time", jobs)
    StoppingWorker(jobs, 12).run()
    assert jobs.interrupted == pytest.approx(28, abs=0.1)


def test_jobs_that_do_not_end(monkeypatch):
    """They do not keep a worker."""
    jobs = Jobs(20, last_words=100)
    monkeypatch.setitem(sys.modules, "sse_sync.jobs.manager", jobs)
    monkeypatch.setattr(offers, "time", jobs)
    StoppingWorker(jobs, 0).run()
    assert jobs.now == pytest.approx(20 + offers.DRAIN, abs=0.1)


def test_worlds_are_kept_apart():
    """The thread worker does not need gevent, and importing the package imports neither worker."""
    code = (
        "import sys, sse_sync.gunicorn as ours; before = set(sys.modules);"
        "assert not {'gevent', 'gunicorn'} & before;"
        "ours.ThreadWorker; assert 'gevent' not in sys.modules;"
        "ours.GeventWorker; assert 'gevent' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with pytest.raises(AttributeError):
        sse_sync.gunicorn.TornadoWorker  # noqa: B018
