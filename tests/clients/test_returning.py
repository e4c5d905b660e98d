"""
Clients that come back read one stream over four connections.

The first fails, the second is cut off with its worker (kill -9), the third ends because the worker
stops (a reload), and the fourth finishes. All clients of a server go through this together.
"""

import os
import re
import signal

import pytest

from sse_sync import END_ID, ServerSentEvent
from tests.browsers import Chromium
from tests.clients import runs
from tests.clients.app.sources import (
    FAILS_AFTER,
    HEARTBEAT,
    KILLED_AFTER,
    LAST,
    PAUSE,
    RELOADED_AFTER,
    WORDS,
    message,
    part,
)
from tests.clients.wire import read_wire
from tests.waiting import wait_for

NODE = ("eventsource", "eventsource-parser")
PYTHON = ("httpx-sse", "langgraph-sdk", "sseclient-py")
BROWSER = ("datastar", "fetch-event-source", "htmx")
POSTS = ("datastar-post", "htmx-post")  # The same clients read these once.
CLIENTS = (*NODE, *PYTHON, *BROWSER)
# Clients that give an event without an id of its own the one before it.
KEEPS_ID = ("eventsource", "htmx", "httpx-sse")


def expected(client):
    """Return what an application sees through a client."""
    numbers = range(1, LAST + 1)
    if client == "langgraph-sdk":
        return [["custom", part(number).data] for number in numbers]
    if client == "datastar":
        return [f"<li>{number}</li>" for number in numbers]
    if client == "htmx":
        seen = [["message", f"<li>{number}</li>", str(number)] for number in numbers]
    else:
        seen = [
            [event.event or "message", event.data, str(event.id)] for event in map(message, numbers)
        ]
    last_id = str(FAILS_AFTER) if client in KEEPS_ID else ""
    seen.insert(FAILS_AFTER, ["stream-error", "internal error", last_id])
    return [*seen, ["stream-end", "", END_ID]]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser for all servers, one after the other."""
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def run_of(tmp_path_factory, chromium):
    """Return what a client saw on a server; all read at the first call."""
    return runs.once(lambda kind: read_all(kind, tmp_path_factory.mktemp(kind), chromium))


def read_all(kind, folder, chromium):
    """Let all clients read, and end their connections."""
    together = runs.Together()

    def wait_until_all_have(number):
        def missing():
            return [client for client in CLIENTS if not (folder / f"{client}-{number}").exists()]

        wait_for(missing, f"the clients to have {number}", runs.DEADLINE, equals=[])

    with runs.serve(kind, folder) as server:
        chromium.open(f"{server.url}/file/pages/clients.html")
        for client in PYTHON:
            together.call(client, runs.run_python, client, server.url, "returning")
        witness = f"{server.url}/returning/witness/events"
        together.call("failed", read_wire, "GET", witness, runs.DEADLINE)
        together.call("finished", read_wire, "GET", witness, runs.DEADLINE, str(RELOADED_AFTER))
        asked = [f"{client}:returning" for client in NODE]
        together.call("node", runs.run_node, server.url, asked)
        wait_until_all_have(KILLED_AFTER)
        wait_for(
            lambda: unfinished(chromium, POSTS), "the browser's POSTs", runs.DEADLINE, equals=[]
        )
        os.kill(*server.workers(), signal.SIGKILL)
        wait_until_all_have(RELOADED_AFTER)
        server.signal(signal.SIGHUP)
        found = together.results()
        wait_for(lambda: unfinished(chromium, BROWSER), "the browser", runs.DEADLINE, equals=[])
        (folder / "over").touch()
        seen, ended, listed = chromium.run("return [window.seen, window.ended, listed()]")
        server.signal(signal.SIGINT)  # Without waiting for the browser's idle connections.
    found.update({client: run for (client, _), run in found.pop("node").items()})
    found.update({client: runs.Run(seen[client], ended[client]) for client in BROWSER})
    return {**found, "listed": listed}


def unfinished(chromium, clients):
    """Return which of these clients in the browser still read."""
    ended = chromium.run("return window.ended")
    return [client for client in clients if client not in ended]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("kind", runs.KINDS)
def test_client(run_of, kind, client):
    """The application sees each event once and in order, and then that the stream has ended."""
    run = run_of(kind, client)
    assert run.seen == expected(client)
    assert run.ended == {"datastar": "finished", "htmx": "message"}.get(client, "end")


@pytest.mark.parametrize("kind", runs.KINDS)
def test_page(run_of, kind):
    """htmx and Datastar put each element into the page once, also those that a POST returns."""
    numbers = [str(number) for number in range(1, LAST + 1)]
    assert run_of(kind, "listed") == [numbers, numbers, list(WORDS), list(WORDS)]


@pytest.mark.parametrize("kind", runs.KINDS)
def test_bytes(run_of, kind):
    """An end from which a client shall come back is not clean; the end of all events is."""
    failed, finished = run_of(kind, "failed"), run_of(kind, "finished")
    assert re.match(rb":\nretry: 200\n(:\n)*id: 1\n", failed.body)
    assert failed.body.split(b"\n").count(b":") > min(2, PAUSE // HEARTBEAT)
    assert b":\n\n" not in failed.body
    assert b"\n\nevent: stream-error\n" in failed.body
    assert not failed.is_clean
    events = message(LAST).encode() + ServerSentEvent("", event="stream-end", id=END_ID).encode()
    without_heartbeats = re.sub(rb"(?<=\n)(:\n)+", b"", finished.body)
    assert without_heartbeats == b":\nretry: 200\n" + events
    assert finished.is_clean
