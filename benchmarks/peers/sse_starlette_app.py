"""sse-starlette: a queue for each client."""

from __future__ import annotations

import asyncio
import os

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks.pace import paced_async

QUEUES: set[asyncio.Queue] = set()


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


app = Starlette(routes=[Route("/ping", ping), Route("/events", events), Route("/publish", publish)])
