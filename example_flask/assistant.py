"""A chat for the AI SDK's useChat, which resumes an answer by itself: the answer is a job."""

import time

from flask import Blueprint, abort, request, url_for

from example_model import kettle
from sse_sync import CloseReason

from .extensions import sse

bp = Blueprint("assistant", __name__, url_prefix="/assistant")

PROTOCOL = {"x-vercel-ai-ui-message-stream": "v1"}


def explain(failure):
    """Return the last parts of an answer that failed, was stopped, or is lost."""
    if failure.reason is CloseReason.CANCELLED:
        return [{"type": "abort"}, "[DONE]"]
    return [{"type": "error", "errorText": failure.message}, "[DONE]"]


@bp.post("/chat")
def ask():
    wanted = request.get_json()
    match wanted:
        case {
            "id": str(chat),
            "messages": [*_, {"role": "user", "id": str(id), "parts": [{"text": str(question)}]}],
        } if chat.isalnum() and len(chat) <= 100:
            # One answer at a time: while it runs, another question is answered with it.
            parts = answer(f"answer-{id}", question, wanted.get("seed"))
            job = sse.start(f"chat-{chat}", parts, restart=True, stop_when_alone=60)
        case _:
            abort(400, "send a chat's id, and messages with a question at their end")
    return job.response(location=url_for(".resume", chat=chat), headers=PROTOCOL, error=explain)


# There is no log-in here, so whoever knows a chat's id may read and stop its answer.
@bp.get("/chat/<chat>/stream")
def resume(chat):
    return sse.attach(f"chat-{chat}", plain=True, headers=PROTOCOL, error=explain)


@bp.delete("/chat/<chat>")
def stop(chat):
    return {"stopped": sse.cancel(f"chat-{chat}")}


def answer(id, question, seed):
    # Because it has an id, the page replaces what it has of the message when it is sent again.
    yield {"type": "start", "messageId": id}
    yield {"type": "text-start", "id": "text"}
    for token in kettle.answer(question, seed):
        time.sleep(0.06)  # Thinking.
        yield {"type": "text-delta", "id": "text", "delta": token}
    yield {"type": "text-end", "id": "text"}
    yield {"type": "finish"}
    yield "[DONE]"
