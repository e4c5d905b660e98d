"""The asynchronous sources that both frameworks' test applications serve."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import httpx

from sse_sync import ServerSentEvent
from tests.apps.sources import mark


async def count(key):
    """Numbered events, and the end."""
    mark(key, "started")
    try:
        for number in range(1, 101):
            yield ServerSentEvent({"n": number}, event="count", id=number)
            if number % 10 == 0:
                await asyncio.sleep(0)
    finally:
        mark(key, "finally")


async def sleeping(key):
    """One event, then a sleep that outlasts every test, and a cleanup that awaits."""
    try:
        yield "ready"
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        mark(key, "cancelled")
        raise
    finally:
        await asyncio.sleep(0.01)
        mark(key, "finally")


async def ticking(key, interval=0.1):
    """An event at an interval, for ever."""
    try:
        while True:
            yield "tick"
            await asyncio.sleep(interval)
    finally:
        mark(key, "finally")


async def flooding(key):
    """As much as the client takes, counted."""
    try:
        while True:
            mark(key, "another")
            yield "x" * 50_000
    finally:
        mark(key, "finally")


async def failing(key):
    """One event, then an exception with a secret in it."""
    try:
        yield "ready"
        raise ZeroDivisionError("the secret")
    finally:
        mark(key, "finally")


async def stubborn(key):
    """Refuses to be cancelled, for a while."""
    yield "ready"
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        await asyncio.sleep(float(os.environ.get("TEST_STUBBORN", "7")))
    mark(key, "finally")


async def helping(key):
    """What libraries use: names are resolved, and functions run in threads."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo("localhost", 80, family=socket.AF_INET)
    yield found[0][4][0]
    yield await asyncio.to_thread(sum, (1, 2))
    process = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
    yield (await process.communicate())[0].decode().strip()


async def relaying(key):
    """What this server streams itself, read by httpx."""
    url = f"http://localhost:{os.environ['PORT']}/stream/async-ticking?key={key}-upstream"
    try:
        async with httpx.AsyncClient() as client, client.stream("GET", url) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    yield line[6:]
    finally:
        mark(key, "finally")


async def tidy(key):
    """One event, then a sleep, and a cleanup that takes a moment."""
    try:
        yield "ready"
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.3)
        (Path(os.environ["TEST_FOLDER"]) / key).write_text("tidied up")


ASYNC_SOURCES = {
    f"async-{source.__name__}": source
    for source in (count, sleeping, ticking, flooding, failing, stubborn, helping, relaying, tidy)
}
