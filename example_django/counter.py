"""Ten events, and an end that stays an end."""

import time

from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import event_stream


@require_GET
@event_stream
def events(request):
    for number in range(1, 11):
        yield ServerSentEvent(f"count {number}", event="count", id=number)
        time.sleep(0.5)
