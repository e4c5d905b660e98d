"""Jobs in Flask: work that outlives the request that started it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import flask

from ..brokers.jobs import JobRecord
from ..channels.app import ResponseOptions
from ..event import encode
from ..jobs.app import AppJobs
from ..jobs.job import Job
from .response import EventSourceResponse
from .state import current_state

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["FlaskJob", "app_jobs", "respond"]


class FlaskJob(Job):
    """A job, and the response that shows it."""

    def response(
        self, *, location: str | None = None, **options: Unpack[ResponseOptions]
    ) -> flask.Response:
        """
        Answer the current request with the job's output, from its beginning.

        Args:
            location: URL at which the job can be attached to, for the ``Location`` header.
            options: Keywords of :class:`~sse_sync.flask.EventSourceResponse`.
        """
        response = respond(self.record, self.with_user(options))
        if location is not None:
            response.headers["Location"] = location
        return response


def app_jobs() -> AppJobs:
    """Return the jobs of the current application."""
    dumps = flask.current_app.json.dumps
    return AppJobs(current_state().app_hub, partial(encode, dumps=dumps))


def respond(record: JobRecord | None, options: ResponseOptions) -> flask.Response:
    """
    Answer the current request with a job's output; 204 if there is nothing for it.

    Args:
        record: The job, or :obj:`None`.
        options: Keywords of :class:`~sse_sync.flask.EventSourceResponse`.
    """
    source: Any = app_jobs().view(flask.request.environ, record, options)
    if source is not None:
        return EventSourceResponse(source, **options)
    response = flask.Response(status=204, headers={"Cache-Control": "no-cache, no-transform"})
    del response.headers["Content-Type"]
    return response
