"""
The asyncio event loop of async sources under gevent. Imported only if gevent is.

Theory of operation. The loop is a greenlet of the streams' hub, not a thread. In a thread of its
own it hangs: what gevent has patched (sockets, locks, ``threading.Thread``, and with it
``asyncio.to_thread`` and ``getaddrinfo``) needs a hub that runs, and the selector that gevent puts
in place of asyncio's watches the hub of the thread that made the loop. In a greenlet all of that
works as in any other, locks never span threads, and a hand-over is a switch.

asyncio keeps a loop's selector, and here waiting for it is waiting in the hub: the hub watches
the selector's descriptor, as it does the reactor's.

asyncio also notes which loop is running, but for each *thread*. In another greenlet that note
would be wrong: Django would refuse to query the database there. So whenever the loop's greenlet
leaves the thread to others, in its selector or in a source that waits for a patched lock, it takes
the note along (:class:`LoopGreenlet`).
"""

from __future__ import annotations

import asyncio
import selectors
import sys
from asyncio import events
from collections.abc import Callable
from typing import Any

import gevent
from greenlet import greenlet

from .base import Signal
from .event_loop import run_for_ever
from .process import after_fork, monotonic, original
from .reactor import TURN

__all__ = ["HubLoop", "LoopGreenlet"]

_READ = 1  # gevent.core.READ


class LoopGreenlet(greenlet):
    """
    The greenlet of an event loop: only while it runs, the thread has a running event loop.

    Args:
        loop: The loop to run.
        hub: The hub that the greenlet waits in.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, hub: Any) -> None:
        super().__init__(parent=hub)
        self._loop = loop
        self._inside: Any = (None, None, None)
        self._outside: Any = None

    def switch(self, *args: Any) -> Any:
        """Let the greenlet have the thread. Whoever wakes it calls this."""
        self._enter()
        return super().switch(*args)

    def throw(self, *args: Any) -> Any:
        """Like :meth:`switch`, but raise an exception in it."""
        self._enter()
        return super().throw(*args)

    def switch_out(self) -> None:
        """Leave the thread to others. The hub calls this whenever the greenlet waits."""
        self._inside = _exchange(self._outside)

    def _enter(self) -> None:
        # A greenlet that a source has made, as SQLAlchemy does, comes back from within the loop.
        if events._get_running_loop() is not self._loop:
            self._outside = _exchange(self._inside)

    def run(self) -> None:
        """Run the loop."""
        try:
            run_for_ever(self._loop)
        finally:
            _exchange(self._outside)


class HubLoop(asyncio.SelectorEventLoop):
    """
    An event loop that runs in a greenlet of a hub.

    Args:
        hub: The hub.
        signal: Wakes the loop.
    """

    def __init__(self, hub: Any, signal: Signal) -> None:
        self._signal = signal
        self._waiting = _HubSelector(hub, signal)
        super().__init__(self._waiting)  # type: ignore[arg-type]
        self._greenlet = LoopGreenlet(self, hub)
        hub.loop.run_callback(self._greenlet.switch)
        _loops.append(self)

    def abandon(self) -> None:
        """Never run again, in a child process that inherited it."""
        self._waiting.abandon()

    def close(self) -> None:
        """Release everything. Only a loop that was stopped can be closed."""
        super().close()
        _loops.remove(self)

    def _write_to_self(self) -> None:
        # asyncio's way to wake a loop from elsewhere, which costs no system call here.
        self._signal.set()


class _HubSelector:
    # A selector of the operating system, but the greenlet that waits for it leaves the thread to
    # others. What asyncio calls, apart from select(), is the selector's own.

    def __init__(self, hub: Any, signal: Signal) -> None:
        self._hub, self._signal = hub, signal
        self._selector = _system_selector()()
        self._readable = hub.loop.io(self._selector.fileno(), _READ)
        self._is_abandoned = False
        self._until = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout > 0:
            self._wait(timeout)
            self._until = monotonic() + TURN
        elif monotonic() >= self._until:
            gevent.sleep(0)  # The loop has work, but so have others.
            self._until = monotonic() + TURN
        return self._selector.select(0)

    def abandon(self) -> None:
        self._is_abandoned = True
        self._readable.close()

    def close(self) -> None:
        self._readable.close()
        self._selector.close()

    def _wait(self, timeout: float | None) -> None:
        # Watched only while waiting: if a source blocks the loop, the hub must not spin. And not if
        # there is only asyncio's own socket, which has no use here: an idle loop does not keep the
        # program alive.
        if len(self._selector.get_map()) > 1:
            self._readable.start(self._signal.set)
        timer = None
        if timeout is not None:
            # Not below a millisecond, or libuv warns. update: the loop's time may be stale.
            timer = self._hub.loop.timer(max(0.001, timeout))
            timer.start(self._signal.set, update=True)
        try:
            self._signal.wait()
            while self._is_abandoned:
                self._signal.wait()
        finally:
            self._readable.stop()
            if timer is not None:
                timer.close()


def _system_selector() -> Callable[[], Any]:
    # Patching removes those that can be watched by their own descriptor.
    found: Callable[[], Any] | None = None
    for name in ("EpollSelector", "KqueueSelector"):
        found = found or getattr(selectors, name, None) or original("selectors", name)
    if found is None:
        raise NotImplementedError("async sources under gevent need epoll or kqueue")
    return found


def _exchange(state: Any) -> Any:
    # What asyncio keeps for the thread while a loop runs: the loop, and what is called when an
    # async generator is first iterated or garbage collected.
    before = (events._get_running_loop(), *sys.get_asyncgen_hooks())
    loop, first, last = state
    events._set_running_loop(loop)
    sys.set_asyncgen_hooks(first, last)
    return before


# Kept, so that a forked child does not finalize the tasks.
_loops: list[HubLoop] = []


def _forget() -> None:
    for loop in _loops:
        loop.abandon()


after_fork(_forget)
