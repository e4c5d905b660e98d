"""Jobs that something else runs: a Celery task, a management command, a script."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .. import runtime as _runtime
from ..brokers.jobs import Hold, JobName, JobRecord, Outcome, Written
from ..channels.hub import Hub
from ..event import encode
from ..exceptions import BrokerUnavailable, JobOver
from ..feed import Encode
from .encoding import checked
from .manager import Jobs, jobs_of
from .options import JobOptions, terms_of
from .runner import ENDINGS, FAILED, Ending
from .status import job_name

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["JobWriter", "job"]

logger = logging.getLogger("sse_sync")

# Seconds for which writing is tried again while the broker is away, and between two attempts.
PATIENCE, PAUSE = 60.0, 0.5

# Outcomes after which a task that runs again has nothing to do.
_SETTLED = (Outcome.FINISHED, Outcome.CANCELLED)


class JobWriter:
    """
    Write a job's output by hand. A context manager: the job ends with the block.

    ::

        with sse.job("export-7") as job:
            for row in rows[job.events:]:
                job.emit(row)

    A block that raises an exception makes the job fail. Whoever enters a block for a job that is
    running takes it over, and the former writer gets :exc:`JobOver` at its next event: a task
    that was killed and is run again goes on where :attr:`events` says, or begins anew, as
    ``resume`` says. If an earlier run has failed or was lost, a new one begins.

    Args:
        jobs: The process's jobs.
        name: What the job is called.
        encode: Encodes an event.
        options: See :class:`JobOptions`; ``max_seconds``, ``restart`` and ``on_finish`` are for
            jobs that the library runs.
        resume: Whether to go on with a job that is running; otherwise it ends as lost, and a new
            run begins.
    """

    def __init__(
        self,
        jobs: Jobs,
        name: JobName,
        encode: Encode,
        options: JobOptions,
        *,
        resume: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._jobs = jobs
        self._name = name
        self._encode = checked(encode)
        self._terms, _ = terms_of(options)
        self._resume = resume
        self._clock = clock
        self._sleep = sleep
        self._hold: Hold | None = None
        self._ending: Ending | None = None
        # Events that may have been stored: another one in their place would be taken for a repeat.
        self._unsure: list[bytes] = []
        self.events = 0
        """How many events the output has. Not zero at the beginning if the job is gone on with."""

    @property
    def hold(self) -> Hold:
        """The right to write."""
        if self._hold is None:
            raise RuntimeError("write in the block of a with statement: with sse.job(key) as job")
        return self._hold

    @property
    def is_cancelled(self) -> bool:
        """
        Whether the job was cancelled, or another writer has taken it over, so that the block should
        end. Whoever goes on gets :exc:`JobOver` at its next event.
        """
        return self._ending is not None

    @property
    def is_ending(self) -> bool:
        """Whether it ends the job itself."""
        return self.is_cancelled

    def __enter__(self) -> JobWriter:
        record, self._hold = self._try(self._start)
        if self._hold is None:
            raise JobOver(self._name.key, f"it is {record.outcome}")
        self.events = record.events
        self._jobs.hold(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        hold, ending = self.hold, self._ending or _ending_of(error)
        try:
            if not ending.is_told:
                self._try(lambda: self._jobs.store.finish(hold, ending.outcome, ending.message))
        except BrokerUnavailable as exc:
            logger.error("the job %r ends as lost: %s", self._name.key, exc)
        finally:
            self._jobs.release(hold)

    def emit(self, item: Any) -> None:
        """
        Add an event to the output. It may block, up to a minute while the broker is away.

        Args:
            item: What a generator could yield.

        Raises:
            JobOver: If the job was cancelled, another writer has taken it over, or its output is
                larger than ``max_bytes``.
            EventError: If the item cannot be sent.
            BrokerUnavailable: If it is not certain that the event was stored. The next call stores
                it, if need be, before its own event, unless that is the same.
        """
        hold, body = self.hold, self._encode(item)
        if self._ending is not None:
            raise JobOver(self._name.key, self._ending.message)
        if self._unsure[-1:] != [body]:  # Otherwise the caller tries again.
            self._unsure.append(body)
        written = self._try(lambda: self._jobs.store.write(hold, self.events, self._unsure))
        if written is Written.STORED:
            self.events += len(self._unsure)
            self._unsure.clear()
            return
        self._ending = ENDINGS[written]
        raise JobOver(self._name.key, self._ending.message)

    def stop(self, ending: Ending) -> None:
        """Have the block end soon. It never blocks."""
        if self._ending is None:
            self._ending = ending

    def _start(self) -> tuple[JobRecord, Hold | None]:
        store = self._jobs.store
        record, hold = store.start(self._name, self._terms, take=True)
        if hold is not None and record.fence > 1 and not self._resume:
            store.finish(hold, Outcome.LOST, "it begins anew")
            return store.start(self._name, self._terms, restart=True)
        if hold is None and record.outcome not in _SETTLED:
            return store.start(self._name, self._terms, restart=True, take=True)
        return record, hold

    def _try(self, ask: Callable[[], Any]) -> Any:
        deadline = self._clock() + PATIENCE
        while True:
            try:
                return ask()
            except BrokerUnavailable:
                if self._clock() >= deadline:
                    raise
            self._sleep(PAUSE)


def job(
    hub: Hub, key: str, *, user: Any = None, resume: bool = True, **options: Unpack[JobOptions]
) -> JobWriter:
    """
    Write a job's output where there is no web application, as in a script. See
    :class:`JobWriter`.

    ::

        with connect("redis://localhost") as hub, sse_sync.job(hub, "export-7") as job:
            job.emit("begun")

    Args:
        hub: What :func:`~sse_sync.connect` has returned.
        key: What the job is called.
        user: Whose job it is: text, a number or a UUID.
        resume: Whether to go on with a job that is running.
        options: See :class:`JobOptions`.
    """
    return JobWriter(jobs_of(hub), job_name(key, user), encode, options, resume=resume)


def _ending_of(error: BaseException | None) -> Ending:
    if error is None:
        return Ending(Outcome.FINISHED)
    if _runtime.is_exit(error):
        return Ending(Outcome.LOST, "its process was stopped")
    return FAILED
