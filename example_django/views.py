"""Three event streams in Django: a counter, a clock and a job's progress."""

from __future__ import annotations

import secrets
import time
from datetime import datetime, timezone
from weakref import WeakSet

from django.http import Http404, HttpResponse, JsonResponse
from django.views import View
from django.views.decorators.http import require_GET, require_POST
from django.views.static import serve

from sse_sync import EventStream, ServerSentEvent
from sse_sync.django import EventSourceResponse, event_stream, last_event_id

from .settings import PAGES

CLOCKS: WeakSet[EventStream] = WeakSet()
JOBS: dict[str, float] = {}  # Yours belong into a database: these are never removed.


@require_GET
def page(request, name):
    return serve(request, f"{name}.html", document_root=PAGES)


@require_GET
@event_stream
def counter(request):
    for number in range(1, 11):
        yield ServerSentEvent(f"count {number}", event="count", id=number)
        time.sleep(0.5)


@require_GET
def clock(request):
    response = EventSourceResponse(request, ticks(last_event_id(request)))
    if response.event_stream is not None:  # There is none for a client that is sent away.
        CLOCKS.add(response.event_stream)
    return response


def ticks(last_id):
    # A tick's number is its time, so nothing has to be kept to give back what was missed.
    now = int(time.time() / 2)
    seen = int(last_id) if last_id and last_id.isdecimal() else now - 1
    tick = max(min(seen, now), now - 100)
    while True:
        tick += 1
        time.sleep(max(0.0, tick * 2 - time.time()))
        at = datetime.fromtimestamp(tick * 2, timezone.utc)
        yield ServerSentEvent(at.strftime("%H:%M:%S UTC"), event="tick", id=tick)


@require_POST
def restart(request):
    for stream in tuple(CLOCKS):
        stream.end(reconnect=True)
    return HttpResponse(status=204)


class ProgressView(View):
    def get(self, request):
        return page(request, "progress")

    def post(self, request):
        job = secrets.token_urlsafe(8)
        JOBS[job] = time.monotonic()
        return JsonResponse({"job": job})


@require_GET
@event_stream
def progress(request):
    started = JOBS.get(request.GET.get("job", ""))
    if started is None:
        raise Http404("no such job")
    return steps(started)


def steps(started):
    percent = -1
    while percent < 100:
        reached = min(100, int((time.monotonic() - started) * 10))
        if reached > percent:
            percent = reached
            yield ServerSentEvent({"percent": percent}, event="progress", id=percent)
        time.sleep(0.1)
