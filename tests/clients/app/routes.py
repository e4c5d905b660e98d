"""The routes of the client tests, for both frameworks: each returns a source and how it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sse_sync import ServerSentEvent

from . import forms
from .sources import HEARTBEAT, TOLD, message, numbered, numbers, part, words

FOLDER = Path(__file__).resolve().parents[1]
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

# Flask reads them with the prefix SSE_. Clients come back soon, so that the tests are short; but
# from a stopping worker after RETRY_STOPPING's two seconds, when a gevent worker has closed its
# listener, for which it takes one. Until then it answers with "Connection: close", after which
# Node's fetch() takes a broken end for a clean one.
OPTIONS = {"HEARTBEAT": HEARTBEAT, "RETRY": 200, "RETRY_FAILED": 200}


@dataclass(frozen=True)
class Reply:
    """What a view returns."""

    source: Iterator[ServerSentEvent]
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of the response class."""


@dataclass(frozen=True)
class Route:
    """A view that both frameworks serve."""

    method: str
    path: str
    """In the notation that Flask and Django share."""
    view: Callable[..., Reply]
    """Takes the last event ID, or 0, and the variables of the path."""


def say(form: Any, error: Any, scenario: str, **options: Any) -> Reply:
    """Return the words in a form; where the client is told, a failure has that form, too."""
    if scenario == TOLD:
        options["error"] = error
    return Reply(numbered(form(words(scenario))), options)


def openai_chat(seen: int, scenario: str) -> Reply:
    """POST: OpenAI's chat completions."""
    return say(forms.openai_chat, forms.openai_chat_error, scenario)


def openai_responses(seen: int, scenario: str) -> Reply:
    """POST: OpenAI's responses."""
    form = forms.OpenAIResponses()
    return say(form, form.error, scenario)


def anthropic_messages(seen: int, scenario: str) -> Reply:
    """POST: Anthropic's messages."""
    return say(forms.anthropic_messages, forms.anthropic_error, scenario)


def ui_messages(seen: int, scenario: str) -> Reply:
    """POST: the AI SDK's chat."""
    headers = forms.UI_MESSAGE_STREAM_HEADERS
    return say(forms.ui_message_stream, forms.ui_message_error, scenario, headers=headers)


def ui_messages_again(seen: int, scenario: str, chat: str) -> Reply:
    """GET: the AI SDK comes back to a chat, so only ``plain`` says that it is no EventSource."""
    headers = forms.UI_MESSAGE_STREAM_HEADERS
    error = forms.ui_message_error
    return say(forms.ui_message_stream, error, scenario, plain=True, headers=headers)


def ag_ui(seen: int, scenario: str) -> Reply:
    """POST: an AG-UI agent."""
    return say(forms.ag_ui, forms.ag_ui_error, scenario)


def langgraph(seen: int, scenario: str, thread: str) -> Reply:
    """POST: a LangGraph run that does not say where to find it again."""
    return say(forms.langgraph, forms.langgraph_error, scenario)


def langgraph_numbers(seen: int, client: str, thread: str) -> Reply:
    """POST: a LangGraph run that names where the client finds it again."""
    location = f"/threads/{thread}/runs/run-1/stream"  # Below the client's base URL.
    return Reply(map(part, numbers(seen, client)), {"headers": {"Location": location}})


def langgraph_again(seen: int, client: str, thread: str) -> Reply:
    """GET: where it finds it again."""
    return Reply(map(part, numbers(seen, client)), {"plain": True})


def events(seen: int, client: str) -> Reply:
    """GET: an event stream as browsers read it."""
    return Reply(map(message, numbers(seen, client)))


def htmx(seen: int, client: str) -> Reply:
    """GET: htmx's hx-sse:connect."""
    return Reply(numbered(forms.htmx(map(str, numbers(seen, client))), seen + 1))


def htmx_once(seen: int, scenario: str) -> Reply:
    """POST: htmx's hx-post."""
    return Reply(numbered(forms.htmx(words(scenario))))


def datastar(seen: int, client: str) -> Reply:
    """GET: Datastar's @get."""
    pieces = map(str, numbers(seen, client))
    return Reply(numbered(forms.datastar(pieces, "#datastar"), seen + 1))


def datastar_once(seen: int, scenario: str) -> Reply:
    """POST: Datastar's @post."""
    return Reply(numbered(forms.datastar(words(scenario), "#datastar-post")))


ROUTES = (
    Route("POST", "<scenario>/v1/chat/completions", openai_chat),
    Route("POST", "<scenario>/v1/responses", openai_responses),
    Route("POST", "<scenario>/v1/messages", anthropic_messages),
    Route("POST", "<scenario>/api/chat", ui_messages),
    Route("GET", "<scenario>/api/chat/<chat>/stream", ui_messages_again),
    Route("POST", "<scenario>/agent", ag_ui),
    Route("POST", "<scenario>/threads/<thread>/runs/stream", langgraph),
    Route("POST", "returning/<client>/threads/<thread>/runs/stream", langgraph_numbers),
    Route("GET", "returning/<client>/threads/<thread>/runs/run-1/stream", langgraph_again),
    Route("GET", "returning/<client>/events", events),
    Route("GET", "returning/<client>/elements", htmx),
    Route("POST", "<scenario>/elements", htmx_once),
    Route("GET", "returning/<client>/patches", datastar),
    Route("POST", "<scenario>/patches", datastar_once),
)


def file(path: str) -> tuple[bytes, str]:
    """Return the page, or a script of an npm package, and its type."""
    found = FOLDER / path
    return found.read_bytes(), TYPES[found.suffix]
