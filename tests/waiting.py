"""Waiting for what happens on other threads and in other processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# A deadline for a slow machine, not a claim about how long anything takes.
PATIENCE = 30.0

_ANYTHING_TRUE = object()


def wait_for(
    look: Callable[[], T],
    what: str,
    timeout: float = PATIENCE,
    *,
    equals: object = _ANYTHING_TRUE,
) -> T:
    """
    Look again and again until a value is true, or equals another; return it.

    Args:
        look: Returns the current value.
        what: What is awaited, for the message of the failure.
        timeout: The number of seconds after which the test fails.
        equals: The awaited value. Compared here rather than in `look`, so that a failure
            shows the last value.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = look()
        if value if equals is _ANYTHING_TRUE else value == equals:
            return value
        if time.monotonic() > deadline:
            wanted = "" if equals is _ANYTHING_TRUE else f" ({equals!r})"
            raise AssertionError(
                f"waited {timeout} s in vain for {what}{wanted}; last value: {value!r}"
            )
        time.sleep(0.005)
