"""
Run a job's source, beside any request, and write its output to the store.

Theory of operation. The source runs as it would beside a stream, in a greenlet or thread of its own
and one event at a time. The runner takes each event in another, writes it, and only then lets the
source go on. So it can end the source while that blocks, and wait for a broker that is away.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

from .. import runtime as _runtime
from ..brokers.jobs import Hold, JobStore, Outcome, Written
from ..exceptions import BrokerClosed, BrokerUnavailable
from ..feed import Encode, Feed
from ..runtime.process import native_lock
from ..streams.source import run_beside

__all__ = ["ENDINGS", "FAILED", "GONE", "Ending", "Holder", "JobRunner", "Work"]

logger = logging.getLogger("sse_sync")

Result = TypeVar("Result")

# Seconds between two attempts to write while the broker is away: the first and the longest.
PAUSES = (0.1, 2.0)

# Seconds for which a job that has ended asks a broker that is away. Afterwards its lease ends.
LAST_ATTEMPTS = 60.0


class Ending(NamedTuple):
    """How a job ends."""

    outcome: Outcome
    """Its outcome."""
    message: str = ""
    """Text for its viewers."""
    is_told: bool = False
    """Whether the store knows already, or must not be told."""


class Work(NamedTuple):
    """What a job runs."""

    source: Iterator[Any] | AsyncIterator[Any]
    """The source."""
    encode: Encode
    """Encodes what it yields."""
    within: Callable[[], AbstractContextManager[Any]]
    """Returns the context in which it runs."""
    max_seconds: float | None
    """Seconds after which it is interrupted and fails."""


class Holder(Protocol):
    """Whatever writes a job's output."""

    @property
    def hold(self) -> Hold:
        """The right to write."""

    @property
    def is_ending(self) -> bool:
        """Whether it ends the job itself."""

    def stop(self, ending: Ending) -> None:
        """End the job soon. It never blocks. Later calls do nothing."""


class JobRunner:
    """
    Run one job.

    Args:
        hold: The right to write its output.
        work: What it runs.
        store: Takes the output.
        ended: Called in the job's own greenlet or thread once the job and its source have ended.
    """

    def __init__(
        self, hold: Hold, work: Work, store: JobStore, ended: Callable[[JobRunner], object]
    ) -> None:
        self.hold = hold
        """The right to write its output."""
        self._work = work
        self._store = store
        self._ended = ended
        self._runtime = _runtime.current()
        self._signal = self._runtime.signal()
        self._lock = native_lock()
        self._ending: Ending | None = None
        self.events = self.bytes = 0
        """Events of its output that it has written, and their bytes."""

    @property
    def is_ending(self) -> bool:
        """Whether it ends the job itself."""
        return self._ending is not None

    def start(self) -> None:
        """Begin to run, in a greenlet or thread of its own."""
        self._runtime.spawn(self._main, f"sse-sync job {self.hold.name.key}")

    def stop(self, ending: Ending) -> None:
        """
        End the job soon: its source is interrupted where it blocks, or at its next step in a
        thread. Later calls do nothing. It never blocks, and anything may call it.
        """
        with self._lock:
            if self._ending is not None:
                return
            self._ending = ending
        self._signal.set()

    def ask(self, question: Callable[[], Result]) -> Result | None:
        """
        Ask the store at the end of the job, for up to a minute if the broker is away. Afterwards,
        or if it is closed, return :obj:`None`.

        Args:
            question: Asks it.
        """
        clock = self._runtime.reactor.clock
        deadline = clock() + LAST_ATTEMPTS
        answer: Result | None = self._try(question, lambda: clock() >= deadline)
        return answer

    def _main(self) -> None:
        try:
            self._run()
        except BaseException as exc:
            logger.exception("the job %r failed", self.hold.name.key)
            self._say(FAILED)
            if _runtime.is_exit(exc):
                raise
        finally:
            self._ended(self)

    def _run(self) -> None:
        work, context = self._work, contextvars.Context()
        surroundings = work.within()
        context.run(surroundings.__enter__)
        feed = run_beside(
            *(work.source, work.encode, context, self._runtime, self._signal),
            lambda: surroundings.__exit__(None, None, None),
        )
        reactor, timer = self._runtime.reactor, None
        if work.max_seconds is not None:
            timer = reactor.call_at(reactor.clock() + work.max_seconds, self._took_too_long)
        try:
            ending = self._relay(feed)
        finally:
            if timer is not None:
                timer.cancel()
            feed.stop()
        self._say(ending)
        while not feed.done:
            feed.wait()

    def _relay(self, feed: Feed) -> Ending:
        feed.start()
        while self._ending is None:
            chunk = feed.take()
            if chunk is not None:
                self._write(chunk)
            elif feed.done and feed.error is None:
                self.stop(Ending(Outcome.FINISHED))
            elif feed.done:
                logger.error(
                    "the job %r has failed: %s; the traceback is above",
                    *(self.hold.name.key, type(feed.error).__name__),
                )
                self.stop(FAILED)
            else:
                feed.wait()
        return self._ending

    def _write(self, chunk: bytes) -> None:
        written = self._try(lambda: self._store.write(self.hold, self.events, [chunk]))
        if written is Written.STORED:
            self.events += 1
            self.bytes += len(chunk)
        elif written is not None:
            if written in _TO_LOG:
                logger.error(_TO_LOG[written], self.hold.name.key)
            self.stop(ENDINGS[written])

    def _say(self, ending: Ending) -> None:
        if not ending.is_told:
            self.ask(lambda: self._store.finish(self.hold, ending.outcome, ending.message))

    def _try(self, write: Callable[[], Any], enough: Callable[[], bool] | None = None) -> Any:
        # Until the broker is back, or the job has been stopped.
        pause, enough = PAUSES[0], enough or (lambda: self._ending is not None)
        while True:
            try:
                return write()
            except BrokerClosed:
                self.stop(Ending(Outcome.LOST, "the hub was closed", is_told=True))
                return None
            except BrokerUnavailable as exc:
                if pause == PAUSES[0]:
                    logger.warning("the job %r waits for the broker: %s", self.hold.name.key, exc)
                if enough():
                    return None
            self._sleep(pause)
            pause = min(2 * pause, PAUSES[1])

    def _sleep(self, seconds: float) -> None:
        reactor = self._runtime.reactor
        timer = reactor.call_at(reactor.clock() + seconds, self._wake)
        self._signal.wait()
        timer.cancel()

    def _wake(self, now: float) -> None:
        self._signal.set()

    def _took_too_long(self, now: float) -> None:
        self.stop(Ending(Outcome.FAILED, f"it took longer than {self._work.max_seconds:g} seconds"))


FAILED = Ending(Outcome.FAILED, "internal error")

GONE = Ending(Outcome.LOST, "it was ended elsewhere", is_told=True)

# How a job ends whose output is not stored.
ENDINGS = {
    Written.REFUSED: GONE,
    Written.FULL: Ending(Outcome.FAILED, "the output is too large"),
    Written.GAP: Ending(Outcome.LOST, "some of its output was lost"),
}

_TO_LOG = {
    Written.FULL: "the job %r fails: it exceeds max_bytes",
    Written.GAP: "the job %r ends as lost: the broker has lost some of its output",
}
