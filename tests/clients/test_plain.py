"""
Clients of language models and agents read plain streams: by POST, or by GET with ``plain``.

Three streams each: one is complete, one fails and says so in the client's form (``error=``), and
one fails without a word, so that its connection breaks off.
"""

import json
import re
import signal

import pytest

from sse_sync.parser import EventStreamParser
from tests.clients import runs
from tests.clients.app import forms
from tests.clients.app.sources import (
    BROKEN,
    SCENARIOS,
    TOLD,
    WHOLE,
    WORDS,
    SourceFailed,
    numbered,
    words,
)
from tests.clients.wire import read_wire
from tests.waiting import wait_for

PATHS = {
    "chat": ("POST", "v1/chat/completions"),
    "responses": ("POST", "v1/responses"),
    "messages": ("POST", "v1/messages"),
    "ui": ("POST", "api/chat"),
    "ui, again": ("GET", "api/chat/chat-1/stream"),
    "agent": ("POST", "agent"),
    "graph": ("POST", "threads/thread-1/runs/stream"),
}
NODE = {"openai-chat", "openai-responses", "ai", "ai-again", "ag-ui", "eventsource-parser"}
# A connection that ends before its time, or is reset, because the request's body was not read.
HTTPX = "(RemoteProtocolError|ReadError): "
FETCH = "TypeError: terminated"
# Who reads what, and how it says that the connection broke.
READERS = {
    "openai (Python), chat": ("chat", "APIConnectionError"),
    "openai (Python), responses": ("responses", "APIConnectionError"),
    "openai-chat": ("chat", FETCH),
    "openai-responses": ("responses", FETCH),
    "anthropic (Python)": ("messages", HTTPX),
    "httpx-sse": ("messages", HTTPX),
    "sseclient-py": ("messages", HTTPX),
    "eventsource-parser": ("messages", FETCH),
    "ai": ("ui", FETCH),
    "ai-again": ("ui, again", FETCH),
    "ag-ui": ("agent", FETCH),
    "langgraph-sdk": ("graph", HTTPX),
}
# These hand out events; the others what their data holds.
RAW = {"httpx-sse", "sseclient-py", "eventsource-parser"}
# These raise what they are told, the others hand it out as an event; the AI SDK does both.
RAISED = {
    "openai (Python), chat": "APIError: internal error",
    "openai-chat": "APIError: internal error",
    "openai-responses": "APIError: internal error",
    "anthropic (Python)": "APIStatusError: .*internal error",
    "ai": "Error: internal error",
    "ai-again": "Error: internal error",
}
AI_SDK = {"ai", "ai-again"}  # It makes a message of the parts, too.
# How many streams fail, and what the log says at the end of each.
FAILURES, ENDED = 2 * (len(READERS) + len(PATHS)), " ended: failed, "


class Failure:
    """What ``error=`` gets, as far as the forms look."""

    message = "internal error"


def form_of(what):
    """Return a form that has sent nothing yet, and that of its error."""
    responses = forms.OpenAIResponses()
    return {
        "chat": (forms.openai_chat, forms.openai_chat_error),
        "responses": (responses, responses.error),
        "messages": (forms.anthropic_messages, forms.anthropic_error),
        "ui": (forms.ui_message_stream, forms.ui_message_error),
        "ui, again": (forms.ui_message_stream, forms.ui_message_error),
        "agent": (forms.ag_ui, forms.ag_ui_error),
        "graph": (forms.langgraph, forms.langgraph_error),
    }[what]


def sent(what, scenario, keeps_id=True):
    """
    Return the events that the application sends, as lists of event type, data and id.

    Args:
        what: Which form.
        scenario: How it ends.
        keeps_id: Whether an event without an id, as that of an error, has the id before it.
    """
    form, error = form_of(what)
    events = []
    try:
        for event in numbered(form(words(scenario, pause=0))):
            events.append([event.event or "message", event.data, str(event.id)])
    except SourceFailed:
        if scenario == TOLD:
            last, last_id = error(Failure), events[-1][2] if keeps_id else ""
            event = getattr(last, "event", None) or "message"
            events.append([event, getattr(last, "data", last), last_id])
    return events


def expected(client, scenario):
    """Return what an application sees through a client."""
    events = sent(READERS[client][0], scenario, keeps_id=client == "httpx-sse")
    if scenario == TOLD and client in RAISED and client not in AI_SDK:
        events.pop()
    if client in RAW:
        return events
    if client == "langgraph-sdk":
        return [[event, data] for event, data, _ in events]
    found = [data for _, data, _ in events if data != "[DONE]"]
    is_message = client in AI_SDK and scenario == WHOLE
    return [*found, "".join(WORDS)] if is_message else found


def decoded(events):
    """Return events with the values whose JSON is their data."""
    return [
        [event or "message", json.loads(data) if data.startswith("{") else data, last_id or ""]
        for event, data, last_id in events
    ]


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """Return what a client saw on a server; all read at the first call."""
    return runs.once(lambda kind: read_all(kind, tmp_path_factory.mktemp(kind)))


def read_all(kind, folder):
    """Let all clients read all streams at the same time."""
    together = runs.Together()
    with runs.serve(kind, folder) as server:
        for scenario in SCENARIOS:
            for client in READERS.keys() - NODE:
                together.call((client, scenario), runs.run_python, client, server.url, scenario)
            for what, (method, path) in PATHS.items():
                url = f"{server.url}/{scenario}/{path}"
                together.call((what, scenario), read_wire, method, url, runs.DEADLINE)
        asked = [f"{client}:{scenario}" for client in NODE for scenario in SCENARIOS]
        together.call("node", runs.run_node, server.url, asked)
        found = together.results()
        wait_for(lambda: server.output().count(ENDED) >= FAILURES, "the last lines of the log")
        output = server.output()
        server.signal(signal.SIGINT)  # Without waiting for idle connections.
    found.update(found.pop("node"))
    return {**found, "log": output}


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("client", READERS)
@pytest.mark.parametrize("kind", runs.KINDS)
def test_client(run_of, kind, client, scenario):
    """The application sees what was sent, and how it ended."""
    run = run_of(kind, (client, scenario))
    seen = decoded(run.seen) if client in RAW else run.seen
    assert seen == expected(client, scenario)
    ended = {WHOLE: "end", TOLD: RAISED.get(client, "end"), BROKEN: READERS[client][1]}
    assert re.match(ended[scenario], run.ended), run.ended


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("what", PATHS)
@pytest.mark.parametrize("kind", runs.KINDS)
def test_bytes(run_of, kind, what, scenario):
    """Only comments and the application's events are sent; an end without a word is not clean."""
    wire = run_of(kind, (what, scenario))
    assert "\r\nContent-Type: text/event-stream" in wire.head
    lines = wire.body.split(b"\n")
    assert lines.count(b":") >= 3  # The opening, and two heartbeats.
    assert b":\n\n" not in wire.body
    assert not [line for line in lines if line.startswith(b"retry")]
    found = EventStreamParser().feed(wire.body)
    assert decoded([event.event, event.data, event.id] for event in found) == sent(what, scenario)
    assert wire.is_clean == (scenario != BROKEN)


@pytest.mark.parametrize("kind", runs.KINDS)
def test_log(run_of, kind):
    """Each stream that failed is logged with its traceback, and nothing else is."""
    log = run_of(kind, "log")
    assert log.count("SourceFailed: out of words\n") == FAILURES
    assert log.count("Traceback (most recent call last)") == FAILURES
    assert log.count(ENDED) == FAILURES


@pytest.mark.parametrize("kind", runs.KINDS)
def test_headers(run_of, kind):
    """The application's own headers are sent, too."""
    assert "\r\nx-vercel-ai-ui-message-stream: v1" in run_of(kind, ("ui", WHOLE)).head
