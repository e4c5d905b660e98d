"""Three event streams in Flask: a counter, a clock and a job's progress."""

from __future__ import annotations

import secrets
import time
from datetime import datetime, timezone
from pathlib import Path
from weakref import WeakSet

from flask import Flask, abort, request, send_from_directory

from sse_sync import EventStream, ServerSentEvent
from sse_sync.flask import SSE, EventSourceResponse, event_stream, last_event_id

PAGES = Path(__file__).resolve().parents[1] / "example_pages"
CLOCKS: WeakSet[EventStream] = WeakSet()
JOBS: dict[str, float] = {}  # Yours belong into a database: these are never removed.

app = Flask(__name__, static_folder=str(PAGES), static_url_path="/pages")
sse = SSE(app)


@app.get("/")
def index():
    return send_from_directory(PAGES, "index.html")


@app.get("/<any(counter, clock, progress):name>/")
def page(name):
    return send_from_directory(PAGES, f"{name}.html")


@app.get("/counter/events")
@event_stream
def counter():
    for number in range(1, 11):
        yield ServerSentEvent(f"count {number}", event="count", id=number)
        time.sleep(0.5)


@app.get("/clock/events")
def clock():
    response = EventSourceResponse(ticks(last_event_id()))
    if response.event_stream is not None:  # There is none for a client that is sent away.
        CLOCKS.add(response.event_stream)
    return response


def ticks(last_id):
    # A tick's number is its time, so nothing has to be kept to give back what was missed.
    now = int(time.time() / 2)
    seen = int(last_id) if last_id and last_id.isdecimal() else now - 1
    tick = max(min(seen, now), now - 100)
    while True:
        tick += 1
        time.sleep(max(0.0, tick * 2 - time.time()))
        at = datetime.fromtimestamp(tick * 2, timezone.utc)
        yield ServerSentEvent(at.strftime("%H:%M:%S UTC"), event="tick", id=tick)


@app.post("/clock/restart")
def restart():
    for stream in tuple(CLOCKS):
        stream.end(reconnect=True)
    return "", 204


@app.post("/progress/")
def start_job():
    job = secrets.token_urlsafe(8)
    JOBS[job] = time.monotonic()
    return {"job": job}


@app.get("/progress/events")
@event_stream
def progress():
    started = JOBS.get(request.args.get("job", ""))
    if started is None:
        abort(404)
    return steps(started)


def steps(started):
    percent = -1
    while percent < 100:
        reached = min(100, int((time.monotonic() - started) * 10))
        if reached > percent:
            percent = reached
            yield ServerSentEvent({"percent": percent}, event="progress", id=percent)
        time.sleep(0.1)
