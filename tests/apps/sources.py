"""The generators that both frameworks' test applications serve, and the marks they leave."""

from __future__ import annotations

import gc
import logging
import os
import queue
import socket
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

from sse_sync import ServerSentEvent, comment, statistics

if "TEST_LOG_DELAY" in os.environ:
    # A logger with a slow handler.
    DELAY = float(os.environ["TEST_LOG_DELAY"])
    logging.getLogger("sse_sync").addFilter(lambda record: time.sleep(DELAY) or True)

MARKS: dict[str, list[list[object]]] = defaultdict(list)


def mark(key, what):
    """Record that something happened, with the time of a clock that all processes share."""
    if key:  # Without a name nothing is kept: the leak test counts every byte.
        MARKS[key].append([what, time.monotonic()])


def count(key, total=3):
    """A few numbered events, and the end."""
    mark(key, "started")
    try:
        for number in range(1, total + 1):
            yield ServerSentEvent({"n": number}, event="count", id=number)
    finally:
        mark(key, "finally")


def sleeping(key):
    """One event, then a sleep that outlasts every test."""
    mark(key, "started")
    try:
        yield "ready"
        time.sleep(600)
    finally:
        mark(key, "finally")


def waiting(key):
    """One event, then a wait for a queue that stays empty."""
    try:
        yield "ready"
        queue.Queue().get()
    finally:
        mark(key, "finally")


def reading(key):
    """One event, then a wait for a socket that stays silent."""
    ours, theirs = socket.socketpair()
    try:
        yield "ready"
        ours.recv(1)
    finally:
        ours.close()
        theirs.close()
        mark(key, "finally")


def ticking(key, interval=0.1):
    """An event at an interval, for ever."""
    try:
        while True:
            yield "tick"
            time.sleep(interval)
    finally:
        mark(key, "finally")


def flooding(key):
    """As much as the client takes."""
    try:
        while True:
            yield "x" * 50_000
    finally:
        mark(key, "finally")


def failing(key):
    """One event, then an exception with a secret in it."""
    try:
        yield "ready"
        raise ZeroDivisionError("the secret")
    finally:
        mark(key, "finally")


def unsendable(key):
    """Something that is not an event."""
    try:
        yield object()
    finally:
        mark(key, "finally")


def exiting(key):
    """Exits, as a command-line function does."""
    try:
        yield "ready"
        sys.exit(3)
    finally:
        mark(key, "finally")


def tidy(key):
    """One event, then a sleep, and a cleanup that takes a moment."""
    try:
        yield "ready"
        time.sleep(600)
    finally:
        time.sleep(0.5)
        (Path(os.environ["TEST_FOLDER"]) / key).write_text("tidied up")


SOURCES = {
    "count": count,
    "sleeping": sleeping,
    "waiting": waiting,
    "reading": reading,
    "ticking": ticking,
    "flooding": flooding,
    "failing": failing,
    "unsendable": unsendable,
    "exiting": exiting,
    "tidy": tidy,
    "comment": lambda key: iter([comment(key)]),
}


def openai_error(failure):
    """Say what failed as the API of OpenAI does."""
    return {"error": {"message": failure.message, "type": failure.reason.name.lower()}}


def figures():
    """What the process holds."""
    greenlets = 0
    if "greenlet" in sys.modules:
        from greenlet import greenlet

        gc.collect()
        greenlets = sum(
            isinstance(thing, greenlet) and not thing.dead for thing in gc.get_objects()
        )
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    stats = statistics()
    return {
        "pid": os.getpid(),
        "open": stats.open,
        "handed_off": stats.handed_off,
        "lingering": stats.lingering,
        "opened": stats.opened,
        "refused": stats.refused,
        "closed": {reason.name: number for reason, number in stats.closed.items()},
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "greenlets": greenlets,
        "resident": resident,
    }
