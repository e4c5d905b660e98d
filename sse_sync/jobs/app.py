"""The jobs of an application: what both fronts do with a request, or without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..brokers.jobs import JobRecord
from ..channels.app import AppHub, ResponseOptions, response_options, stream_options
from ..feed import Encode, FeedSource
from ..request import last_event_id
from ..streams.source import Source
from .job import Job
from .manager import Jobs, jobs_of
from .options import JobOptions
from .status import JobStatus, is_key, job_name
from .viewing import view
from .writer import JobWriter

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from typing_extensions import Unpack

__all__ = ["AppJobs"]


class AppJobs:
    """
    Start, view and end the jobs of an application.

    Jobs have the names of their users: whoever asks for another's job is told what is told of one
    that does not exist.

    Args:
        app_hub: Gives the application its hub.
        encode: Encodes what a source yields.
    """

    def __init__(self, app_hub: AppHub, encode: Encode) -> None:
        self._app_hub = app_hub
        self._encode = encode

    @property
    def _jobs(self) -> Jobs:
        return jobs_of(self._app_hub.hub())

    def start(
        self,
        key: str,
        source: Source,
        *,
        user: Any = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """
        Run a source once, beside any request. See :meth:`.Jobs.start`.

        Args:
            key: What the job is called. Without a user it should be unguessable, because whoever
                knows it may read the output.
            source: A generator or other iterable of events, asynchronous or not.
            user: Whose job it is: text, a number or a UUID.
            options: See :class:`JobOptions`.

        Raises:
            SourceError: If the source is not an iterable of events.
            ConfigurationError: If an argument is unusable.
            JobRefused: If there are too many jobs.
            BrokerUnavailable: If the broker cannot be asked now. The job is not running then.
        """
        name = job_name(key, user)
        jobs, limits = self._jobs, self._app_hub.options
        jobs.grace = max(jobs.grace, limits.job_grace)
        record, is_new = jobs.start(
            *(name, source, self._encode, options),
            max_jobs=limits.max_jobs,
            max_per_user=None if user is None else limits.max_jobs_per_user,
        )
        return Job(jobs, record, is_new=is_new)

    def view(
        self, environ: WSGIEnvironment, record: JobRecord | None, options: ResponseOptions
    ) -> FeedSource | None:
        """
        Return what the stream of a viewer draws from; :obj:`None` if it gets 204.

        Args:
            environ: The request's WSGI environ.
            record: The job; :obj:`None` if there is none.
            options: The keywords of the response.
        """
        stream = self._app_hub.expect(
            environ,
            self._app_hub.options.replace(stream_options(response_options(options))),
            user=options.get("user"),
            channels=() if record is None else (record.channel,),
        )
        return view(self._jobs, record, last_event_id(environ), stream)

    def find(self, key: str, user: Any = None) -> JobRecord | None:
        """Return a job, or :obj:`None` if the user has none of that key."""
        return self._jobs.get(job_name(key, user)) if is_key(key) else None

    def status(self, key: str, user: Any = None) -> JobStatus | None:
        """Return what is known of a job, or :obj:`None` if the user has none of that key."""
        record = self.find(key, user)
        return None if record is None else JobStatus.of(record)

    def list(self, user: Any = None) -> list[JobStatus]:
        """Return the jobs whose output is kept, the latest first: of a user, or of everybody."""
        return self._jobs.find(None if user is None else job_name("-", user).user)

    def cancel(self, key: str, user: Any = None, reason: str = "") -> bool:
        """Cancel a job. See :meth:`.Jobs.cancel`."""
        return is_key(key) and self._jobs.cancel(job_name(key, user), reason)

    def writer(
        self, key: str, *, user: Any = None, resume: bool = True, **options: Unpack[JobOptions]
    ) -> JobWriter:
        """Return a context manager that writes a job's output. See :class:`JobWriter`."""
        return JobWriter(self._jobs, job_name(key, user), self._encode, options, resume=resume)
