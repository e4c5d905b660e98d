"""The Flask application whose fan-out is measured."""

from __future__ import annotations

import os
import queue
import time

from flask import Flask, Response, request

from sse_sync.flask import SSE

app = Flask(__name__)
sse = SSE(app)
TEXT = "0" * int(os.environ["DATA"])
QUEUES: set[queue.Queue] = set()


@app.get("/events")
def events():
    """A channel."""
    return sse.subscribe("x")


@app.get("/publish")
def publish():
    """Publish to it."""
    for _ in range(int(request.args["n"])):
        sse.publish("x", TEXT)
        if request.args["pause"] != "0":
            time.sleep(int(request.args["pause"]) / 1000)
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
    for number in range(int(request.args["n"])):
        for inbox in tuple(QUEUES):
            inbox.put((number, TEXT))
        if request.args["pause"] != "0":
            time.sleep(int(request.args["pause"]) / 1000)
    return "ok"
