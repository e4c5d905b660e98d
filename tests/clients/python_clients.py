"""
The clients in Python, each as its documentation shows it.

Each function takes a server's URL, a scenario, and a list, to which it appends what an application
sees. It returns when the stream has ended for the application, and raises what the client raises.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import httpx_sse
import openai
import sseclient
from langgraph_sdk import get_sync_client

Seen = list[Any]

QUESTION: Any = [{"role": "user", "content": "Tell me something."}]
# A heartbeat comes after 15 s in the soak; httpx gives up after 5 s.
TIMEOUT = 60
# A client that comes back needs four connections; it must not go on for ever if a test fails.
ATTEMPTS = 20


def openai_chat(url: str, scenario: str, seen: Seen) -> None:
    """Read OpenAI's chat completions."""
    asked = {"model": "small", "messages": QUESTION}
    with (
        openai.OpenAI(base_url=f"{url}/{scenario}/v1", api_key="none", max_retries=0) as client,
        client.chat.completions.create(**asked, stream=True) as stream,
    ):
        seen.extend(chunk.to_dict() for chunk in stream)


def openai_responses(url: str, scenario: str, seen: Seen) -> None:
    """Read OpenAI's responses."""
    with (
        openai.OpenAI(base_url=f"{url}/{scenario}/v1", api_key="none", max_retries=0) as client,
        client.responses.create(model="small", input=QUESTION, stream=True) as stream,
    ):
        seen.extend(event.to_dict() for event in stream)


def anthropic_messages(url: str, scenario: str, seen: Seen) -> None:
    """Read Anthropic's messages."""
    asked = {"model": "small", "messages": QUESTION, "max_tokens": 100}
    with (
        anthropic.Anthropic(base_url=f"{url}/{scenario}", api_key="none", max_retries=0) as client,
        client.messages.create(**asked, stream=True) as stream,
    ):
        seen.extend(event.to_dict() for event in stream)


def langgraph(url: str, scenario: str, seen: Seen) -> None:
    """Read a run of LangGraph. If the run says where to find it again, the client comes back."""
    base = f"{url}/returning/langgraph-sdk" if scenario == "returning" else f"{url}/{scenario}"
    with get_sync_client(url=base, api_key="none", timeout=TIMEOUT) as client:
        for part in client.runs.stream("thread-1", "agent", input={}, stream_mode="custom"):
            seen.append([part.event, part.data])


@contextlib.contextmanager
def connect_httpx_sse(client: httpx.Client, *request: str, **options: Any) -> Iterator[Any]:
    """Send a request; give httpx-sse's events."""
    with httpx_sse.connect_sse(client, *request, **options) as source:
        source.response.raise_for_status()
        yield source.iter_sse()


@contextlib.contextmanager
def connect_sseclient(client: httpx.Client, *request: str, **options: Any) -> Iterator[Any]:
    """Send a request; give sseclient-py's events."""
    with client.stream(*request, **options) as response:
        response.raise_for_status()
        yield sseclient.SSEClient(response.iter_bytes()).events()


def read_once(connect: Any, url: str, scenario: str, seen: Seen) -> None:
    """Read a POST's events."""
    asked = ("POST", f"{url}/{scenario}/v1/messages")
    with httpx.Client(timeout=TIMEOUT) as client, connect(client, *asked) as events:
        seen.extend([event.event, event.data, event.id or ""] for event in events)


def read_returning(connect: Any, url: str, seen: Seen) -> None:
    """Read a GET's events, as an application's loop: a broken connection brings it back."""
    last, retry = "", 1.0
    with httpx.Client(timeout=TIMEOUT, headers={"Accept": "text/event-stream"}) as client:
        for _ in range(ATTEMPTS):
            headers = {"Last-Event-ID": last} if last else {}
            try:
                with connect(client, "GET", url, headers=headers) as events:
                    for event in events:
                        seen.append([event.event, event.data, event.id or ""])
                        last = event.id or last
                        retry = retry if event.retry is None else int(event.retry) / 1000
                return
            except httpx.TransportError:
                time.sleep(retry)


def httpx_sse_client(url: str, scenario: str, seen: Seen) -> None:
    """Read with httpx-sse."""
    if scenario == "returning":
        read_returning(connect_httpx_sse, f"{url}/returning/httpx-sse/events", seen)
    else:
        read_once(connect_httpx_sse, url, scenario, seen)


def sseclient_py(url: str, scenario: str, seen: Seen) -> None:
    """Read with sseclient-py."""
    if scenario == "returning":
        read_returning(connect_sseclient, f"{url}/returning/sseclient-py/events", seen)
    else:
        read_once(connect_sseclient, url, scenario, seen)


CLIENTS = {
    "openai (Python), chat": openai_chat,
    "openai (Python), responses": openai_responses,
    "anthropic (Python)": anthropic_messages,
    "langgraph-sdk": langgraph,
    "httpx-sse": httpx_sse_client,
    "sseclient-py": sseclient_py,
}
