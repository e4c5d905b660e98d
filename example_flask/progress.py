"""
A report as a job: it is written once, whoever watches. Its progress is shown by any tab through any
worker, also after a reload, and the report can be downloaded.
"""

import csv
import io
import secrets
import time

from flask import Blueprint, Response, abort, request

from sse_sync import ServerSentEvent

from .extensions import db, sse
from .models import Report

bp = Blueprint("progress", __name__, url_prefix="/progress")


@bp.post("/")
def begin():
    # There is no log-in here, so whoever knows the key may see the report.
    key = secrets.token_urlsafe(16)
    sse.start(f"report-{key}", write(key))
    return {"job": key}, 202


@bp.get("/events")
def events():
    return sse.attach(f"report-{request.args.get('job', '')}")


def write(key):
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("number", "square", "root"))
    for percent in range(100):
        yield progress(percent)
        numbers = range(1000 * percent + 1, 1000 * percent + 1001)
        rows.writerows((n, n * n, f"{n**0.5:.6f}") for n in numbers)
        time.sleep(0.1)  # Yours would wait for a database.
    db.session.add(Report(id=key, text=text.getvalue()))
    db.session.commit()
    yield progress(100)


def progress(percent):
    return ServerSentEvent({"percent": percent}, event="progress")


@bp.get("/<key>.csv")
def download(key):
    report = db.session.get(Report, key) or abort(404)
    headers = {"Content-Disposition": 'attachment; filename="report.csv"'}
    return Response(report.text, mimetype="text/csv", headers=headers)
