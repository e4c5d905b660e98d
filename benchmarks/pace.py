"""
What the measured applications publish, and when.

Event n is due n pauses after the first, however long the earlier events took. Its data begins with
a mark and the nanosecond when it was due, by the clock that all processes of a machine share; so a
late publisher counts as latency.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator

SIZE = int(os.environ.get("DATA", "0"))
"""Characters of an event's data."""


def due(n: int, pause: int, begun: int | None = None) -> Iterator[int]:
    """Return when each of n events is due, the first now; the pause is in milliseconds."""
    begun = time.monotonic_ns() if begun is None else begun
    return (begun + number * pause * 1_000_000 for number in range(n))


def stamped(when: int, size: int = SIZE) -> str:
    """Return the data of an event."""
    return f"@{when:019}".ljust(size, "0")


def left(when: int) -> float:
    """Return the seconds until a time."""
    return (when - time.monotonic_ns()) / 1e9


def paced(n: int, pause: int, size: int = SIZE, begun: int | None = None) -> Iterator[str]:
    """Yield the data of n events, each when it is due."""
    for when in due(n, pause, begun):
        seconds = left(when)
        if seconds > 0:
            time.sleep(seconds)
        yield stamped(when, size)


async def paced_async(n: int, pause: int) -> AsyncIterator[str]:
    """The same for asyncio."""
    for when in due(n, pause):
        seconds = left(when)
        if seconds > 0:
            await asyncio.sleep(seconds)
        yield stamped(when)
