"""A chat: who is there, who joins and leaves, and every message, also after a broken connection."""

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
        retry=300,  # Shorter than the grace, so that a broken connection does not count as leaving.
    )


@bp.post("/message")
def message():
    text, user, name = required(request.form, "message", "id", "name")
    said = {"message": text, "id": user, "name": name}
    sse.publish("chat", said, event="message")
    return said


def required(fields, *names):
    # With a log-in, take id and name from the user.
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
