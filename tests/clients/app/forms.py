"""
What clients of language models and agents read: a text, piece by piece, in each protocol's form.

Each form takes the pieces and yields events. The function beside it with ``_error`` in its name is
the ``error=`` of its stream: it makes the last event of a stream that failed, in the same form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from sse_sync import ServerSentEvent


def openai_chat(pieces: Iterable[str]) -> Iterator[Any]:
    """OpenAI's chat completions: chunks, and ``[DONE]``."""
    yield _chunk({"role": "assistant", "content": ""})
    for piece in pieces:
        yield _chunk({"content": piece})
    yield _chunk({}, finish_reason="stop")
    yield "[DONE]"


def openai_chat_error(failure: Any) -> Any:
    """The client raises an ``APIError``."""
    return {"error": {"message": failure.message, "type": "server_error", "code": None}}


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_800_000_000,
        "model": "small",
        "choices": [choice],
    }


class OpenAIResponses:
    """
    OpenAI's responses: events with a type, counted. One object serves one request.

    Only the first and the last event hold the response itself.
    """

    def __init__(self) -> None:
        self._numbers = count()

    def __call__(self, pieces: Iterable[str]) -> Iterator[ServerSentEvent]:
        """Yield the events."""
        yield self._event("response.created", response=_response("in_progress"))
        yield self._event(
            "response.output_item.added", item=_message("in_progress"), output_index=0
        )
        yield self._event("response.content_part.added", part=_text(""), **_PLACE)
        whole = ""
        for piece in pieces:
            whole += piece
            yield self._event("response.output_text.delta", delta=piece, logprobs=[], **_PLACE)
        message = _message("completed", _text(whole))
        yield self._event("response.output_text.done", text=whole, logprobs=[], **_PLACE)
        yield self._event("response.content_part.done", part=_text(whole), **_PLACE)
        yield self._event("response.output_item.done", item=message, output_index=0)
        yield self._event("response.completed", response=_response("completed", message))

    def error(self, failure: Any) -> ServerSentEvent:
        """The client yields it as an event of type ``error``."""
        return self._event("error", code="server_error", message=failure.message, param=None)

    def _event(self, kind: str, **fields: Any) -> ServerSentEvent:
        data = {"type": kind, "sequence_number": next(self._numbers), **fields}
        return ServerSentEvent(data, event=kind)


_PLACE: dict[str, Any] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(status: str, *content: dict[str, Any]) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "status": status}
    return {**head, "content": list(content)}


def _response(status: str, *output: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_800_000_000,
        "model": "small",
        "status": status,
        "output": list(output),
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
    }


def anthropic_messages(pieces: Iterable[str]) -> Iterator[ServerSentEvent]:
    """Anthropic's messages: events whose name is their type."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "small",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    yield _named("message_start", message=message)
    yield _named("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for piece in pieces:
        yield _named("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield _named("content_block_stop", index=0)
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _named("message_delta", delta=stop, usage={"output_tokens": 4})
    yield _named("message_stop")


def anthropic_error(failure: Any) -> ServerSentEvent:
    """The client raises an ``APIStatusError``."""
    return _named("error", error={"type": "api_error", "message": failure.message})


def _named(kind: str, **fields: Any) -> ServerSentEvent:
    return ServerSentEvent({"type": kind, **fields}, event=kind)


# The protocol asks for it, though the AI SDK's own client does not look.
UI_MESSAGE_STREAM_HEADERS = {"x-vercel-ai-ui-message-stream": "v1"}


def ui_message_stream(pieces: Iterable[str]) -> Iterator[Any]:
    """The AI SDK's UI message stream, which ``useChat`` reads: parts, and ``[DONE]``."""
    yield {"type": "start", "messageId": "answer-1"}
    yield {"type": "text-start", "id": "text-1"}
    for piece in pieces:
        yield {"type": "text-delta", "id": "text-1", "delta": piece}
    yield {"type": "text-end", "id": "text-1"}
    yield {"type": "finish"}
    yield "[DONE]"


def ui_message_error(failure: Any) -> dict[str, Any]:
    """``useChat`` shows it as its ``error``."""
    return {"type": "error", "errorText": failure.message}


def ag_ui(pieces: Iterable[str], thread: str = "thread-1", run: str = "run-1") -> Iterator[Any]:
    """AG-UI: events between the start and the end of a run."""
    yield {"type": "RUN_STARTED", "threadId": thread, "runId": run}
    yield {"type": "TEXT_MESSAGE_START", "messageId": "answer-1", "role": "assistant"}
    for piece in pieces:
        yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": "answer-1", "delta": piece}
    yield {"type": "TEXT_MESSAGE_END", "messageId": "answer-1"}
    yield {"type": "RUN_FINISHED", "threadId": thread, "runId": run}


def ag_ui_error(failure: Any) -> dict[str, Any]:
    """The agent's ``onRunErrorEvent`` gets it."""
    return {"type": "RUN_ERROR", "message": failure.message}


def langgraph(pieces: Iterable[str]) -> Iterator[ServerSentEvent]:
    """LangGraph's runs: named events, here of the stream mode ``custom``."""
    yield ServerSentEvent({"run_id": "run-1"}, event="metadata")
    for piece in pieces:
        yield ServerSentEvent({"text": piece}, event="custom")


def langgraph_error(failure: Any) -> ServerSentEvent:
    """The client yields it as a part named ``error``."""
    return ServerSentEvent({"error": "InternalError", "message": failure.message}, event="error")


def htmx(pieces: Iterable[str]) -> Iterator[str]:
    """HTML that htmx swaps in."""
    for piece in pieces:
        yield f"<li>{piece}</li>"


def datastar(pieces: Iterable[str], selector: str) -> Iterator[ServerSentEvent]:
    """HTML that Datastar 1.0.0-beta.11 adds to an element."""
    for html in htmx(pieces):
        lines = (f"selector {selector}", "mergeMode append", f"fragments {html}")
        yield ServerSentEvent("\n".join(lines), event="datastar-merge-fragments")
