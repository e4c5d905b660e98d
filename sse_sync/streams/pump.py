"""
The feeds that run a source.

:class:`Pump` runs a generator beside its stream, so that the stream can send heartbeats and notice
a disconnect while the generator blocks. :class:`Inline` runs it in the stream's own thread, for
test clients. Both are a :class:`~sse_sync.feed.Feed`, as are those of an asynchronous source in
:mod:`sse_sync.streams.async_source`.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any

from ..closing import CloseReason, End
from ..exceptions import EventError
from ..feed import Encode
from ..runtime import Runtime, Signal, Task

__all__ = ["Inline", "Pump", "SourceRunner", "qualname"]

logger = logging.getLogger("sse_sync")


class SourceRunner:
    """
    What the feeds that run a source share: what it raises is recorded and logged.

    Args:
        iterator: The source's iterator.
        encode: Encodes an item.
        ended: Called after the source ends.
        exits: What is raised in a source that is ended on purpose.
    """

    def __init__(
        self,
        iterator: Iterator[Any] | AsyncIterator[Any],
        encode: Encode,
        ended: Callable[[], object],
        exits: tuple[type[BaseException], ...] = (),
    ) -> None:
        self.done = False
        """Whether the source has ended, by itself or not."""
        self.error: BaseException | None = None
        """The exception that ended the source, if any."""
        self.reason = CloseReason.FINISHED
        """Why it has ended: finished or failed."""
        self.end: End | None = None
        """Nothing: its stream decides."""
        self._iterator: Any = iterator
        self._encode = encode
        self._ended = ended
        self._exits: tuple[type[BaseException], ...] = (GeneratorExit, *exits)
        self._stopping = False
        # What is on offer to the stream, and whether it has been taken and is being sent.
        self._chunk: bytes | None = None
        self._holding = False

    def take(self) -> bytes | None:
        """Return the chunk on offer, if there is one."""
        chunk = self._chunk
        if chunk is not None:
            self._chunk = None
            self._holding = True
        return chunk

    def rest(self, end: End) -> tuple[bytes, End]:
        """Return the chunk on offer, if there is one, and the end."""
        return self.take() or b"", end

    def _failed(self, error: BaseException) -> None:
        if self._stopping and isinstance(error, self._exits):
            return
        # Drop this package's frames, which reference the request: a log record may be kept.
        self.error = error = error.with_traceback(_outside(error.__traceback__))
        self.reason = CloseReason.FAILED
        name = qualname(self._iterator)
        if self._stopping:
            logger.error("source %s failed while its stream was ending", name, exc_info=error)
        else:
            logger.error("source %s raised an exception; ending its stream", name, exc_info=error)

    def _call_ended(self) -> None:
        try:
            self._ended()
        except Exception:
            logger.exception("cleanup for source %s raised an exception", qualname(self._iterator))


class _StepRunner(SourceRunner):
    # What Pump and Inline share: stepping through a source and ending it.

    _in_source = False

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
                qualname(self._iterator),
                type(value).__name__,
            )

    def _finish(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            try:
                close()
            except BaseException as exc:
                self._failed(exc)
        self._call_ended()


class Pump(_StepRunner):
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
        self._interrupted = False
        self._task: Task | None = None

    def start(self) -> None:
        """Start the thread or greenlet."""
        self._task = self._runtime.spawn(self._main, f"sse-sync {qualname(self._iterator)}")

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


class Inline(_StepRunner):
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
    while inner is not None and inner.tb_frame.f_globals.get("__package__") == __package__:
        inner = inner.tb_next
    return inner or traceback


def qualname(iterator: object) -> str:
    """Return the name of a generator's function, or of another iterator's class."""
    return getattr(iterator, "__qualname__", None) or type(iterator).__qualname__
