"""Ten events, and an end after which the browser does not reconnect."""

import time

from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import event_stream, last_event_id


@require_GET
@event_stream
def events(request):
    # After a broken connection, continue where the client left off.
    seen = max(0, last_event_id(request, 0, type=int))
    for number in range(seen + 1, 11):
        yield ServerSentEvent(f"count {number}", event="count", id=number)
        time.sleep(0.5)
