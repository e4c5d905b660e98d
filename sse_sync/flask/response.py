"""The response class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import flask
from flask import globals as flask_globals
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from ..channels.app import ResponseOptions, stream_options
from ..closing import CloseReason
from ..cors import preflight_headers
from ..event import encode
from ..feed import FeedSource
from ..settings import Options, StreamOptions
from ..streams.dialect import ErrorEvents
from ..streams.hooks import Hooks
from ..streams.source import Source
from ..streams.stream import EventStream
from ..views import report_late_answer
from ..wsgi import Answer, answer, refusal
from .state import current_setup, current_state, runner_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from typing_extensions import Unpack

__all__ = ["EventSourceResponse", "preflight"]


class EventSourceResponse(flask.Response):
    """
    An event stream as a Flask response.

    In the generator ``request``, ``session``, ``g`` and ``current_app`` are those of the view.
    Teardown functions run once, after both the stream and the generator have ended. A
    Flask-SQLAlchemy session is removed before the first byte, so that no connection
    stays checked out; a query in the generator opens a new one.

    If the request cannot have a stream, the response is the 204, 403, 429, 503 or 505 that
    :func:`sse_sync.wsgi.answer` describes, and the source never runs.

    Args:
        source: Generator or other iterable of text, :class:`~sse_sync.ServerSentEvent` or
            values that become JSON with ``app.json``; or a subscription.
        headers: Further response headers.
        on_close: Called once when the stream has ended, with the
            :class:`~sse_sync.CloseReason`.
        user: Whose stream it is: text, a number or a UUID. It lets you end the user's streams,
            have them checked again, and limit their number.
        plain: Whether the client is no EventSource: it gets the application's own events, and
            comments that no client takes for an event, but none of the library's events. By
            default, true for any method but GET and HEAD.
        error: Returns the last events of a plain stream whose client lacks something, in the
            client's own form; see :data:`sse_sync.streams.dialect.ErrorEvents`. Without it the
            connection is broken off.
        changes: Options that override the configuration: ``heartbeat``, ``retry``, ``lifetime``,
            ``write_timeout``, ``reconnect``, ``debug``, ``retry_failed``, ``retry_stopping``,
            ``retry_full``, ``cors_origins``, ``cors_credentials``, ``max_streams_per_user`` and
            ``max_streams_per_address``; :data:`sse_sync.settings.OPTIONS` describes them.

    Raises:
        SourceError: If the source is not an iterable of events.
        ConfigurationError: If an option is unknown or unusable.
        RuntimeError: If the application has no SSE extension.
    """

    event_stream: EventStream | None
    """The stream; :obj:`None` if the request cannot have one."""

    def __init__(
        self,
        source: Source | FeedSource,
        *,
        headers: Any = None,
        on_close: Callable[[CloseReason], object] | None = None,
        user: Any = None,
        plain: bool | None = None,
        error: ErrorEvents | None = None,
        **changes: Unpack[StreamOptions],
    ) -> None:
        setup = current_setup()
        state, app = setup.state(), flask.current_app
        setup.tell_ignored()
        self._teardown: Callable[[BaseException | None], object] | None = None
        result = answer(
            flask.request.environ,
            source,
            _options(changes),
            encode=partial(encode, dumps=app.json.dumps),
            hooks=Hooks(before=_release_session, on_close=on_close, after=self._tear_down),
            headers=_items(headers),
            app_hub=state.app_hub,
            user=user,
            plain=plain,
            error=error,
        )
        self._fill(result)

    def _fill(self, result: Answer) -> None:
        body: Any = result.text if result.stream is None else result.stream
        super().__init__(body, result.status, Headers(result.headers))
        if result.status == 204:
            del self.headers["Content-Type"]
        self.event_stream = result.stream
        if self.event_stream is not None:
            # Makes compressing middleware leave the stream alone. It is removed before sending.
            self.headers["Content-Encoding"] = "identity"

    @classmethod
    def for_finished_client(cls, **options: Unpack[ResponseOptions]) -> EventSourceResponse | None:
        """
        Return the answer to a request that cannot have a stream, else :obj:`None`: a 204 if the
        client reconnects after its stream has finished, or a 403, 503 or 505.

        For views that start work before they return their source. The options are the keywords of
        the class.
        """
        plain, error = options.get("plain"), options.get("error")
        headers = _items(options.get("headers"))
        wanted = _options(stream_options(options))
        result = refusal(flask.request.environ, wanted, plain, error, headers)
        if result is None:
            return None
        response = cls.__new__(cls)
        response._fill(result)
        return response

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """Return the headers as they are sent."""
        headers = super().get_wsgi_headers(environ)
        if headers.get("Content-Encoding") == "identity":
            del headers["Content-Encoding"]
        return headers

    def get_app_iter(self, environ: WSGIEnvironment) -> Iterable[bytes]:
        """Return the stream for the server to iterate, or nothing for HEAD."""
        if self.event_stream is None or environ["REQUEST_METHOD"] == "HEAD":
            return super().get_app_iter(environ)
        # Flask keeps a context until it has been popped as often as pushed. So the pop right
        # after this call tears nothing down; the one in _tear_down does.
        # Flask 3.2 merges the request context into the application context.
        proxy: Any = vars(flask_globals).get("request_ctx") or flask_globals.app_ctx
        request_context = proxy._get_current_object()
        # Without its adapter, push() does not match the URL a second time.
        adapter, request_context.url_adapter = request_context.url_adapter, None
        request_context.push()
        request_context.url_adapter = adapter
        run = runner_of(environ)
        self._teardown = partial(run, request_context.pop)
        return self.event_stream

    def _tear_down(self, error: BaseException | None) -> None:
        if isinstance(error, HTTPException):
            # Not get_response(), which applications override, and which may need the request.
            status = error.code if error.response is None else error.response.status_code
            report_late_answer(error, status or 500)
        if self._teardown is None:
            return  # HEAD, or a response that was replaced: the context was never held.
        try:
            self.close()  # Runs the call_on_close() functions; the stream is already closed.
        finally:
            self._teardown(error)


def preflight(options: Mapping[str, Any]) -> flask.Response:
    """Answer a browser that asks whether a page of another origin may read a stream."""
    rule = flask.request.url_rule
    headers = preflight_headers(
        *(flask.request.environ, current_state().options, options),
        methods=None if rule is None else rule.methods,
    )
    response = flask.Response(status=204, headers=headers)
    del response.headers["Content-Type"]
    return response


def _options(changes: Mapping[str, Any]) -> Options:
    app, options = flask.current_app, current_state().options
    if app.debug and "SSE_DEBUG" not in app.config:
        options = options.replace({"debug": True})
    return options.replace(changes)


def _items(headers: Any) -> Iterable[tuple[str, str]]:
    return Headers(headers).items() if headers else ()


def _release_session() -> None:
    # Does what Flask-SQLAlchemy's own teardown function does, but before streaming, not after.
    extension = flask.current_app.extensions.get("sqlalchemy")
    session = getattr(extension, "session", None)
    if session is not None:
        session.remove()
