"""Servers that show no client's socket, most of which do not give their names either: bridges that
run a WSGI application on an ASGI server, and granian.
"""

import pytest

from sse_sync import comment
from tests.live.servers import Kind, Server, read_until_it_blocks
from tests.waiting import wait_for

A2WSGI = """
import importlib, sys, uvicorn
from a2wsgi import WSGIMiddleware
module, _, name = sys.argv[1].partition(":")
app = WSGIMiddleware(getattr(importlib.import_module(module), name))
uvicorn.run(app, port=int(sys.argv[2]))
"""
ASGIREF = """
import importlib, sys, uvicorn
from asgiref.wsgi import WsgiToAsgi
module, _, name = sys.argv[1].partition(":")
uvicorn.run(WsgiToAsgi(getattr(importlib.import_module(module), name)), port=int(sys.argv[2]))
"""
# uvicorn uses its own middleware only where a2wsgi is not installed.
UVICORN = """
import sys
sys.modules["a2wsgi"] = None
import uvicorn
uvicorn.run(sys.argv[1], port=int(sys.argv[2]), interface="wsgi")
"""

UNAWARE = "a stream never learns that its client is gone"
ONE_BY_ONE = f"it serves one request at a time, so a stream blocks all others; and {UNAWARE}"
BRIDGES = {
    Kind("a2wsgi", "flask", ("{bin}/python", "-c", A2WSGI, "{app}", "{port}"), False): UNAWARE,
    Kind("a2wsgi", "django", ("{bin}/python", "-c", A2WSGI, "{app}", "{port}"), False): UNAWARE,
    Kind(
        "asgiref's WsgiToAsgi", "flask", ("{bin}/python", "-c", ASGIREF, "{app}", "{port}"), False
    ): ONE_BY_ONE,
    Kind(
        "the WSGI middleware of uvicorn or Starlette",
        "flask",
        ("{bin}/python", "-c", UVICORN, "{app}", "{port}"),
        False,
    ): UNAWARE,
    Kind(
        "hypercorn", "flask", ("{bin}/hypercorn", "-b", "127.0.0.1:{port}", "wsgi:{app}"), False
    ): UNAWARE,
}
GRANIAN = Kind(
    "granian", "flask", ("{bin}/granian", "--interface", "wsgi", "--port", "{port}", "{app}"), False
)


@pytest.fixture(scope="module", params=[*BRIDGES, GRANIAN], ids=str)
def server(request, tmp_path_factory):
    """Each server in turn, on which a stream ends by itself before long."""
    log = tmp_path_factory.mktemp("log") / "log"
    with Server(request.param, log, {"TEST_LIFETIME": "5"}) as running:
        yield running


def test_heartbeat_while_blocked(server, key):
    """A source runs beside its stream, as on every server."""
    with server.stream(f"/stream/sleeping?key={key}", comments=True) as stream:
        read_until_it_blocks(stream, heartbeats=2)


def test_channel_stream_stays_open(server, key):
    """A stream of channels waits for what is published later."""
    with server.stream(f"/subscribe/{key}", comments=True) as stream:
        assert next(event for event in stream if event != comment()).event == "stream-open"
        assert stream.take(2) == [comment()] * 2
        if server.kind.server != "asgiref's WsgiToAsgi":  # It answers nothing else meanwhile.
            server.get(f"/publish/{key}?first=7")
            assert next(event for event in stream if event != comment()).data == "7"


def test_finished_streams_are_closed(server, key):
    """Also where the server closes no response."""
    with server.stream(f"/stream/count?key={key}") as stream:
        assert stream.take(4)[-1].event == "stream-end"
    server.wait_for_mark(key, "FINISHED")
    if server.kind.framework == "flask":
        assert server.wait_for_mark(key, "teardown")
    wait_for(lambda: server.json("/figures")["open"], "the streams to be closed", equals=0)


@pytest.mark.parametrize("server", BRIDGES, ids=str, indirect=True)
def test_disconnect_is_not_noticed(server, key):
    """As the log says; a lifetime ends such a stream."""
    with server.stream(f"/stream/ticking?key={key}") as stream:
        next(stream)
    server.wait_for_mark(key, "LIFETIME_OVER")


@pytest.mark.parametrize("server", BRIDGES, ids=str, indirect=True)
def test_log(server, key):
    """What does not work is in the log, once."""
    for number in range(2):
        with server.stream(f"/subscribe/{key}-{number}") as stream:
            next(stream)
    name = server.kind.server
    assert server.output().count(f"event streams on {name}: {BRIDGES[server.kind]}") == 1
    unknown = f"a single process, and {name} does not tell whether it runs several"
    assert server.output().count(unknown) == 1


@pytest.mark.parametrize("server", [GRANIAN], ids=str, indirect=True)
def test_granian(server, key):
    """A disconnect is noticed by the second heartbeat, and the log says so, once."""
    for number in range(2):
        with server.stream(f"/stream/sleeping?key={key}-{number}") as stream:
            next(stream)
        server.wait_for_mark(f"{key}-{number}", "CLIENT_GONE")
    told = "event streams on granian: the clients' sockets are not known here"
    assert server.output().count(told) == 1
