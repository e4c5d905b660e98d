"""The server's time, resumed without a gap, and a button that ends the streams of all workers."""

import time
from datetime import datetime, timezone

from django.http import HttpResponse
from django.views.decorators.http import require_GET, require_POST

from sse_sync import ServerSentEvent
from sse_sync.django import disconnect, event_stream, last_event_id


@require_GET
@event_stream(user="clock")  # One user for all of these streams, so that all can be ended.
def events(request):
    # A tick's number is its time, so missed ticks can be repeated without storing anything.
    now = int(time.time() / 2)
    seen = last_event_id(request, now - 1, type=int)
    tick = max(min(seen, now), now - 100)
    while True:
        tick += 1
        time.sleep(max(0.0, tick * 2 - time.time()))
        at = datetime.fromtimestamp(tick * 2, timezone.utc)
        yield ServerSentEvent(at.strftime("%H:%M:%S UTC"), event="tick", id=tick)


@require_POST
def restart(request):
    disconnect(user="clock", reason="restarted")
    return HttpResponse(status=204)
