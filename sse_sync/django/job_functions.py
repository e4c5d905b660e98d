"""
Jobs in Django: work that outlives the request that started it.

Not called ``jobs``, because importing a module of that name would hide the package's function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from ..brokers.jobs import JobRecord
from ..channels.app import ResponseOptions
from ..jobs.app import AppJobs
from ..jobs.job import Job
from ..jobs.options import JobOptions
from ..jobs.status import JobStatus
from ..jobs.writer import JobWriter
from ..streams.source import Source
from .app import app_hub
from .response import EventSourceResponse, encode_item, wsgi_environ

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["DjangoJob", "attach", "cancel", "job", "job_status", "jobs", "start"]


class DjangoJob(Job):
    """A job, and the response that shows it."""

    def response(
        self,
        request: HttpRequest,
        *,
        location: str | None = None,
        **options: Unpack[ResponseOptions],
    ) -> HttpResponseBase:
        """
        Answer a request with the job's output, from its beginning.

        Args:
            request: The request.
            location: URL at which the job can be attached to, for the ``Location`` header.
            options: Keywords of :class:`~sse_sync.django.EventSourceResponse`.
        """
        response = _respond(request, self.record, self.with_user(options))
        if location is not None:
            response["Location"] = location
        return response


def start(
    key: str, source: Source, *, user: Any = None, **options: Unpack[JobOptions]
) -> DjangoJob:
    """
    Run a generator once, beside any request, and keep its output for every viewer. See
    :meth:`.AppJobs.start`.
    """
    found = _app_jobs().start(key, source, user=user, **options)
    return DjangoJob(found.jobs, found.record, is_new=found.is_new)


def attach(request: HttpRequest, key: str, **options: Unpack[ResponseOptions]) -> HttpResponseBase:
    """
    Answer a request with a job's output: everything once, from its beginning or from the client's
    last event ID, then live, then its end; 204 if there is no such job.

    Args:
        request: The request.
        key: What the job is called.
        options: Keywords of :class:`~sse_sync.django.EventSourceResponse`. ``user`` also says whose
            job it is: another user's is as if it did not exist.
    """
    return _respond(request, _app_jobs().find(key, options.get("user")), options)


def cancel(key: str, *, user: Any = None, reason: str = "") -> bool:
    """End a job, wherever it runs. See :meth:`.Jobs.cancel`."""
    return _app_jobs().cancel(key, user, reason)


def job_status(key: str, *, user: Any = None) -> JobStatus | None:
    """Return what is known of a job, or :obj:`None` if the user has none of that key."""
    return _app_jobs().status(key, user)


def jobs(*, user: Any = None) -> list[JobStatus]:
    """Return the jobs whose output is kept, the latest first: of a user, or of everybody."""
    return _app_jobs().list(user)


def job(
    key: str, *, user: Any = None, resume: bool = True, **options: Unpack[JobOptions]
) -> JobWriter:
    """Write a job's output from a task, in a ``with`` block. See :class:`.JobWriter`."""
    return _app_jobs().writer(key, user=user, resume=resume, **options)


def _app_jobs() -> AppJobs:
    return AppJobs(app_hub(), encode_item)


def _respond(
    request: HttpRequest, record: JobRecord | None, options: ResponseOptions
) -> HttpResponseBase:
    source: Any = _app_jobs().view(wsgi_environ(request), record, options)
    if source is not None:
        return EventSourceResponse(request, source, **options)
    response = HttpResponse(status=204, headers={"Cache-Control": "no-cache, no-transform"})
    del response["Content-Type"]
    return response
