"""
A language model's answers, in the form of OpenAI's API.

Its clients read them, too: OpenAI(base_url="http://127.0.0.1:8000/tokens/v1", api_key="none").
"""

import secrets
import time

from flask import Blueprint, request

from example_model import NAME, kettle
from sse_sync.flask import event_stream

from .extensions import sse

bp = Blueprint("tokens", __name__, url_prefix="/tokens")

UNUSABLE = "send messages, with a question at their end, and stream=true"


def explain(failure):
    """Return the last event of an answer that failed."""
    return problem(failure.message, "server_error")


def problem(message, kind):
    return {"error": {"message": message, "type": kind, "code": None}}


@bp.post("/v1/chat/completions")
@event_stream(error=explain)
def completions():
    wanted = request.get_json()
    match wanted:
        case {"messages": [*_, {"role": "user", "content": str(question)}], "stream": True}:
            return answer(question, wanted.get("seed"))
        case _:
            return problem(UNUSABLE, "invalid_request_error"), 400


def answer(question, seed):
    id, created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())

    def chunk(delta, finish_reason=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunks = {"id": id, "object": "chat.completion.chunk", "created": created, "model": NAME}
        return {**chunks, "choices": [choice]}

    said, how = 0, "stopped"
    try:
        yield chunk({"role": "assistant", "content": ""})
        for token in kettle.answer(question, seed):
            time.sleep(0.06)  # Thinking.
            said += 1
            yield chunk({"content": token})
        how = "finished"
        yield chunk({}, "stop")
        yield "[DONE]"
    except Exception:
        how = "failed"
        raise
    finally:
        # Also if the client has left: then the generator is interrupted where it waits.
        sse.publish("tokens", f"{how} after {said} tokens", event=how)


# The generators of all workers publish here when they end.
bp.register_blueprint(sse.blueprint("tokens", url="/ends"))
