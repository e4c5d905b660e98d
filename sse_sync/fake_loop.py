"""The event loop of :class:`~sse_sync.testing.FakeRuntime`."""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import events
from collections.abc import Callable
from typing import Any

from .runtime.reactor import Reactor

__all__ = ["FakeLoop"]


class FakeLoop:
    """
    An asyncio event loop with a fake clock. It has what tasks and timers need, but no sockets and
    no threads.

    Args:
        reactor: Keeps the time.
        soon: Calls a function once the caller waits.
    """

    def __init__(self, reactor: Reactor, soon: Callable[[Callable[[], None]], object]) -> None:
        self._reactor = reactor
        self._soon = soon
        self._self: Any = self  # asyncio's types want all of a loop.

    def time(self) -> float:
        return self._reactor.clock()

    def get_debug(self) -> bool:
        return False

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._self, context)
        self._soon(lambda: self._run(handle))
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self._self, context)

        def due(now: float) -> None:
            self._soon(lambda: self._run(handle))

        self._reactor.call_at(when, due)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._self)

    def create_task(self, coro: Any, **arguments: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self._self, **arguments)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise AssertionError(context["message"]) from context.get("exception")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: it is not run when it is due."""

    def _run(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        events._set_running_loop(self._self)
        try:
            handle._run()
        finally:
            events._set_running_loop(None)
