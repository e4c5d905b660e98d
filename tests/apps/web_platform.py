"""
The application for browser tests: streams that follow a test's plan.

A plan is PUT to ``/streams/<key>``: the stream's options, and what each visit of a client gets.
That is a list of what the stream yields, or a dictionary that describes an ordinary response.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from flask import Flask, Response, jsonify, request, send_from_directory

import sse_sync
from sse_sync import ServerSentEvent
from sse_sync.flask import SSE, event_stream, last_event_id

PLANS = {}
REQUESTS = {}  # What was asked for by which visit, and how its stream ended.

app = Flask(__name__)
app.config["SSE_RETRY"] = 20
sse = SSE(app)


@app.get("/plain")
def plain():
    return "ok"


@app.get("/")
def page():
    return send_from_directory(Path(__file__).parent, "web_platform.html")


@app.put("/streams/<key>")
def plan(key):
    PLANS[key] = request.get_json()
    REQUESTS[key] = []
    return "", 204


# Flask must not answer a preflight: the decorator does.
@app.route("/streams/<key>", methods=["GET", "OPTIONS"], provide_automatic_options=False)
def stream(key):
    visits, options = PLANS[key]["visits"], PLANS[key]["options"]
    visit = {"method": request.method, "headers": dict(request.headers)}
    visit |= {"last_event_id": last_event_id(), "at": time.monotonic(), "reason": None}
    REQUESTS[key].append(visit)
    number = sum(visit["method"] == "GET" for visit in REQUESTS[key])
    # All visits but the last end so that the browser reconnects.
    options = {"reconnect": number < len(visits), **options}

    def ended(reason):
        visit["reason"] = reason.name

    # Decorated here, because each plan has options of its own.
    @event_stream(on_close=ended, **options)
    def view():
        planned = visits[number - 1]
        if isinstance(planned, dict):
            return Response(planned.get("body"), planned["status"], planned.get("headers"))
        return perform(planned, request.environ["gunicorn.socket"])

    return view()


def perform(steps, client):
    """Yield events, and perform pauses and broken connections."""
    for step in steps:
        if not isinstance(step, dict):
            yield step
        elif "wait" in step:
            time.sleep(step["wait"])
        elif "break" in step:
            client.shutdown(socket.SHUT_RDWR)
        else:
            yield ServerSentEvent(**step)


@app.get("/requests/<key>")
def requests(key):
    return jsonify(REQUESTS[key])


@app.get("/channels/<name>")
def subscribe(name):
    return sse.subscribe(name)


@app.post("/channels/<name>")
def publish(name):
    return jsonify([sse.publish(name, **event) for event in request.get_json()])


@app.post("/channels/<name>/disconnect")
def disconnect(name):
    sse.disconnect(channel=name, **request.get_json())
    return "", 204


@app.get("/statistics")
def statistics():
    return jsonify(handed_off=sse_sync.statistics().handed_off)
