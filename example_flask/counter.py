"""Ten events, and an end that stays an end."""

import time

from flask import Blueprint

from sse_sync import ServerSentEvent
from sse_sync.flask import event_stream, last_event_id

bp = Blueprint("counter", __name__, url_prefix="/counter")


@bp.get("/events")
@event_stream
def events():
    # Who comes back after a broken connection goes on where it was.
    last_id = last_event_id() or "0"
    seen = int(last_id) if last_id.isdecimal() else 0
    for number in range(seen + 1, 11):
        yield ServerSentEvent(f"count {number}", event="count", id=number)
        time.sleep(0.5)
