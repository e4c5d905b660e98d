"""
A language model's answers, in the form of OpenAI's API.

Its clients read them, too: OpenAI(base_url="http://127.0.0.1:8000/tokens/v1", api_key="none").
"""

import json
import secrets
import time

from django.http import JsonResponse
from django.views.decorators.http import require_POST

from example_model import NAME, kettle
from sse_sync.django import ChannelView, event_stream, publish

UNUSABLE = "send messages, with a question at their end, and stream=true"


def explain(failure):
    """Return the last event of an answer that failed."""
    return problem(failure.message, "server_error")


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
            return answer(question, wanted.get("seed"))
        case _:
            return JsonResponse(problem(UNUSABLE, "invalid_request_error"), status=400)


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
        publish("tokens", f"{how} after {said} tokens", event=how)


# The generators of all workers publish here when they end.
ends = ChannelView.as_view(channels=["tokens"])
