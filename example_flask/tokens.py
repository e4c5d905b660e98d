"""A text that is generated token by token, until it is finished or its reader leaves."""

import re
import time

from flask import Blueprint

from sse_sync import ServerSentEvent
from sse_sync.flask import event_stream, last_event_id

from .extensions import sse

bp = Blueprint("tokens", __name__, url_prefix="/tokens")

TEXT = """\
A language model answers in small pieces, and a reader wants to see each of them at once. So the \
server sends every piece as an event.

When the reader has seen enough, the page closes the connection. The server notices at once, and \
interrupts the generator where it waits: nothing is computed that nobody will read.

The generator itself writes the line below, in its "finally"."""
TOKENS = re.findall(r"\s*\S+", TEXT)


@bp.get("/events")
@event_stream
def events():
    made = min(max(0, last_event_id(0, type=int)), len(TOKENS))
    try:
        for token in TOKENS[made:]:
            time.sleep(0.08)  # Thinking.
            made += 1
            yield ServerSentEvent(token, event="token", id=made)
    finally:
        how = "finished" if made == len(TOKENS) else "stopped"
        sse.publish("tokens", f"{how} after {made} of {len(TOKENS)} tokens", event=how)


# The generators of all workers publish here when they end.
bp.register_blueprint(sse.blueprint("tokens", url="/ends"))
