"""A chat: who is there, who comes and goes, and what is said, also to those who were away."""

from flask import Blueprint, abort, request

from sse_sync import ServerSentEvent

from .extensions import sse

bp = Blueprint("chat", __name__, url_prefix="/chat")

LENGTHS = {"message": 1000, "id": 50, "name": 50}


@bp.get("/events")
def events():
    user, name = required(request.args, "id", "name")
    return sse.subscribe(
        "chat",
        presence=user,
        info={"name": name},
        grace=0.5,
        announce=("new-user", "user-leave"),
        snapshot=lambda: [ServerSentEvent(users(), event="all-users")],
        retry=300,  # Sooner than the grace is over, so that a broken connection is no leave.
    )


@bp.post("/message")
def message():
    text, user, name = required(request.form, "message", "id", "name")
    said = {"message": text, "id": user, "name": name}
    sse.publish("chat", said, event="message")
    return said


def required(fields, *names):
    # Whoever has a log-in takes id and name from there.
    values = [fields.get(name, "").strip() for name in names]
    for name, value in zip(names, values, strict=True):
        if not value:
            abort(400, f"missing: {name}")
        if len(value) > LENGTHS[name] or (name == "id" and not value.isprintable()):
            abort(400, f"unusable: {name}")
    return values


@sse.publish_every(2.0, "chat", event="users")
def users():
    return [{"id": each.user, "name": each.info["name"]} for each in sse.present("chat")]
