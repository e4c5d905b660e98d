"""
A language model's answers, in the form of OpenAI's API, and as jobs: an answer goes on without its
reader, is read by any tab through any worker, and can be stopped.

Its clients read them, too: OpenAI(base_url="http://127.0.0.1:8000/tokens/v1", api_key="none").
"""

import secrets
import time

from flask import Blueprint, request, url_for

from example_model import NAME, kettle
from sse_sync import CloseReason
from sse_sync.flask import event_stream

from .extensions import sse

bp = Blueprint("tokens", __name__, url_prefix="/tokens")

UNUSABLE = "send messages, with a question at their end, and stream=true"
UNUSABLE_KEY = "an Idempotency-Key is up to 100 letters and digits"
# Who leaves for longer does not come back.
PATIENCE = 60


def explain(failure):
    """Return the last event of an answer that failed, was stopped, or is lost."""
    is_failed = failure.reason is CloseReason.FAILED
    return problem(failure.message, "server_error" if is_failed else failure.reason.value)


def problem(message, kind):
    return {"error": {"message": message, "type": kind, "code": None}}


@bp.post("/v1/chat/completions")
@event_stream(error=explain)
def completions():
    wanted = request.get_json()
    match wanted:
        case {"messages": [*_, {"role": "user", "content": str(question)}], "stream": True}:
            return respond(answer(question, wanted.get("seed")))
        case _:
            return problem(UNUSABLE, "invalid_request_error"), 400


def respond(tokens):
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return tokens  # Nobody can come back to it, so it ends when its client leaves.
    if not key.isalnum() or len(key) > 100:
        return problem(UNUSABLE_KEY, "invalid_request_error"), 400
    # If the same request comes again, it is answered with what runs already.
    job = sse.start(f"answer-{key}", tokens, stop_when_alone=PATIENCE)
    return job.response(location=url_for(".read", key=key), error=explain)


# There is no log-in here, so whoever knows an answer's key may read and stop it.
@bp.get("/v1/chat/completions/<key>")
def read(key):
    return sse.attach(f"answer-{key}", plain=True, error=explain)


@bp.delete("/v1/chat/completions/<key>")
def stop(key):
    return {"stopped": sse.cancel(f"answer-{key}")}


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
        # Also if it is stopped: then the generator is interrupted where it waits.
        sse.publish("tokens", f"{how} after {said} tokens", event=how)


# The generators of all workers publish here when they end.
bp.register_blueprint(sse.blueprint("tokens", url="/ends"))
