"""Admission: what a server can hold, and whether it is stopping."""

import resource
import signal
import sys
import types

import pytest

from sse_sync.server import find_worker
from sse_sync.streams.admission import LINGERING_LIMIT, Admission, Capacity, Refusal
from sse_sync.streams.registry import Registry


@pytest.fixture(autouse=True)
def many_descriptors(monkeypatch):
    """As if there were no limit of open files."""
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY,) * 2)


@pytest.fixture
def worker(monkeypatch):
    """Make this process look like a gunicorn worker."""

    def make(module, **cfg):
        class Worker:
            alive = True

            def handle_exit(self, number, frame):
                """As gunicorn's."""

        base = types.SimpleNamespace(Worker=Worker)
        monkeypatch.setitem(sys.modules, "gunicorn.workers.base", base)
        kind = type("AnyWorker", (Worker,), {"__module__": f"gunicorn.workers.{module}"})
        made = kind()
        made.cfg = types.SimpleNamespace(timeout=30, **cfg)
        monkeypatch.setattr(signal, "getsignal", lambda number: made.handle_exit)
        return made

    return make


def prepared(environ, registry=None):
    gate = Admission()
    gate.prepare(environ, registry or Registry())
    return gate


def limit_of(gate, max_streams):
    """Return how many streams with a request are admitted."""
    return min((limit.streams for limit in gate.limits(max_streams) if limit), default=None)


@pytest.mark.parametrize(
    ("slots", "streams"),
    [(1, 1), (2, 1), (4, 3), (16, 15), (20, 18), (1000, 900), (20_000, 19_000)],
)
def test_reserve(slots, streams):
    """A tenth, 1 to 1,000, is reserved for requests; one stream is always admitted."""
    assert Capacity(slots, "").streams == streams


@pytest.mark.parametrize(
    ("module", "cfg", "limit", "warning"),
    [
        ("ggevent", {"worker_connections": 1000}, 900, None),
        ("gthread", {"threads": 40}, 36, None),
        ("gthread", {"threads": 1}, 1, "at most 1 stream(s). Raise gunicorn's --threads"),
        ("sync", {}, 1, "a sync worker serves one stream and nothing else"),
        ("gtornado", {}, None, "a tornado worker buffers a stream until its end"),
    ],
)
def test_gunicorn(worker, caplog, module, cfg, limit, warning):
    """Each gunicorn worker has its limit, and unsuitable ones are logged once."""
    worker(module, **cfg)
    gate = prepared({})
    gate.prepare({}, Registry())
    assert limit_of(gate, None) == limit
    assert limit_of(gate, 5) == 5
    assert [warning in message for message in caplog.messages] == ([True] if warning else [])


def test_waitress():
    """waitress shows its number of threads."""
    channel = types.SimpleNamespace(
        server=types.SimpleNamespace(adj=types.SimpleNamespace(threads=20))
    )
    method = types.MethodType(lambda self: False, channel)
    assert limit_of(prepared({"waitress.client_disconnected": method}), None) == 18


@pytest.mark.parametrize(
    ("opt", "limit", "warned"),
    [
        ({"threads": b"20", "enable-threads": True}, 18, False),
        ({"gevent": b"100"}, 90, False),
        ({}, 1, True),
    ],
)
def test_uwsgi(monkeypatch, caplog, opt, limit, warned):
    """uWSGI shows its number of cores, and whether threads run at all."""
    monkeypatch.setitem(sys.modules, "uwsgi", types.SimpleNamespace(opt=opt))
    assert limit_of(prepared({"uwsgi.version": b"2.0"}), None) == limit
    assert any("--enable-threads" in message for message in caplog.messages) == warned


def test_descriptors(monkeypatch, worker):
    """The limit of open files counts if it is the smallest."""
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 4096))
    worker("ggevent", worker_connections=10_000)
    assert limit_of(prepared({}), None) == (1024 - 64) * 9 // 10


def test_unknown_server():
    """For an unknown server, only the configured limit counts."""
    gate = prepared({"SERVER_SOFTWARE": "x"})
    assert limit_of(gate, None) is None
    assert gate.refusal(Registry(), None) is None


def test_before_the_first_request():
    """Without a worker nothing is decided: this may be the master process."""
    gate = prepared({})
    assert limit_of(gate, None) is None
    channel = types.SimpleNamespace(
        server=types.SimpleNamespace(adj=types.SimpleNamespace(threads=4))
    )
    gate.prepare(
        {"waitress.client_disconnected": types.MethodType(lambda self: 0, channel)}, Registry()
    )
    assert limit_of(gate, None) == 3


def test_stopping(worker):
    """A worker that is not alive opens no stream."""
    registry = Registry()
    gunicorn = worker("ggevent", worker_connections=1000)
    gate = prepared({}, registry)
    assert gate.refusal(registry, None) is None
    gunicorn.alive = False
    assert gate.refusal(registry, None) is Refusal.STOPPING


def test_full_is_logged_once(caplog):
    """The first refusal is logged, and the first one after there was room again."""
    registry, gate = Registry(), prepared({"SERVER_SOFTWARE": "x"})
    for _ in range(2):
        assert gate.admit(object(), registry, 1) is None
        assert gate.admit(object(), registry, 1) is Refusal.FULL
        assert gate.refusal(registry, 1) is Refusal.FULL
        registry._open.clear()
    assert (
        caplog.messages
        == ["refusing new streams: this process has reached its limit of 1. Raise max_streams"] * 2
    )


def test_lingering_sources_are_bounded(caplog):
    """With too many blocked sources, the process refuses new streams."""
    registry, gate = Registry(), prepared({"SERVER_SOFTWARE": "x"})
    gate._descriptors = Capacity(60_000, "Raise the limit")  # No measure of blocked threads.
    for number in range(LINGERING_LIMIT):
        assert gate.refusal(registry, None) is None
        registry.lingers(number, 0.0)
    assert gate.refusal(registry, None) is Refusal.FULL
    assert "sources that are blocked" in caplog.messages[0]


def test_find_worker(worker, monkeypatch):
    """Only gunicorn's own handler of SIGTERM leads to its worker."""
    made = worker("ggevent")
    assert find_worker() is made
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_DFL)
    assert find_worker() is None
    monkeypatch.setattr(signal, "getsignal", lambda number: [].append)
    assert find_worker() is None
