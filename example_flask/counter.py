"""Ten events, and an end after which the browser does not reconnect."""

import time

from flask import Blueprint

from sse_sync import ServerSentEvent
from sse_sync.flask import event_stream, last_event_id

bp = Blueprint("counter", __name__, url_prefix="/counter")


@bp.get("/events")
@event_stream
def events():
    # After a broken connection, continue where the client left off.
    seen = max(0, last_event_id(0, type=int))
    for number in range(seen + 1, 11):
        yield ServerSentEvent(f"count {number}", event="count", id=number)
        time.sleep(0.5)
