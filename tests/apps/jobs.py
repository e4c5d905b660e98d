"""The jobs of the live tests, and the notes that they leave for every process to read."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from tests.apps.sources import openai_error

if "TEST_LEASE" in os.environ:
    from sse_sync.brokers.redis import jobs as redis_jobs

    redis_jobs.LEASE = float(os.environ["TEST_LEASE"])


def note(key, what):
    """Record that something happened, where, and when by a clock that all processes share."""
    path = Path(os.environ["TEST_FOLDER"]) / f"{key}.notes"
    with path.open("a") as file:
        file.write(f"{what} {os.getpid()} {time.monotonic()}\n")


def answer(key, count, wait, size=0):
    """Numbered tokens, one at an interval."""
    note(key, "started")
    try:
        for number in range(count):
            time.sleep(wait)
            yield f"token {number}{'x' * size}"
    finally:
        note(key, "finally")


async def async_answer(key, count, wait):
    """The same, from an asynchronous generator."""
    note(key, "started")
    try:
        for number in range(count):
            await asyncio.sleep(wait)
            yield f"token {number}"
    finally:
        note(key, "finally")


def blocking(key, count, wait):
    """Some tokens at once, then one that takes long, then one more."""
    note(key, "started")
    try:
        for number in range(count):
            yield f"token {number}"
        time.sleep(wait)
        yield "too late"
    finally:
        note(key, "finally")


def failing(key, count, wait):
    """Some tokens, then an exception."""
    yield from answer(key, count, wait)
    raise ZeroDivisionError("the secret")


SOURCES = {each.__name__: each for each in (answer, async_answer, blocking, failing)}
NUMBERS = {"stop_when_alone": float, "max_seconds": float, "keep_for": float, "max_bytes": int}


def source_of(key, query):
    """Return the source that a request asks for."""
    source = SOURCES[query.get("source", "answer")]
    sizes = {"size": int(query["size"])} if "size" in query else {}
    return source(key, int(query.get("count", "10")), float(query.get("wait", "0.1")), **sizes)


def options_of(key, query):
    """Return the options of the job that a request asks for."""
    options = {name: number(query[name]) for name, number in NUMBERS.items() if name in query}
    options["restart"] = "restart" in query
    options["on_finish"] = lambda status: note(key, f"on_finish:{status.state}")
    return options


def response_options(query):
    """Return the options of a viewer's response."""
    return {
        "error": openai_error if "error" in query else None,
        "headers": {"X-Worker": str(os.getpid())},
    }
