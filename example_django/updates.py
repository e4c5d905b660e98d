"""News for pages of other origins, such as the React and Vue pages, with times as ids."""

import time
from datetime import datetime, timedelta, timezone

from django.conf import settings
from django.http import JsonResponse
from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import event_stream, last_event_id

SECOND = timedelta(seconds=1)


@require_GET
@event_stream  # CORS_ORIGINS in SSE_SYNC lists the origins that may read it.
def events(request):
    now = datetime.now(timezone.utc).replace(microsecond=0)
    seen = last_event_id(request, now, type=moment)
    at = max(min(seen, now), now - 60 * SECOND)
    while True:
        at += SECOND
        time.sleep(max(0.0, at.timestamp() - time.time()))
        # An arbitrary figure; yours would be news.
        data = {"load": sum(map(int, f"{at:%H%M%S}")), "time": f"{at:%H:%M:%S}"}
        yield ServerSentEvent(data, event="update", id=at.isoformat())


def moment(text):
    return datetime.fromisoformat(text).astimezone(timezone.utc)


@require_GET
def origins(request):
    """Return the origins from which the pages can read these streams."""
    return JsonResponse(settings.SSE_SYNC["CORS_ORIGINS"], safe=False)
