"""Three rooms on one connection, each with its own event type and interval."""

import json
import math
import time
from functools import partial

from django.http import Http404, JsonResponse
from django.views.decorators.http import require_GET, require_http_methods

from sse_sync import ServerSentEvent
from sse_sync.django import publish_every, publish_on_commit, subscribe

from .models import Device

ROOMS = {
    "kitchen": (1.0, ("light", "oven")),
    "livingroom": (1.8, ("light", "television")),
    "bedroom": (2.6, ("light", "heating")),
}


@require_GET
def events(request):
    return subscribe(request, "smart-home", snapshot=lambda: [state_of(room) for room in ROOMS])


@require_http_methods(["PUT"])
def switch(request, room):
    if room not in ROOMS:
        raise Http404
    try:
        wanted = json.loads(request.body)
    except ValueError:
        wanted = None
    match wanted:
        case {"device": str(device), "on": bool(is_on)} if device in ROOMS[room][1]:
            # In one statement: a read followed by a write may find SQLite locked.
            Device.objects.bulk_create(
                [Device(room=room, name=device, is_on=is_on)],
                update_conflicts=True,
                unique_fields=["room", "name"],
                update_fields=["is_on"],
            )
        case _:
            problem = "name a device of the room, and whether it is on"
            return JsonResponse({"error": problem}, status=400)
    state = state_of(room)
    publish_on_commit("smart-home", state.data, event=room)
    return JsonResponse(state.data)


def state_of(room):
    found = dict(Device.objects.filter(room=room).values_list("name", "is_on"))
    devices = {name: found.get(name, False) for name in ROOMS[room][1]}
    return ServerSentEvent({"devices": devices}, event=room)


def measure(room):
    # This sensor depends only on the time, so all workers measure the same.
    wave = math.sin(time.time() / 20 + len(room))
    return {"temperature": round(20 + 2 * wave, 1), "humidity": round(45 - 5 * wave)}


for name, (seconds, _) in ROOMS.items():
    publish_every(seconds, "smart-home", event=name)(partial(measure, name))
