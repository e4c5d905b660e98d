"""Events for Datastar: HTML fragments that it puts into the page, and values of its signals."""

import json
import time

from django.core.exceptions import BadRequest
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import event_stream, last_event_id


@require_GET
@event_stream
def events(request):
    name = signals(request).get("name", "")
    # Datastar disconnects while the tab is hidden, and reconnects with the last id.
    first = max(0, last_event_id(request, 0, type=int)) + 1
    return greetings(str(name)[:50], first)


def signals(request):
    try:
        found = json.loads(request.GET.get("datastar", "{}"))
    except ValueError as exc:
        raise BadRequest("the signals are not JSON") from exc
    return found if isinstance(found, dict) else {}


def greetings(name, first):
    for number in range(first, 6):
        html = render_to_string("greeting.html", {"name": name, "number": number})
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
