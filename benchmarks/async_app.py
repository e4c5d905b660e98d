"""The Flask application for the benchmark of asynchronous sources."""

from __future__ import annotations

import asyncio
import os
import time

from flask import Flask, request

from benchmarks.pace import paced_async
from sse_sync.flask import SSE, event_stream

app = Flask(__name__)
app.config["SSE_HEARTBEAT"] = float(os.environ["HEARTBEAT"])
SSE(app)
QUEUES: set[asyncio.Queue] = set()
LEFT: list[float] = []


@app.get("/ping")
def ping():
    """Any other request."""
    return "ok"


@app.get("/events")
@event_stream
async def events():
    """A queue per client."""
    inbox = asyncio.Queue()
    QUEUES.add(inbox)
    try:
        yield "ready"
        while True:
            yield await inbox.get()
    finally:
        QUEUES.discard(inbox)
        LEFT.append(time.monotonic())


@app.get("/publish")
@event_stream
async def publish():
    """Put events into every queue, on the event loop of the sources."""
    async for text in paced_async(int(request.args["n"]), int(request.args["pause"])):
        for inbox in QUEUES:
            inbox.put_nowait(text)
    return "ok"


@app.get("/left")
def left():
    """Return when the sources ended."""
    return LEFT
