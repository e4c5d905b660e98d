"""Which server a request came through, or that a test made it."""

import io
import sys
import types

import pytest

from sse_sync.server import SERVERS, UNKNOWN, find_server
from tests.core.environs import REQUEST, of_bridges, of_test_clients


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    """The test's process may have loaded other servers."""
    for module, _ in of_bridges().values():
        if module is not None:
            monkeypatch.delitem(sys.modules, module, raising=False)


@pytest.mark.parametrize("name", of_bridges())
def test_servers_without_a_name(name, monkeypatch):
    """They are servers all the same, do not know their processes, and say what does not work."""
    module, environ = of_bridges()[name]
    if module is not None:
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    server = find_server(environ)
    assert server.name == name
    assert server.fileno is None
    assert not server.knows_processes
    assert "gunicorn -k gevent" in server.problem


def test_granian():
    """A server that gives its name, but shows no socket (granian/wsgi.py, _callback_wrapper)."""
    environ = {**REQUEST, "SERVER_SOFTWARE": "Granian", "wsgi.multiprocess": False}
    server = find_server({**environ, "wsgi.input": io.BytesIO()})
    assert server.name == "granian"
    assert server.knows_processes


@pytest.mark.parametrize("name", ["SERVER_SOFTWARE", "REQUEST_URI"])
def test_unknown_servers(name):
    """Whatever no test client has made came through a server, with a name or without one."""
    environ = {**REQUEST, "wsgi.input": io.BytesIO(), name: "x"}
    assert find_server(environ) is UNKNOWN
    assert UNKNOWN not in SERVERS


@pytest.mark.parametrize("name", of_test_clients())
def test_test_clients(name):
    """They are no server."""
    assert find_server(of_test_clients()[name]) is None


@pytest.mark.parametrize("name", sorted(set(of_test_clients()) - {"WebTest"}))
def test_test_that_plays_a_server(name):
    """A test is served if it names a server."""
    assert find_server({**of_test_clients()[name], "SERVER_SOFTWARE": "gunicorn"}) is UNKNOWN


@pytest.mark.parametrize("name", of_bridges())
def test_test_by_key(name):
    """An environ that looks like a server's is a test's if it says so."""
    _, environ = of_bridges()[name]
    assert find_server(environ) is not None
    assert find_server({**environ, "paste.testing": True}) is None


def test_a_wrapped_input():
    """Middleware may replace the input; a server that gives its name is still one."""
    environ = {**REQUEST, "SERVER_SOFTWARE": "WSGIServer/0.2", "wsgi.input": io.BytesIO()}
    assert find_server(environ) is UNKNOWN
