"""How many people have the page open now, over all workers."""

import secrets

from flask import Blueprint, request

from sse_sync import ServerSentEvent

from .extensions import sse

bp = Blueprint("live_users", __name__, url_prefix="/live-users")


@bp.get("/events")
def events():
    # The page gives each tab a name, so that a tab that reconnects is counted once.
    visitor = request.args.get("visitor", "")[:40]
    if not visitor.isalnum():
        visitor = secrets.token_hex(8)
    return sse.subscribe(
        "live-users",
        presence=visitor,
        grace=0.3,
        snapshot=lambda: [ServerSentEvent(number(), event="users")],
    )


@sse.publish_every(0.5, "live-users", event="users")
def number():
    return len(sse.present("live-users"))
