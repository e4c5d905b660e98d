"""A chat for the AI SDK's useChat, which resumes an answer by itself: the answer is a job."""

import json
import time

from django.http import JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from example_model import kettle
from sse_sync import CloseReason
from sse_sync.django import attach, cancel, start

PROTOCOL = {"x-vercel-ai-ui-message-stream": "v1"}


def explain(failure):
    """Return the last parts of an answer that failed, was stopped, or is lost."""
    if failure.reason is CloseReason.CANCELLED:
        return [{"type": "abort"}, "[DONE]"]
    return [{"type": "error", "errorText": failure.message}, "[DONE]"]


@require_POST
def ask(request):
    wanted = json.loads(request.body)
    match wanted:
        case {
            "id": str(chat),
            "messages": [*_, {"role": "user", "id": str(id), "parts": [{"text": str(question)}]}],
        } if chat.isalnum() and len(chat) <= 100:
            # One answer at a time: while it runs, another question is answered with it.
            parts = answer(f"answer-{id}", question, wanted.get("seed"))
            job = start(f"chat-{chat}", parts, restart=True, stop_when_alone=60)
        case _:
            problem = "send a chat's id, and messages with a question at their end"
            return JsonResponse({"error": problem}, status=400)
    location = reverse("assistant-resume", args=[chat])
    return job.response(request, location=location, headers=PROTOCOL, error=explain)


# There is no log-in here, so whoever knows a chat's id may read and stop its answer.
@require_GET
def resume(request, chat):
    return attach(request, f"chat-{chat}", plain=True, headers=PROTOCOL, error=explain)


@require_http_methods(["DELETE"])
def stop(request, chat):
    return JsonResponse({"stopped": cancel(f"chat-{chat}")})


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
