"""sse-starlette: a queue for each client."""

from __future__ import annotations

import asyncio
import os
import time

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from benchmarks.pace import paced_async

QUEUES: set[asyncio.Queue] = set()
LEFT: list[float] = []


async def ping(request):
    """Any other request."""
    return PlainTextResponse("ok")


async def subscriber(inbox):
    """Wait for events."""
    try:
        yield {"data": "ready"}
        while True:
            yield {"data": await inbox.get()}
    finally:
        QUEUES.discard(inbox)
        LEFT.append(time.monotonic())


async def events(request):
    """A queue per client."""
    inbox = asyncio.Queue()
    QUEUES.add(inbox)
    return EventSourceResponse(subscriber(inbox), ping=float(os.environ["HEARTBEAT"]))


async def publish(request):
    """Put events into every queue."""
    n, pause = int(request.query_params["n"]), int(request.query_params["pause"])
    async for text in paced_async(n, pause):
        for inbox in QUEUES:
            inbox.put_nowait(text)
    return PlainTextResponse("ok")


async def left(request):
    """Return when the sources ended."""
    return JSONResponse(LEFT)


VIEWS = (ping, events, publish, left)
app = Starlette(routes=[Route(f"/{view.__name__}", view) for view in VIEWS])
