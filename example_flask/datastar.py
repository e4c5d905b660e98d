"""Events for Datastar: HTML fragments that it puts into the page, and values of its signals."""

import json
import time

from flask import Blueprint, abort, render_template, request

from sse_sync import ServerSentEvent
from sse_sync.flask import event_stream, last_event_id

bp = Blueprint("datastar", __name__, url_prefix="/datastar")


@bp.get("/events")
@event_stream
def events():
    name = signals().get("name", "")
    # Datastar disconnects while the tab is hidden, and reconnects with the last id.
    first = max(0, last_event_id(0, type=int)) + 1
    return greetings(str(name)[:50], first)


def signals():
    try:
        found = json.loads(request.args.get("datastar", "{}"))
    except ValueError:
        abort(400, "the signals are not JSON")
    return found if isinstance(found, dict) else {}


def greetings(name, first):
    for number in range(first, 6):
        html = render_template("greeting.html", name=name, number=number)
        yield datastar_event(
            "datastar-merge-fragments", selector="#greetings", mergeMode="append", fragments=html
        )
        # The second event has the id: a client that has not received it gets both events again.
        yield datastar_signals(number, count=number)
        time.sleep(0.4)


def datastar_signals(id=None, **values):
    return datastar_event("datastar-merge-signals", id, signals=json.dumps(values))


def datastar_event(event, id=None, **fields):
    # The names of 1.0.0-beta.11, the newest on npm. Datastar 1.0 has datastar-patch-elements, with
    # "mode" and "elements", and datastar-patch-signals: yield what datastar-py makes.
    lines = [f"{name} {line}" for name, text in fields.items() for line in text.splitlines()]
    return ServerSentEvent("\n".join(lines), event=event, id=id)
