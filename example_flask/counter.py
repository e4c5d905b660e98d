"""Ten events, and an end that stays an end."""

import time

from flask import Blueprint

from sse_sync import ServerSentEvent
from sse_sync.flask import event_stream

bp = Blueprint("counter", __name__, url_prefix="/counter")


@bp.get("/events")
@event_stream
def events():
    for number in range(1, 11):
        yield ServerSentEvent(f"count {number}", event="count", id=number)
        time.sleep(0.5)
