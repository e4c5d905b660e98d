"""Sources of events: what a view may give, and which feed runs it."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any

from .. import runtime as _runtime
from ..exceptions import SourceError
from ..feed import Encode, Feed, FeedSource
from ..runtime import Runtime, Signal
from .pump import Inline, Pump, qualname

__all__ = ["Source", "discard", "is_source", "iterate", "run_beside", "run_inline", "where_is"]

Source = Iterable[Any] | AsyncIterable[Any]
"""A generator or other iterable of events, asynchronous or not."""


def is_source(result: object) -> bool:
    """Return whether what a view returned is a source rather than a response."""
    return isinstance(result, (Iterator, AsyncIterator))


def iterate(source: object) -> Iterator[Any] | AsyncIterator[Any]:
    """
    Return the iterator over a source.

    Args:
        source: What a view returned.

    Raises:
        SourceError: If it is not an iterable of events.
    """
    if isinstance(source, (str, bytes, bytearray, Mapping)):
        raise SourceError(source, "yield it from a generator instead")
    if hasattr(source, "status_code"):
        raise SourceError(source, "pass the generator itself, without @event_stream")
    if callable(source) and not isinstance(source, Iterable):
        raise SourceError(source, "call it, and pass what it returns")
    if inspect.iscoroutine(source):
        source.close()  # Or Python warns that it was never awaited.
        raise SourceError(source, "yield in the function, or decorate it with @event_stream")
    if isinstance(source, AsyncIterator):
        return source  # It may have a close(), which what it returns has not.
    if isinstance(source, AsyncIterable):
        return aiter(source)
    if not isinstance(source, Iterable):
        raise SourceError(source, "give a generator or another iterable")
    return iter(source)


def discard(source: Iterator[Any] | AsyncIterator[Any] | FeedSource) -> None:
    """
    Close a source that will never start. None of a generator's code runs.

    Args:
        source: The source.
    """
    if not isinstance(source, AsyncIterator):
        close = getattr(source, "close", None)
        if close is not None:
            close()
    elif not inspect.isasyncgen(source):
        from .async_source import close_soon

        close_soon(source)


def run_beside(
    source: Iterator[Any] | AsyncIterator[Any] | FeedSource,
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
    if isinstance(source, AsyncIterator):
        from .async_source import AsyncFeed  # Only now: it imports asyncio.

        return AsyncFeed(
            source, encode, runtime=runtime, context=context, signal=signal, ended=ended
        )
    return Pump(source, encode, runtime=runtime, context=context, signal=signal, ended=ended)


def run_inline(
    source: Iterator[Any] | AsyncIterator[Any] | FeedSource,
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
    if isinstance(source, AsyncIterator):
        from .async_source import InlineAsyncFeed

        return InlineAsyncFeed(
            source, encode, runtime=_runtime.current(), context=context, ended=ended
        )
    return Inline(source, encode, context=context, ended=ended)


def where_is(source: object) -> str:
    """Return the name of a source and, for a generator, its current line."""
    frame = getattr(source, "gi_frame", None) or getattr(source, "ag_frame", None)
    if frame is None:
        return qualname(source)
    return f"{qualname(source)} at {frame.f_code.co_filename}:{frame.f_lineno}"
