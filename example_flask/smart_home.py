"""Three rooms on one connection, each with its own event type and interval."""

import math
import time
from functools import partial

from flask import Blueprint, abort, request
from sqlalchemy.dialects.sqlite import insert

from sse_sync import ServerSentEvent

from .extensions import db, sse
from .models import Device

bp = Blueprint("smart_home", __name__, url_prefix="/smart-home")

ROOMS = {
    "kitchen": (1.0, ("light", "oven")),
    "livingroom": (1.8, ("light", "television")),
    "bedroom": (2.6, ("light", "heating")),
}


@bp.get("/events")
def events():
    return sse.subscribe("smart-home", snapshot=lambda: [state_of(room) for room in ROOMS])


@bp.put("/<room>")
def switch(room):
    if room not in ROOMS:
        abort(404)
    match request.get_json():
        case {"device": str(device), "on": bool(is_on)} if device in ROOMS[room][1]:
            # In one statement, because others may switch it at the same moment.
            row = insert(Device).values(room=room, name=device, is_on=is_on)
            db.session.execute(row.on_conflict_do_update(set_={"is_on": is_on}))
        case _:
            abort(400, "name a device of the room, and whether it is on")
    db.session.commit()
    state = state_of(room)
    sse.publish("smart-home", state.data, event=room)
    return state.data


def state_of(room):
    rows = db.session.scalars(db.select(Device).filter_by(room=room))
    found = {device.name: device.is_on for device in rows}
    devices = {name: found.get(name, False) for name in ROOMS[room][1]}
    return ServerSentEvent({"devices": devices}, event=room)


def measure(room):
    # This sensor depends only on the time, so all workers measure the same.
    wave = math.sin(time.time() / 20 + len(room))
    return {"temperature": round(20 + 2 * wave, 1), "humidity": round(45 - 5 * wave)}


for name, (seconds, _) in ROOMS.items():
    sse.publish_every(seconds, "smart-home", event=name)(partial(measure, name))
