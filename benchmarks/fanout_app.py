"""The Flask application for the fan-out benchmark."""

from __future__ import annotations

import os
import queue

from flask import Flask, Response, request

from benchmarks.pace import paced
from sse_sync.flask import SSE

app = Flask(__name__)
app.config["SSE_HEARTBEAT"] = float(os.environ["HEARTBEAT"])
app.config["SSE_BROKER_URL"] = os.environ.get("BROKER", "memory://")
sse = SSE(app)
QUEUES: set[queue.Queue] = set()


@app.get("/ping")
def ping():
    """Any other request."""
    return "ok"


@app.get("/events")
def events():
    """A channel."""
    return sse.subscribe("x")


@app.get("/publish")
def publish():
    """Publish to it."""
    for text in paced(int(request.args["n"]), int(request.args["pause"])):
        sse.publish("x", text)
    return "ok"


def subscriber(inbox):
    """What tutorials write."""
    try:
        yield "data: ready\n\n"
        while True:
            number, text = inbox.get()
            yield f"id: abcdef-gh{number:07}\ndata: {text}\n\n"
    finally:
        QUEUES.discard(inbox)


@app.get("/hand/events")
def events_by_hand():
    """A queue per client."""
    inbox = queue.Queue()
    QUEUES.add(inbox)
    return Response(subscriber(inbox), mimetype="text/event-stream")


@app.get("/hand/publish")
def publish_by_hand():
    """Put events into every queue."""
    for item in enumerate(paced(int(request.args["n"]), int(request.args["pause"]))):
        for inbox in tuple(QUEUES):
            inbox.put(item)
    return "ok"
