"""The asyncio event loop of async sources: with threads, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

__all__ = ["end_loop", "run_for_ever", "start_loop"]

logger = logging.getLogger("sse_sync")

# A forked child has the loop but not its thread. It must not finalize the loop's tasks, which
# would run the ends of its parent's generators.
_started: list[asyncio.AbstractEventLoop] = []

_ending: list[asyncio.AbstractEventLoop] = []


def start_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop, which runs in a daemon thread until it is ended."""
    # Of the kind that the application has chosen, such as uvloop's.
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop,), name="sse-sync event loop", daemon=True)
    _started.append(loop)
    try:
        thread.start()
    except BaseException:
        # No more threads. Every further stream tries again.
        _started.remove(loop)
        loop.close()
        raise
    return loop


def end_loop(loop: asyncio.AbstractEventLoop) -> None:
    """
    End an event loop, which is closed then. Its own ``stop()`` does not end it.

    Args:
        loop: The loop; any thread may call this.
    """
    _ending.append(loop)
    loop.call_soon_threadsafe(loop.stop)


def run_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    """
    Run an event loop until :func:`end_loop` is called, and close it.

    Args:
        loop: The loop. Whatever a task does or raises, the sources of other streams need it.
    """
    loop.set_default_executor(_Helpers(thread_name_prefix="asyncio"))
    while loop not in _ending:
        try:
            loop.run_forever()
            if loop not in _ending:
                logger.error(
                    "stop() was called on the event loop of all async sources; it goes on. To end"
                    " a source, return from it"
                )
        except BaseException:
            # SystemExit or KeyboardInterrupt in a task that a source has started.
            logger.exception("a task tried to end the event loop of all async sources; it goes on")
    _ending.remove(loop)
    loop.close()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    run_for_ever(loop)
    _started.remove(loop)


class _Helpers(futures.ThreadPoolExecutor):
    # For asyncio.to_thread(). A process that exits waits for the threads of Python's own executor,
    # so a worker would stay until it is killed if a source has left one that blocks.

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        waited_for: Any = futures.thread._threads_queues
        for thread in self._threads:
            # Others, made by a main thread that gevent has not patched, must be told to end.
            if thread.daemon:
                waited_for.pop(thread, None)
        return future
