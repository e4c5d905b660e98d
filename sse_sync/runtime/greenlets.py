"""The runtime of gevent. Imported only if gevent is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
from gevent import monkey

# Not the public get_hub(), which would make a hub for a thread without one.
from gevent._hub_local import get_hub_if_exists as _get_hub_if_exists
from greenlet import getcurrent

from .base import Runtime, Task
from .process import system_epoll
from .reactor import Reactor

if TYPE_CHECKING:
    from .hub_loop import HubLoop

__all__ = [
    "GeventReactor",
    "GeventRuntime",
    "GreenletSignal",
    "GreenletTask",
    "StreamInterrupt",
    "is_home",
    "of_this_hub",
]

get_hub_if_exists: Callable[[], Any] = _get_hub_if_exists

# Direct switches before the hub gets a turn, so that a generator that never blocks does not starve
# the others.
_DIRECT = 8

# Waiters to wake before the hub does anything else.
_AT_ONCE = 50

_READ = 1  # gevent.core.READ: libev's EV_READ and libuv's UV_READABLE


class StreamInterrupt(gevent.GreenletExit):
    """
    Raised in a blocked generator when its stream ends.

    It is not an :exc:`Exception`, which libraries that retry after errors would swallow.
    """


def is_home() -> bool:
    """Return whether the caller runs in a greenlet that gevent schedules."""
    hub = get_hub_if_exists()
    if hub is None:
        return bool(monkey.is_module_patched("threading"))
    return getcurrent().parent is hub or bool(monkey.is_module_patched("threading"))


def of_this_hub(runtimes: dict[int, Runtime]) -> Runtime:
    """
    Return the runtime of the caller's hub, creating both if necessary. Each thread that runs
    greenlets has a hub of its own.

    Args:
        runtimes: Runtimes by the id() of their hub, which they keep alive.
    """
    hub = gevent.get_hub()
    runtime = runtimes.get(id(hub))
    if runtime is None:
        runtime = runtimes[id(hub)] = GeventRuntime(hub)
    return runtime


class Waker:
    """
    Wakes many waiters with one callback of the hub, because an event wakes thousands.

    Args:
        hub: The hub of the waiters.
    """

    __slots__ = ("_due", "_is_called", "hub")

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        """The hub of the waiters."""
        self._due: deque[GreenletSignal] = deque()
        self._is_called = False

    def wake(self, signal: GreenletSignal) -> None:
        """Wake a signal's waiter in the hub's next turn. Call this in the hub's thread."""
        self._due.append(signal)
        if not self._is_called:
            self._is_called = True
            self.hub.loop.run_callback(self._deliver)

    def _deliver(self) -> None:
        due = self._due
        try:
            for _ in range(min(len(due), _AT_ONCE)):
                due.popleft().deliver()
        finally:
            # If one fails, the others must still be woken.
            self._is_called = bool(due)
            if due:
                self.hub.loop.run_callback(self._deliver)


class GreenletSignal:
    """A :class:`~sse_sync.runtime.Signal` for greenlets."""

    __slots__ = ("_hub", "_is_set", "_turns", "_waiter", "_waker")

    def __init__(self, waker: Waker) -> None:
        self._waker = waker
        self._hub = waker.hub
        self._turns = 0
        self._is_set = False
        self._waiter: Any = None

    def set(self) -> None:
        """Wake the waiter in the hub's next turn."""
        if self._is_set:
            return
        self._is_set = True
        if get_hub_if_exists() is self._hub:
            if self._waiter is not None:
                self._waker.wake(self)
        else:
            # From another thread: the hub's loop may be asleep, and only there is it known
            # whether anybody waits.
            self._hub.loop.run_callback_threadsafe(self.deliver)

    def wait(self) -> None:
        while not self._is_set:
            self._waiter = getcurrent()
            try:
                self._hub.switch()
            finally:
                self._waiter = None
        self._is_set = False

    def set_and_wait(self, other: GreenletSignal) -> None:
        """
        Wake the waiter at once, without a turn of the hub, which would cost as much again as the
        switch.
        """
        self._turns += 1
        if self._waiter is None or other._is_set or not self._turns % _DIRECT:
            self.set()
        else:
            self._is_set = True
            other._waiter = getcurrent()
            try:
                self._waiter.switch()
            finally:
                other._waiter = None
        other.wait()

    def deliver(self) -> None:
        """Wake the waiter now. The hub calls it."""
        # It may have been killed since.
        waiter = self._waiter
        if waiter is not None:
            waiter.switch()


class GreenletTask:
    """A :class:`~sse_sync.runtime.Task` in a greenlet."""

    __slots__ = ("_greenlet", "_hub")

    def __init__(self, hub: Any, greenlet: gevent.Greenlet[..., None]) -> None:
        self._hub = hub
        self._greenlet = greenlet

    def interrupt(self, running: Callable[[], bool]) -> None:
        """Raise :exc:`StreamInterrupt` in the function where it blocks, in the hub's next turn."""

        def throw() -> None:
            if running():
                self._greenlet.throw(StreamInterrupt())

        if get_hub_if_exists() is self._hub:
            self._hub.loop.run_callback(throw)
        else:
            self._hub.loop.run_callback_threadsafe(throw)


class _Unreachable:
    # A task that was started from another thread.

    def interrupt(self, running: Callable[[], bool]) -> None:
        """Do nothing."""


class GeventReactor(Reactor):
    """A reactor that the hub drives: the hub watches the reactor's epoll like any descriptor."""

    def __init__(self, hub: Any) -> None:
        super().__init__(system_epoll())
        self._hub = hub
        # Neither watcher keeps alive a program that has nothing else to do.
        self._timer = hub.loop.timer(0, ref=False)
        if self._epoll is not None:
            self._readable = hub.loop.io(self._epoll.fileno(), _READ, ref=False)
            self._readable.start(self._turn)

    def wake(self) -> None:
        if get_hub_if_exists() is self._hub:
            self._arm(self._heap[0][0] if self._heap else None)
        else:
            self._hub.loop.run_callback_threadsafe(self._turn)

    def defer(self, function: Callable[[], object]) -> None:
        """Call a function in a greenlet: a log handler may wait, which the hub cannot."""
        gevent.spawn(function)

    def abandon(self) -> None:
        self._timer.close()
        if self._epoll is not None:
            self._readable.close()
        super().abandon()

    def _turn(self) -> None:
        self._arm(self.poll())

    def _arm(self, due: float | None) -> None:
        self._timer.close()
        if due is not None:
            # Not below a millisecond, or libuv warns.
            self._timer = self._hub.loop.timer(max(0.001, due - self.clock()), ref=False)
            # update: the loop's time may be stale after a long computation.
            self._timer.start(self._turn, update=True)


class GeventRuntime:
    """The :class:`~sse_sync.runtime.Runtime` of a server that gives each request a greenlet."""

    name = "gevent"
    """Name of this runtime."""
    exits: tuple[type[BaseException], ...] = (gevent.GreenletExit,)
    """What is raised in an interrupted function."""

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        """The hub of the streams' thread."""
        self.reactor: Reactor = GeventReactor(self.hub)
        """Watches sockets and timers for all streams of the hub."""
        self._waker = Waker(hub)
        self._event_loop: HubLoop | None = None

    def signal(self) -> GreenletSignal:
        return GreenletSignal(self._waker)

    def spawn(self, function: Callable[[], None], name: str) -> Task:
        """Run a function in a greenlet of this hub. It can be interrupted only if started there."""
        if get_hub_if_exists() is self.hub:
            greenlet = gevent.Greenlet(function)
            greenlet.start()
            return GreenletTask(self.hub, greenlet)
        # From another thread, where the greenlet would belong to a hub that nobody runs.
        self.hub.loop.run_callback_threadsafe(lambda: gevent.spawn(function))
        return _Unreachable()

    def event_loop(self) -> HubLoop:
        """Return the event loop, which runs in a greenlet of this hub."""
        from .hub_loop import HubLoop  # Only now, because asyncio takes memory and time.

        if self._event_loop is None:
            self._event_loop = HubLoop(self.hub, self.signal())
        return self._event_loop
