"""News for pages of other origins, such as those made with React and Vue, with times as ids."""

import time
from datetime import datetime, timedelta, timezone

from flask import Blueprint, current_app

from sse_sync import ServerSentEvent
from sse_sync.flask import event_stream, last_event_id

bp = Blueprint("updates", __name__, url_prefix="/updates")

SECOND = timedelta(seconds=1)


@bp.get("/events")
@event_stream  # Whose pages may read it is in SSE_CORS_ORIGINS.
def events():
    now = datetime.now(timezone.utc).replace(microsecond=0)
    seen = last_event_id(now, type=moment)
    at = max(min(seen, now), now - 60 * SECOND)
    while True:
        at += SECOND
        time.sleep(max(0.0, at.timestamp() - time.time()))
        # Some figure or other; yours would be news.
        data = {"load": sum(map(int, f"{at:%H%M%S}")), "time": f"{at:%H:%M:%S}"}
        yield ServerSentEvent(data, event="update", id=at.isoformat())


def moment(text):
    return datetime.fromisoformat(text).astimezone(timezone.utc)


@bp.get("/origins")
def origins():
    """Where the pages find these streams on another origin."""
    return list(current_app.config["SSE_CORS_ORIGINS"])
