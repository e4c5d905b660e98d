"""The server's time, resumed without a gap, and a button that ends the streams of all workers."""

import time
from datetime import datetime, timezone

from flask import Blueprint

from sse_sync import ServerSentEvent
from sse_sync.flask import event_stream, last_event_id

from .extensions import sse

bp = Blueprint("clock", __name__, url_prefix="/clock")


@bp.get("/events")
@event_stream(user="clock")  # One user for all of these streams, so that all can be ended.
def events():
    # A tick's number is its time, so missed ticks can be repeated without storing anything.
    now = int(time.time() / 2)
    seen = last_event_id(now - 1, type=int)
    tick = max(min(seen, now), now - 100)
    while True:
        tick += 1
        time.sleep(max(0.0, tick * 2 - time.time()))
        at = datetime.fromtimestamp(tick * 2, timezone.utc)
        yield ServerSentEvent(at.strftime("%H:%M:%S UTC"), event="tick", id=tick)


@bp.post("/restart")
def restart():
    sse.disconnect(user="clock", reason="restarted")
    return "", 204
