"""HTML fragments for htmx. The template escapes what visitors typed."""

import time

from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import event_stream, last_event_id


@require_GET
def greetings(request):
    """Return the element that connects."""
    return render(request, "greetings.html", {"name": request.GET.get("name", "")[:50]})


@require_GET
@event_stream
def events(request):
    seen = max(0, last_event_id(request, 0, type=int))
    for number in range(seen + 1, 6):
        context = {"name": request.GET.get("name", ""), "number": number}
        html = render_to_string("greeting.html", context)
        # Without a type: htmx 4 puts only such events into the page.
        yield ServerSentEvent(html, id=number)
        time.sleep(0.4)
