"""Fixtures of the live tests."""

import itertools

import pytest

from tests.live.servers import GUNICORN_OPTIONS, Server, kind, kinds

# HTTP/2 is tested with the gunicorn releases that have it.
collect_ignore = [] if "--http2-cleartext" in GUNICORN_OPTIONS else ["test_http2.py"]

_numbers = itertools.count()


def pytest_collection_modifyitems(items):
    """Mark everything here as live."""
    for item in items:
        if "tests/live/" in str(item.path):
            item.add_marker(pytest.mark.live)
    # At each site of the examples, slow pages are checked last.
    first = {}
    for position, item in enumerate(items):
        first.setdefault(_site(item), position)
    items.sort(key=lambda item: (first[_site(item)], "slow" in getattr(item, "fixturenames", ())))


def _site(item):
    callspec = getattr(item, "callspec", None)
    return item if callspec is None else callspec.params.get("site", item)


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """One running server of each kind, started on first use."""
    running = {}

    def get(which):
        if which not in running:
            log = tmp_path_factory.mktemp("log") / f"{which}.log"
            running[which] = Server(which, log).__enter__()
        return running[which]

    yield get
    for server in running.values():
        server.stop()
    for which, server in running.items():
        # No tracebacks but those of sources that fail on purpose.
        output = server.output()
        tracebacks = output.count("Traceback (most recent call last)")
        tracebacks -= output.count("The above exception was the direct cause")
        assert tracebacks <= output.count("raised an exception; ending its stream"), (
            f"{which}:\n{output}"
        )


# These behave the same for streams with a request.
SAME = ("gunicorn-handoff-gevent-django", "gunicorn-handoff-threads-flask")


@pytest.fixture(params=[kind for kind in kinds() if str(kind) not in SAME], ids=str)
def server(request, servers):
    """Each server in turn."""
    running = servers(request.param)
    yield running
    assert running.process is not None
    assert running.process.poll() is None, running.output()


@pytest.fixture
def start(tmp_path):
    """Start a server for this test only."""
    started = []

    def start(name, *extra, context=None, descriptors=None, **env):
        log = tmp_path / f"{next(_numbers)}.log"
        server = Server(kind(name), log, env, extra, context, descriptors)
        started.append(server)
        return server.__enter__()

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def key(request):
    """A name that no other test uses."""
    return f"{request.node.name.split('[')[0]}-{next(_numbers)}"
