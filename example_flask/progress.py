"""A long job's progress, from the database, so that any worker knows it, also after a restart."""

import secrets
import time

from flask import Blueprint, abort, request

from sse_sync import ServerSentEvent
from sse_sync.flask import event_stream

from .extensions import db
from .models import Job

bp = Blueprint("progress", __name__, url_prefix="/progress")


@bp.post("/")
def begin():
    job = Job(id=secrets.token_urlsafe(8), started=time.time())
    db.session.add(job)
    db.session.commit()
    return {"job": job.id}


@bp.get("/events")
@event_stream
def events():
    job = db.session.get(Job, request.args.get("job", ""))
    if job is None:
        abort(404)
    return steps(job.started)


def steps(started):
    percent = -1
    while percent < 100:
        reached = min(100, int((time.time() - started) * 10))
        if reached > percent:
            percent = reached
            yield ServerSentEvent({"percent": percent}, event="progress", id=percent)
        time.sleep(0.1)
