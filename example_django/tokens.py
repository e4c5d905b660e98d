"""
A language model's answers, in the form of OpenAI's API, and as jobs: an answer goes on without its
reader, is read by any tab through any worker, and can be stopped.

Its clients read them, too: OpenAI(base_url="http://127.0.0.1:8000/tokens/v1", api_key="none").
"""

import json
import secrets
import time

from django.http import JsonResponse
from django.urls import reverse
from django.views import View
from django.views.decorators.http import require_POST

from example_model import NAME, kettle
from sse_sync import CloseReason
from sse_sync.django import ChannelView, attach, cancel, event_stream, publish, start

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


@require_POST
@event_stream(error=explain)
def completions(request):
    try:
        wanted = json.loads(request.body)
    except ValueError:
        wanted = None
    match wanted:
        case {"messages": [*_, {"role": "user", "content": str(question)}], "stream": True}:
            return respond(request, answer(question, wanted.get("seed")))
        case _:
            return refuse(UNUSABLE)


def respond(request, tokens):
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return tokens  # Nobody can come back to it, so it ends when its client leaves.
    if not key.isalnum() or len(key) > 100:
        return refuse(UNUSABLE_KEY)
    # If the same request comes again, it is answered with what runs already.
    job = start(f"answer-{key}", tokens, stop_when_alone=PATIENCE)
    return job.response(request, location=reverse("answer", args=[key]), error=explain)


def refuse(message):
    return JsonResponse(problem(message, "invalid_request_error"), status=400)


class AnswerView(View):
    """There is no log-in here, so whoever knows an answer's key may read and stop it."""

    def get(self, request, key):
        return attach(request, f"answer-{key}", plain=True, error=explain)

    def delete(self, request, key):
        return JsonResponse({"stopped": cancel(f"answer-{key}")})


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
        publish("tokens", f"{how} after {said} tokens", event=how)


# The generators of all workers publish here when they end.
ends = ChannelView.as_view(channels=["tokens"])
