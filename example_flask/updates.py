"""News for pages of other origins, such as the React and Vue pages, with times as ids."""

import time
from datetime import datetime, timedelta, timezone

from flask import Blueprint, current_app

from sse_sync import ServerSentEvent
from sse_sync.flask import event_stream, last_event_id

bp = Blueprint("updates", __name__, url_prefix="/updates")

SECOND = timedelta(seconds=1)


@bp.get("/events")
@event_stream  # SSE_CORS_ORIGINS lists the origins that may read it.
def events():
    now = datetime.now(timezone.utc).replace(microsecond=0)
    seen = last_event_id(now, type=moment)
    at = max(min(seen, now), now - 60 * SECOND)
    while True:
        at += SECOND
        time.sleep(max(0.0, at.timestamp() - time.time()))
        # An arbitrary figure; yours would be news.
        data = {"load": sum(map(int, f"{at:%H%M%S}")), "time": f"{at:%H:%M:%S}"}
        yield ServerSentEvent(data, event="update", id=at.isoformat())


def moment(text):
    return datetime.fromisoformat(text).astimezone(timezone.utc)


@bp.get("/origins")
def origins():
    """Return the origins from which the pages can read these streams."""
    return list(current_app.config["SSE_CORS_ORIGINS"])
