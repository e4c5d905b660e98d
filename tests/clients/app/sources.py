"""What the streams of the client tests send. The tests compare what a client saw with the same."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sse_sync import ServerSentEvent

HEARTBEAT = float(os.environ.get("CLIENTS_HEARTBEAT", "0.4"))
# Each stream pauses twice: in the tests for at least two heartbeats each time, even on a machine
# that does other things as well; in the soak for one.
PAUSE = HEARTBEAT + 1.0

WORDS = ("Once ", "upon ", "a ", "time", ".")
WHOLE, TOLD, BROKEN = SCENARIOS = ("whole", "told", "broken")
"""How a stream of words ends: complete; failed, and the client is told; failed, and it is not."""


class SourceFailed(Exception):
    """What a source raises on purpose."""


def words(scenario: str, pause: float = PAUSE) -> Iterator[str]:
    """Yield all words, or fail before the last two."""
    for number, word in enumerate(WORDS):
        if number in (1, 3):
            time.sleep(pause)
        if number == 3 and scenario != WHOLE:
            raise SourceFailed("out of words")
        yield word


def numbered(items: Iterable[Any], first: int = 1) -> Iterator[ServerSentEvent]:
    """Give each event an id."""
    for number, item in enumerate(items, first):
        if isinstance(item, ServerSentEvent):
            yield ServerSentEvent(item.data, event=item.event, id=number)
        else:
            yield ServerSentEvent(item, id=number)


LAST = 9
FAILS_AFTER, KILLED_AFTER, RELOADED_AFTER = 3, 6, 8
"""The numbers after which a stream's first connection fails, its worker is killed, and reloaded."""


def numbers(seen: int, client: str) -> Iterator[int]:
    """
    Yield the numbers after the last that a client has seen; each of them to one connection only.

    Args:
        seen: The client's last event ID.
        client: A name, under which a file says where the client has got to.
    """
    for number in range(seen + 1, LAST + 1):
        if number in (2, 5):
            time.sleep(PAUSE)
        yield number
        if number == FAILS_AFTER:
            raise SourceFailed("as it should")
        if number in (KILLED_AFTER, RELOADED_AFTER):
            _wait_at(client, number)


def _wait_at(client: str, number: int) -> None:
    # Only the end of the connection ends this, or of the test: a thread cannot be interrupted.
    folder = Path(os.environ["CLIENTS_FOLDER"])
    (folder / f"{client}-{number}").touch()
    while not (folder / "over").exists():
        time.sleep(0.05)


def message(number: int) -> ServerSentEvent:
    """Return the event of a number for clients of all sorts: two lines, the third with a name."""
    return ServerSentEvent(
        f"number {number}\nof {LAST}", event="third" if number == 3 else None, id=number
    )


def part(number: int) -> ServerSentEvent:
    """Return the event of a number for LangGraph's client."""
    return ServerSentEvent({"number": number}, event="custom", id=number)
