"""
Jobs: the contract of job stores.

A job is one run of a source, and its output is a channel that is kept whole while it runs. The
store decides, in one step each, who runs a job, which output counts, and how it has ended: whoever
writes holds a :class:`Hold`, and what an earlier holder writes is refused, as is everything after
the end. A holder that does not renew its lease is taken for dead, and its job is lost.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from .messages import COMMENT, JOB_END, Position, Publication
from .retention import MARK

__all__ = ["CONTROL", "LEASE"]
__all__ += ["Hold", "JobName", "JobRecord", "JobStore", "JobTerms", "Outcome"]
__all__ += ["Tick", "View", "Written", "end_of_job", "is_job_channel", "job_channel", "told_over"]

LEASE = 10.0
"""Seconds without a renewal after which a job's holder is taken for dead."""

CONTROL = f"{MARK}jobs"
"""The channel that tells the processes with jobs that one is over, or has another holder."""


class Outcome(enum.Enum):
    """How a job has ended."""

    FINISHED = "finished"
    """Its source has returned."""
    FAILED = "failed"
    """Its source raised an exception, took too long or produced too much."""
    CANCELLED = "cancelled"
    """The application cancelled it, or nobody was watching any more."""
    LOST = "lost"
    """The process that ran it has died or was stopped, or its output may have gaps."""

    def __str__(self) -> str:
        return self.value


class JobName(NamedTuple):
    """What a job is called. Users do not share names."""

    key: str
    """Its key."""
    user: str = ""
    """Key of the user whose it is; empty if it is nobody's."""


class JobTerms(NamedTuple):
    """What whoever starts a job asks of the store."""

    keep_for: float = 3600.0
    """Seconds for which its output can be read after its end."""
    max_bytes: int = 8 << 20
    """Bytes of output."""
    stop_when_alone: float | None = None
    """Seconds without a viewer after which it should be cancelled; :obj:`None` for never."""
    meta: Any = None
    """Any JSON value, for listings."""


class Hold(NamedTuple):
    """The right to write a job's output."""

    name: JobName
    """Which job."""
    run: str
    """Which run of it."""
    fence: int
    """Grows with every holder of a run."""


class View(NamedTuple):
    """What clients of a process view."""

    name: JobName
    """Which job."""
    run: str
    """Which run of it."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What a store knows of a job."""

    name: JobName
    """What it is called."""
    run: str
    """Identifies the run, and its output."""
    fence: int
    """How many holders it has had."""
    begins: Position
    """The position before its output."""
    started: float
    """When it started, in seconds since 1970."""
    meta: Any = None
    """The ``meta`` it was started with."""
    events: int = 0
    """Events of its output."""
    bytes: int = 0
    """Bytes of these."""
    outcome: Outcome | None = None
    """How it has ended; :obj:`None` while it runs."""
    message: str = ""
    """Why."""
    ends: Position | None = None
    """Position of its last event."""
    ended: float | None = None
    """When it ended, in seconds since 1970."""

    @property
    def channel(self) -> str:
        """The channel of its output."""
        return job_channel(self.run)


class Written(enum.Enum):
    """What became of output."""

    STORED = enum.auto()
    """It is in the channel, perhaps since an earlier attempt."""
    REFUSED = enum.auto()
    """The job is over, or has another holder."""
    FULL = enum.auto()
    """It would be more than ``max_bytes``, and nothing was stored."""
    GAP = enum.auto()
    """The store has lost some of what was written before, and nothing was stored."""


class Tick(NamedTuple):
    """What a process learns when it renews its leases."""

    gone: set[str]
    """Runs that it no longer holds."""
    alone: set[str]
    """Runs whose viewers have all been gone for as long as ``stop_when_alone`` allows."""
    forgotten: set[str]
    """Viewed runs whose output is no longer kept, so that nobody will say how they have ended."""


class JobStore(Protocol):
    """
    Keep jobs, for all processes of a broker.

    All methods may be called from any thread or greenlet, and may block for a bounded time. They
    raise :exc:`BrokerUnavailable` if the store cannot be reached now, and can then be repeated.
    """

    def start(
        self,
        name: JobName,
        terms: JobTerms,
        *,
        restart: bool = False,
        take: bool = False,
        limit: int | None = None,
    ) -> tuple[JobRecord, Hold | None]:
        """
        Start a job, unless it exists.

        Args:
            name: What it is called.
            terms: How it runs.
            restart: Whether to begin anew if an earlier run has ended.
            take: Whether to become the holder of one that is running. The former holder is refused
                from then on.
            limit: How many jobs of the user may run; :obj:`None` for any number.

        Returns:
            The job, and the right to write if the caller has become its holder.

        Raises:
            JobRefused: If the user has as many jobs as allowed.
        """

    def write(self, hold: Hold, number: int, bodies: Sequence[bytes]) -> Written:
        """
        Add events to a job's output, all or none, and deliver them.

        Args:
            hold: The right to write.
            number: How many events the output had before, so that a repeated call stores nothing
                twice.
            bodies: The events, without their ids.
        """

    def finish(self, hold: Hold, outcome: Outcome, message: str = "") -> bool:
        """
        End a job, and tell its viewers.

        Args:
            hold: The right to write.
            outcome: How it has ended.
            message: Text for its viewers.

        Returns:
            Whether this ended it; False if it was over, or has another holder.
        """

    def cancel(self, name: JobName, message: str = "") -> bool:
        """
        End a job, whoever holds it, and tell its viewers and its holder.

        Args:
            name: Which job.
            message: Text for its viewers.

        Returns:
            Whether this ended it; False if it is over or unknown.
        """

    def tick(self, held: Sequence[Hold], viewed: Sequence[View]) -> Tick:
        """
        Renew leases, and end as lost the jobs whose lease is over, of any process. To be called
        every few seconds by processes that hold or view jobs.

        If no process could call this for a while, no lease ends because of that.

        Args:
            held: The jobs that the process holds.
            viewed: What clients of the process view.
        """

    def get(self, name: JobName) -> JobRecord | None:
        """Return a job, or :obj:`None` if there is none, or its output is no longer kept."""

    def find(self, user: str | None = None) -> list[JobRecord]:
        """
        Return the jobs whose output is kept, in no order.

        Args:
            user: Whose; :obj:`None` for everybody's.
        """


def job_channel(run: str) -> str:
    """Return the channel of a run's output."""
    return MARK + run


def is_job_channel(channel: str) -> bool:
    """Return whether a channel is that of a job's output."""
    return channel.startswith(MARK)


def end_of_job(channel: str, outcome: Outcome, message: str) -> Publication:
    """Return the last message of a job's output. What viewers see is up to their streams."""
    meta = {"outcome": outcome.value, "message": message}
    return Publication(channel, COMMENT, JOB_END, meta=meta)


def told_over(run: str) -> Publication:
    """Return the control message that a run is over, or has another holder."""
    return Publication(CONTROL, b"", "over", meta={"run": run}, keep=False)
