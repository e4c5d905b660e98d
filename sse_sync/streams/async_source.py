"""
Asynchronous sources: async generators and async iterators. Imported only for them.

Theory of operation. One event loop per process (:meth:`sse_sync.runtime.Runtime.event_loop`) runs
all of them, each as one task from its first step to its cleanup, so that clients and timeouts,
which belong to a loop or a task, work as under an ASGI server. The stream stays where it is:
:class:`AsyncFeed` hands it one item at a time, and lets the source go on once that was sent.

A source ends by cancellation, once. Where it waits for its client it is closed instead, as an
async generator whose ``async for`` was left.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from .. import runtime as _runtime
from ..exceptions import EventError
from ..feed import Encode
from ..runtime import Runtime, Signal
from .pump import SourceRunner, qualname

__all__ = ["AsyncFeed", "InlineAsyncFeed", "close_soon", "run_coroutine"]

Result = TypeVar("Result")

_UNSET = object()

# A loop has only weak references to its tasks.
_closing: set[asyncio.Task[None]] = set()


class AsyncFeed(SourceRunner):
    """
    Run an asynchronous source on the event loop, one event at a time.

    Args:
        iterator: The source's iterator.
        encode: Encodes an item.
        runtime: How the process waits.
        context: Context variables for the source.
        signal: Set when there is something to take, and when the source has ended.
        ended: Called in a thread or greenlet of its own after the source ends, because it may
            block.
    """

    def __init__(
        self,
        iterator: AsyncIterator[Any],
        encode: Encode,
        *,
        runtime: Runtime,
        context: contextvars.Context,
        signal: Signal,
        ended: Callable[[], object],
    ) -> None:
        super().__init__(iterator, encode, ended, (asyncio.CancelledError,))
        self._runtime = runtime
        self._context = context
        self._signal = signal
        self._loop: asyncio.AbstractEventLoop | None = None
        # Only the loop touches these.
        self._task: asyncio.Task[None] | None = None
        self._sent: asyncio.Future[None] | None = None
        self._was_sent = True
        self._cancelled: asyncio.CancelledError | None = None
        self._may_cancel = True

    def start(self) -> None:
        """Start the task."""
        loop = self._loop = self._runtime.event_loop()
        # A copy, because the stream may use the context at the same time.
        loop.call_soon_threadsafe(self._begin, context=self._context.copy())

    def wait(self) -> None:
        """Wait for the signal. If a chunk was taken and sent, first let the source continue."""
        if self._holding:
            self._holding = False
            self._tell(self._go_on)
        self._signal.wait()

    def stop(self) -> None:
        """Cancel the source, or close it where it waits for its client."""
        if self._stopping:
            return
        self._stopping = True
        if self._loop is None:
            self._over()
        else:
            self._tell(self._cancel)

    def _tell(self, function: Callable[[], None]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(function)

    # On the loop.

    def _begin(self) -> None:
        assert self._loop is not None
        name = f"sse-sync {qualname(self._iterator)}"
        self._task = self._loop.create_task(self._run(), name=name)
        # Not in the task: one that is cancelled before its first step runs nothing.
        self._task.add_done_callback(self._finished)

    def _go_on(self) -> None:
        self._was_sent = True
        if self._sent is not None and not self._sent.done():
            self._sent.set_result(None)

    def _cancel(self) -> None:
        # Not while the source is being closed, and never twice: that would abort its cleanup.
        # Nothing shows whether a source has already reached its own finally.
        if self._task is not None and self._may_cancel:
            self._may_cancel = False
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while not self._stopping:
                await self._offer(await self._step())
        except StopAsyncIteration:
            pass
        except BaseException as exc:
            # SystemExit included, which would end the loop of all streams.
            self._failed(exc)
        self._may_cancel = False
        try:
            await _close(self._iterator)
        except BaseException as exc:
            self._failed(exc)

    async def _step(self) -> bytes:
        error, self._cancelled = self._cancelled, None
        item = await (anext(self._iterator) if error is None else self._throw(error))
        try:
            return self._encode(item)
        except EventError as exc:
            # Raised at the yield, once; see Pump.
            return self._encode(await self._throw(exc))

    async def _throw(self, error: BaseException) -> Any:
        throw = getattr(self._iterator, "athrow", None)
        if throw is None:
            raise error
        return await throw(error)

    async def _offer(self, chunk: bytes) -> None:
        if self._stopping:
            return  # It went on although it was cancelled; nobody will take this.
        self._was_sent = False
        self._chunk = chunk
        self._signal.set()
        while not self._was_sent:
            self._sent = asyncio.get_running_loop().create_future()
            try:
                await self._sent
            except asyncio.CancelledError as exc:
                if self._stopping:
                    raise
                self._cancelled = exc  # For the source: an asyncio.timeout() around its yield.

    def _finished(self, task: asyncio.Task[None]) -> None:
        try:
            self._runtime.spawn(self._over, f"sse-sync {qualname(self._iterator)}")
        except Exception:
            self._over()  # No more threads; late is better than never.

    # Beside the loop.

    def _over(self) -> None:
        self._context.run(self._call_ended)
        self.done = True
        self._signal.set()


class InlineAsyncFeed(AsyncFeed):
    """
    Run an asynchronous source on the event loop, while the thread that iterates the stream waits.

    Args:
        iterator: The source's iterator.
        encode: Encodes an item.
        runtime: How the process waits.
        context: Context variables for the source.
        ended: Called in the iterating thread after the source ends.
    """

    def __init__(
        self,
        iterator: AsyncIterator[Any],
        encode: Encode,
        *,
        runtime: Runtime,
        context: contextvars.Context,
        ended: Callable[[], object],
    ) -> None:
        super().__init__(
            iterator,
            encode,
            runtime=runtime,
            context=context,
            signal=runtime.signal(),
            ended=ended,
        )
        self._has_finished = False
        self._home: int | None = None

    def start(self) -> None:
        """Start the task."""
        self._home = threading.get_ident()
        super().start()

    def take(self) -> bytes | None:
        """Wait for the source's next event. Return :obj:`None` if it has ended."""
        while self._chunk is None and not self.done:
            self._wait()
        return super().take()

    def stop(self) -> None:
        """Cancel the source, and wait for its end in the thread that iterates the stream."""
        super().stop()
        while not self.done and self._home == threading.get_ident():
            self._wait()

    def _wait(self) -> None:
        if not self._has_finished:
            self.wait()
        if self._has_finished:
            self._over()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._has_finished = True
        self._signal.set()


def close_soon(iterator: AsyncIterator[Any]) -> None:
    """
    Close an iterator that will not be iterated, but may hold a connection.

    Args:
        iterator: The iterator.
    """
    loop = _runtime.current().event_loop()

    def begin() -> None:
        task = loop.create_task(_close(iterator))
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    loop.call_soon_threadsafe(begin)


def run_coroutine(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """
    Run a coroutine on the event loop of the async sources, and return what it returns.

    A client that an ``async def`` view opens belongs to a loop, and so must the stream that it
    returns. The context variables that it sets are the caller's, as with any other view.

    Args:
        coroutine: What to run.
    """
    runtime = _runtime.current()
    loop, signal = runtime.event_loop(), runtime.signal()
    tasks: list[asyncio.Task[Result]] = []
    context = contextvars.copy_context()

    async def run() -> Result:
        nonlocal context
        try:
            return await coroutine
        finally:
            context = contextvars.copy_context()  # Of the task, which has a copy of its own.

    def begin() -> None:
        tasks.append(loop.create_task(run()))
        tasks[0].add_done_callback(over)

    def over(task: asyncio.Task[Result]) -> None:
        coroutine.close()  # A task that is cancelled before its first step has not begun it.
        signal.set()

    loop.call_soon_threadsafe(begin)
    try:
        signal.wait()
    except BaseException:
        # The server has given up the request.
        loop.call_soon_threadsafe(lambda: tasks[0].cancel())
        raise
    for variable, value in context.items():
        if variable.get(_UNSET) is not value:
            variable.set(value)
    return tasks[0].result()


async def _close(iterator: AsyncIterator[Any]) -> None:
    # Async generators have aclose(), and the streams of API clients an asynchronous close().
    close = getattr(iterator, "aclose", None) or getattr(iterator, "close", None)
    if close is not None:
        closing = close()
        if inspect.isawaitable(closing):
            await closing
