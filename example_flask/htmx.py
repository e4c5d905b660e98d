"""HTML fragments for htmx. The template escapes what visitors typed."""

import time

from flask import Blueprint, render_template, request

from sse_sync import ServerSentEvent
from sse_sync.flask import event_stream, last_event_id

bp = Blueprint("htmx", __name__, url_prefix="/htmx")


@bp.get("/greetings")
def greetings():
    """Return the element that connects."""
    return render_template("greetings.html", name=request.args.get("name", "")[:50])


@bp.get("/events")
@event_stream
def events():
    seen = max(0, last_event_id(0, type=int))
    for number in range(seen + 1, 6):
        html = render_template("greeting.html", name=request.args.get("name", ""), number=number)
        # Without a type: htmx 4 puts only such events into the page.
        yield ServerSentEvent(html, id=number)
        time.sleep(0.4)
