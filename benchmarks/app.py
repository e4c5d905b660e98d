"""The measured applications, all in Flask on the same gunicorn worker."""

from __future__ import annotations

import gc
import json
import queue
import time

import gevent
from flask import Flask, Response, request, stream_with_context

from sse_sync.flask import SSE, event_stream

app = Flask(__name__)
app.config["SECRET_KEY"] = "benchmark"
sse = SSE(app)

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
TEXT = "x" * 112  # 120 bytes on the wire with "data: " and the blank line.
LEFT: list[float] = []
QUEUES: dict[str, set[queue.Queue]] = {"hand": set(), "ours": set(), "channel": set()}


def by_hand(generator):
    """What tutorials write: format the event, give the generator to Response."""
    lines = (f"data: {text}\n\n" for text in generator)
    return Response(stream_with_context(lines), mimetype="text/event-stream", headers=HEADERS)


def subscriber(name):
    """A queue per client, as in every hand-written fan-out."""
    inbox = queue.Queue()
    QUEUES[name].add(inbox)
    try:
        yield "ready"
        while True:
            yield inbox.get()
    finally:
        LEFT.append(time.monotonic())
        QUEUES[name].discard(inbox)


def numbers():
    """Events as fast as the client takes them, with one switch to the hub for each."""
    for _ in range(int(request.args["n"])):
        yield TEXT
        time.sleep(0)


def one():
    """A single event."""
    yield "ready"


@app.get("/hand/<name>")
def hand(name):
    """Without the library."""
    return by_hand({"queue": lambda: subscriber("hand"), "numbers": numbers, "one": one}[name]())


@app.get("/ours/<name>")
@event_stream
def ours(name):
    """With the library and all its protections."""
    return {"queue": lambda: subscriber("ours"), "numbers": numbers, "one": one}[name]()


@app.get("/channel/<name>")
def channel(name):
    """One of the library's channels, without a generator."""
    QUEUES["channel"].add(object())
    return sse.subscribe(name, on_close=lambda reason: QUEUES["channel"].pop())


@app.get("/publish/channel")
def publish_to_channel():
    """Publish to the channel."""
    for _ in range(int(request.args["n"])):
        sse.publish("queue", TEXT)
        gevent.sleep(float(request.args.get("pause", "0")))
    return json.dumps(len(QUEUES["channel"]))


@app.get("/publish/<name>")
def publish(name):
    """Put events into every queue."""
    for _ in range(int(request.args["n"])):
        for inbox in tuple(QUEUES[name]):
            inbox.put(TEXT)
        gevent.sleep(float(request.args.get("pause", "0")))
    return json.dumps(len(QUEUES[name]))


@app.get("/left")
def left():
    """Return when clients' generators ended, by the clock that all processes share."""
    return json.dumps(LEFT)


@app.get("/count/<name>")
def count(name):
    """Return the number of clients."""
    gc.collect()
    return json.dumps(len(QUEUES[name]))
