"""
Sources of events, and the two feeds that run them.

:class:`Pump` runs a generator beside its stream, so that the stream can send heartbeats and notice
a disconnect while the generator blocks. :class:`Inline` runs it in the stream's own thread, for
test clients. Both are a :class:`~sse_sync.feed.Feed`.
"""

from __future__ import annotations

import contextvars
import inspect
import logging
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

from .. import runtime as _runtime
from ..closing import CloseReason
from ..exceptions import EventError, SourceError
from ..feed import Encode, Feed, FeedSource
from ..runtime import Runtime, Signal, Task

__all__ = ["Inline", "Pump", "Source", "iterate", "run_beside", "run_inline", "where_is"]

logger = logging.getLogger("sse_sync")

Source = Iterable[Any]
"""A generator or other iterable of events."""


def iterate(source: object) -> Iterator[Any]:
    """
    Return the iterator over a source.

    Args:
        source: What a view returned.

    Raises:
        SourceError: If it is not an iterable of events.
    """
    if isinstance(source, (str, bytes, bytearray, Mapping)):
        raise SourceError(source, "yield it from a generator instead")
    if callable(source) and not isinstance(source, Iterable):
        raise SourceError(source, "call it, and pass what it returns")
    if inspect.iscoroutine(source) or isinstance(source, AsyncIterable):
        raise SourceError(source, "use a plain generator; WSGI has no event loop")
    if not isinstance(source, Iterable):
        raise SourceError(source, "give a generator or another iterable")
    return iter(source)


def run_beside(
    source: Iterator[Any] | FeedSource,
    encode: Encode,
    context: contextvars.Context,
    runtime: Runtime,
    signal: Signal,
    ended: Callable[[], object],
    *,
    plain: bool = False,
) -> Feed:
    """
    Return the feed of a source that runs beside its stream.

    Args:
        source: The source.
        encode: Encodes an item.
        context: Context variables for the source.
        runtime: How the process waits.
        signal: Set when there is something to take, and when the source has ended.
        ended: Called in the source's own thread or greenlet after it ends.
        plain: Whether the stream must not contain events of the library's.
    """
    if isinstance(source, FeedSource):
        return source.open(signal, encode, context, plain=plain)
    return Pump(source, encode, runtime=runtime, context=context, signal=signal, ended=ended)


def run_inline(
    source: Iterator[Any] | FeedSource,
    encode: Encode,
    context: contextvars.Context,
    ended: Callable[[], object],
    *,
    plain: bool = False,
) -> Feed:
    """
    Return the feed of a source that runs in the thread that iterates the stream.

    Args:
        source: The source.
        encode: Encodes an item.
        context: Context variables for the source.
        ended: Called after the source ends.
        plain: Whether the stream must not contain events of the library's.
    """
    if isinstance(source, FeedSource):
        return source.open(_runtime.current().signal(), encode, context, plain=plain)
    return Inline(source, encode, context=context, ended=ended)


def where_is(source: object) -> str:
    """Return the name of a source and, for a generator, its current line."""
    name = getattr(source, "__qualname__", type(source).__qualname__)
    frame = getattr(source, "gi_frame", None)
    if frame is None:
        return str(name)
    return f"{name} at {frame.f_code.co_filename}:{frame.f_lineno}"


class _SourceRunner:
    # What Pump and Inline share: stepping through a source and ending it; what it raises is
    # recorded and logged.

    def __init__(
        self,
        iterator: Iterator[Any],
        encode: Encode,
        ended: Callable[[], object],
        exits: tuple[type[BaseException], ...] = (),
    ) -> None:
        self.done = False
        self.error: BaseException | None = None
        self.reason = CloseReason.FINISHED
        self._iterator = iterator
        self._encode = encode
        self._ended = ended
        self._exits: tuple[type[BaseException], ...] = (GeneratorExit, *exits)
        self._stopping = False
        self._in_source = False

    def _step(self) -> bytes:
        # StopIteration passes through.
        self._in_source = True
        try:
            item = next(self._iterator)
        finally:
            self._in_source = False
        try:
            return self._encode(item)
        except EventError as exc:
            return self._step_after(exc)

    def _step_after(self, error: EventError) -> bytes:
        # An error in a yielded value is raised at that yield, so that the traceback shows it.
        # Only once: a source that keeps yielding invalid values would never send anything.
        return self._encode(self._throw(error))

    def _throw(self, error: EventError) -> Any:
        throw = getattr(self._iterator, "throw", None)
        if throw is None:
            raise error
        self._in_source = True
        try:
            return throw(error)
        finally:
            self._in_source = False

    def _returned(self, value: object) -> None:
        # As a redirect in a view that yields, too. Responses of all frameworks have a status.
        if hasattr(value, "status_code"):
            logger.error(
                "source %s returned a %s, which its client cannot get, because headers are sent"
                " before a generator begins. Return it from a view that returns the generator,"
                " instead of being one",
                _qualname(self._iterator),
                type(value).__name__,
            )

    def _failed(self, error: BaseException) -> None:
        if self._stopping and isinstance(error, self._exits):
            return
        # Drop this module's frames, which reference the request: a log record may be kept.
        self.error = error = error.with_traceback(_outside(error.__traceback__))
        self.reason = CloseReason.FAILED
        name = _qualname(self._iterator)
        if self._stopping:
            logger.error("source %s failed while its stream was ending", name, exc_info=error)
        else:
            logger.error("source %s raised an exception; ending its stream", name, exc_info=error)

    def _finish(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            try:
                close()
            except BaseException as exc:
                self._failed(exc)
        try:
            self._ended()
        except Exception:
            logger.exception("cleanup for source %s raised an exception", _qualname(self._iterator))


class Pump(_SourceRunner):
    """
    Run a source beside its stream, one event at a time.

    The source continues only after its last event has been sent. When the stream ends, gevent
    interrupts the source where it blocks; a thread ends at its next event.

    Args:
        iterator: The source's iterator.
        encode: Encodes an item.
        runtime: How the process waits.
        context: Context variables for the source.
        signal: Set when there is something to take, and when the source has ended.
        ended: Called in the source's own thread or greenlet after it ends.
    """

    def __init__(
        self,
        iterator: Iterator[Any],
        encode: Encode,
        *,
        runtime: Runtime,
        context: contextvars.Context,
        signal: Signal,
        ended: Callable[[], object],
    ) -> None:
        super().__init__(iterator, encode, ended, runtime.exits)
        self._runtime = runtime
        self._context = context
        self._signal = signal
        self._taken = runtime.signal()
        self._chunk: bytes | None = None
        self._holding = False
        self._interrupted = False
        self._task: Task | None = None

    def start(self) -> None:
        """Start the thread or greenlet."""
        self._task = self._runtime.spawn(self._main, f"sse-sync {_qualname(self._iterator)}")

    def take(self) -> bytes | None:
        """Return the chunk on offer, if there is one."""
        chunk = self._chunk
        if chunk is not None:
            self._chunk = None
            self._holding = True
        return chunk

    def wait(self) -> None:
        """Wait for the signal. If a chunk was taken and sent, first let the source continue."""
        # Only the stream touches _holding, and the pump offers a chunk only after it is released.
        if self._holding:
            self._holding = False
            self._taken.set_and_wait(self._signal)
        else:
            self._signal.wait()

    def stop(self) -> None:
        """Interrupt the source, or have it closed at its next event."""
        if self._stopping:
            return
        self._stopping = True
        self._taken.set()
        if self._task is None:
            self._context.run(self._finish)
            self.done = True
        else:
            self._task.interrupt(self._may_interrupt)

    def _may_interrupt(self) -> bool:
        # Not while the source is being closed, and never twice: that would abort its cleanup.
        # Nothing shows whether a source has already reached its own finally.
        if self._interrupted or not self._in_source:
            return False
        self._interrupted = True
        return True

    def _main(self) -> None:
        self._context.run(self._run)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._offer(self._step())
        except StopIteration as exc:
            self._returned(exc.value)
        except BaseException as exc:
            # Including SystemExit: in an ordinary view sys.exit() ends one request, but from here
            # it would end the whole process under gevent.
            self._failed(exc)
            if isinstance(exc, KeyboardInterrupt):
                raise
        finally:
            self._finish()
            self.done = True
            self._signal.set()

    def _offer(self, chunk: bytes) -> None:
        self._chunk = chunk
        self._signal.set_and_wait(self._taken)


class Inline(_SourceRunner):
    """
    Run a source in the thread that iterates the stream.

    Args:
        iterator: The source's iterator.
        encode: Encodes an item.
        context: Context variables for the source.
        ended: Called after the source ends.
    """

    def __init__(
        self,
        iterator: Iterator[Any],
        encode: Encode,
        *,
        context: contextvars.Context,
        ended: Callable[[], object],
    ) -> None:
        super().__init__(iterator, encode, ended)
        self._context = context

    def start(self) -> None:
        """Do nothing: the source runs in :meth:`take`."""

    def wait(self) -> None:
        """Return at once: there is always something to take, or the source has ended."""

    def take(self) -> bytes | None:
        """Run the source to its next event. Return :obj:`None` if it has ended."""
        if self.done:
            return None
        try:
            return self._context.run(self._step)
        except StopIteration as exc:
            self._returned(exc.value)
        except BaseException as exc:
            self._failed(exc)
            if not isinstance(exc, Exception):
                raise
        self._end()
        return None

    def stop(self) -> None:
        """Close the source."""
        self._stopping = True
        self._end()

    def _end(self) -> None:
        if not self.done:
            self.done = True
            self._context.run(self._finish)


def _outside(traceback: TracebackType | None) -> TracebackType | None:
    inner = traceback
    while inner is not None and inner.tb_frame.f_globals.get("__name__") == __name__:
        inner = inner.tb_next
    return inner or traceback


def _qualname(iterator: Iterator[Any]) -> str:
    return getattr(iterator, "__qualname__", None) or type(iterator).__qualname__
