"""FastAPI with a StreamingResponse, as its tutorials show: a queue for each client."""

from __future__ import annotations

import asyncio
import time

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse

from benchmarks.pace import paced_async

app = FastAPI()
QUEUES: set[asyncio.Queue] = set()
LEFT: list[float] = []


@app.get("/ping")
async def ping():
    """Any other request."""
    return PlainTextResponse("ok")


async def subscriber(inbox):
    """Wait for events. There are no heartbeats."""
    try:
        yield "data: ready\n\n"
        while True:
            yield f"data: {await inbox.get()}\n\n"
    finally:
        QUEUES.discard(inbox)
        LEFT.append(time.monotonic())


@app.get("/events")
async def events():
    """A queue per client."""
    inbox = asyncio.Queue()
    QUEUES.add(inbox)
    return StreamingResponse(subscriber(inbox), media_type="text/event-stream")


@app.get("/publish")
async def publish(n: int, pause: int):
    """Put events into every queue."""
    async for text in paced_async(n, pause):
        for inbox in QUEUES:
            inbox.put_nowait(text)
    return PlainTextResponse("ok")


@app.get("/left")
async def left():
    """Return when the sources ended."""
    return LEFT
