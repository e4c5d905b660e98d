"""What an application gets when it starts a job."""

from __future__ import annotations

from ..brokers.jobs import JobRecord
from ..channels.app import ResponseOptions
from .manager import Jobs
from .status import JobStatus

__all__ = ["Job"]


class Job:
    """
    A job of any process. The fronts' :meth:`response` comes on top.

    Args:
        jobs: The process's jobs.
        record: What was known of it when it was looked up.
        is_new: Whether the caller has just started it.
    """

    def __init__(self, jobs: Jobs, record: JobRecord, *, is_new: bool = False) -> None:
        self.jobs = jobs
        """The process's jobs."""
        self.record = record
        """What was known of it when it was looked up."""
        self.is_new = is_new
        """Whether the caller has just started it; otherwise it was there already."""

    @property
    def key(self) -> str:
        """Its key."""
        return self.record.name.key

    def with_user(self, options: ResponseOptions) -> ResponseOptions:
        """Return the keywords of a response; its stream is that of the job's user."""
        user = options.get("user")
        return {**options, "user": self.record.name.user or None if user is None else user}

    def status(self) -> JobStatus:
        """
        Return what is known of it now; once its output is no longer kept, what was known.

        Raises:
            BrokerUnavailable: If the broker cannot be asked now.
        """
        found = self.jobs.get(self.record.name)
        if found is not None and found.run == self.record.run:
            self.record = found
        return JobStatus.of(self.record)

    def cancel(self, reason: str = "") -> bool:
        """Cancel it. See :meth:`.Jobs.cancel`."""
        return self.jobs.cancel(self.record.name, reason)
