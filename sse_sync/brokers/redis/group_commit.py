"""
Write together what many want to write at the same time.

Theory of operation. Whoever finds nothing under way writes at once, so nobody waits for company.
Whoever comes meanwhile queues up, and the first of these then writes for all of them. So the slower
the store is, the more each of its scripts carries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from ...exceptions import BrokerError
from ...runtime import Signal, current
from ...runtime.process import native_lock

__all__ = ["GroupCommit"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class _Waiting(Generic[Item, Answer]):
    __slots__ = ("answer", "error", "item", "leads", "signal")

    answer: Answer

    def __init__(self, item: Item, signal: Signal) -> None:
        self.item = item
        self.signal = signal
        self.leads = False
        self.error: BrokerError | None = None


class GroupCommit(Generic[Item, Answer]):
    """
    Write for everybody who waits. Its method may be called from any thread or greenlet.

    Args:
        write: Writes some items, in one step or not at all, and returns an answer for each. It may
            be repeated, and may block for a bounded time.
        most: How many items it takes.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Sequence[Answer]], most: int) -> None:
        self._write = write
        self._most = most
        self._lock = native_lock()
        self._is_busy = False
        self._queue: list[_Waiting[Item, Answer]] = []

    def write(self, item: Item) -> Answer:
        """
        Write an item, perhaps together with others.

        Raises:
            BrokerError: What ``write`` has raised, perhaps for somebody else. All who wait get it,
                so that nobody waits for a store that is away longer than one attempt takes.
        """
        mine: _Waiting[Item, Answer] = _Waiting(item, current().signal())
        with self._lock:
            mine.leads = not self._is_busy
            self._is_busy = True
            if not mine.leads:
                self._queue.append(mine)
        if not mine.leads:
            self._wait(mine)
        if mine.leads:
            return self._lead(item)
        if mine.error is not None:
            raise type(mine.error)(*mine.error.args)  # Of its own, because it gets a traceback.
        return mine.answer

    def _wait(self, mine: _Waiting[Item, Answer]) -> None:
        try:
            mine.signal.wait()
        except BaseException:  # The greenlet is being killed.
            with self._lock:
                if mine in self._queue:
                    self._queue.remove(mine)
            if mine.leads:
                self._go_on(())
            raise

    def _lead(self, item: Item) -> Answer:
        others = self._take(self._most - 1)
        try:
            own, *answers = self._write([item, *(each.item for each in others)])
            for each, answer in zip(others, answers, strict=True):
                each.answer = answer
        except BrokerError as exc:
            others += self._take(None)
            for each in others:
                each.error = exc
            raise
        except BaseException:
            # The greenlet is being killed, or the item is unusable. That is not the others' fault.
            with self._lock:
                self._queue[:0] = others
            others = []
            raise
        finally:
            self._go_on(others)
        return own

    def _take(self, most: int | None) -> list[_Waiting[Item, Answer]]:
        with self._lock:
            taken = self._queue[:most]
            del self._queue[:most]
        return taken

    def _go_on(self, done: Iterable[_Waiting[Item, Answer]]) -> None:
        with self._lock:
            heir = self._queue.pop(0) if self._queue else None
            self._is_busy = heir is not None
            if heir is not None:
                heir.leads = True
        for each in done:
            each.signal.set()
        if heir is not None:
            heir.signal.set()
