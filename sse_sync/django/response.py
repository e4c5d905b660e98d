"""The response class."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.utils.functional import Promise
from django.utils.http import is_same_domain

from ..channels.app import ResponseOptions, stream_options
from ..closing import CloseReason
from ..event import ServerSentEvent, encode
from ..exceptions import UnsupportedServerError
from ..feed import FeedSource
from ..settings import StreamOptions
from ..streams.dialect import ErrorEvents
from ..streams.hooks import Hooks
from ..streams.source import Source
from ..streams.stream import EventStream
from ..views import report_late_answer
from ..wsgi import Answer, answer, refusal
from .app import app_hub, close_connections, configured, dumps, own_queries

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from typing_extensions import Unpack

__all__ = ["EventSourceResponse", "encode_item", "wsgi_environ"]


class EventSourceResponse(StreamingHttpResponse):
    """
    An event stream as a Django response.

    The thread's database connections are closed before the first byte, and the generator's when
    it ends, so that no stream holds one that it does not use. Sessions are saved before the
    stream begins, as for every response.

    If the request cannot have a stream, the response is the 204, 403, 429, 503 or 505 that
    :func:`sse_sync.wsgi.answer` describes, and the source never runs.

    Args:
        request: The request to answer.
        source: Generator or other iterable of text, :class:`~sse_sync.ServerSentEvent` or
            values that become JSON with
            :class:`~django.core.serializers.json.DjangoJSONEncoder`; or a subscription.
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
        changes: Options that override ``SSE_SYNC``: ``heartbeat``, ``retry``, ``lifetime``,
            ``write_timeout``, ``reconnect``, ``debug``, ``retry_failed``, ``retry_stopping``,
            ``retry_full``, ``cors_origins``, ``cors_credentials``, ``max_streams_per_user`` and
            ``max_streams_per_address``; :data:`sse_sync.settings.OPTIONS` describes them.

    Raises:
        SourceError: If the source is not an iterable of events.
        ConfigurationError: If an option is unknown or unusable.
        UnsupportedServerError: If the request came through ASGI.
    """

    event_stream: EventStream | None
    """The stream; :obj:`None` if the request cannot have one."""

    def __init__(
        self,
        request: HttpRequest,
        source: Source | FeedSource,
        *,
        headers: Mapping[str, str] | None = None,
        on_close: Callable[[CloseReason], object] | None = None,
        user: Any = None,
        plain: bool | None = None,
        error: ErrorEvents | None = None,
        **changes: Unpack[StreamOptions],
    ) -> None:
        with own_queries() as close:
            result = answer(
                wsgi_environ(request),
                source,
                configured().replace(changes),
                encode=encode_item,
                hooks=Hooks(
                    before=close_connections,
                    after_source=close if isinstance(source, AsyncIterable) else close_connections,
                    on_close=on_close,
                    after=_report_late_answer,
                ),
                headers=(headers or {}).items(),
                app_hub=app_hub(),
                user=user,
                plain=plain,
                error=error,
                trusts=_trusts,
            )
        self._fill(request, result)

    def _fill(self, request: HttpRequest, result: Answer) -> None:
        self.event_stream = result.stream
        super().__init__(_body(request, result.stream, result.text), status=result.status)
        for name, value in result.headers:
            self[name] = value
        if result.status == 204:
            del self["Content-Type"]
        if result.stream is not None:
            # Makes middleware such as GZip leave the stream alone. It is removed before sending.
            self["Content-Encoding"] = "identity"

    @classmethod
    def for_finished_client(
        cls, request: HttpRequest, **options: Unpack[ResponseOptions]
    ) -> EventSourceResponse | None:
        """
        Return the answer to a request that cannot have a stream, else :obj:`None`: a 204 if the
        client reconnects after its stream has finished, or a 403, 503 or 505.

        For views that start work before they return their source. The options are the keywords of
        the class.
        """
        changes = configured().replace(stream_options(options))
        plain, error = options.get("plain"), options.get("error")
        headers = (options.get("headers") or {}).items()
        result = refusal(wsgi_environ(request), changes, plain, error, headers, _trusts)
        if result is None:
            return None
        response = cls.__new__(cls)
        response._fill(request, result)
        return response

    def items(self) -> Iterable[tuple[str, str]]:
        """Return the headers as they are sent."""
        return [
            (name, value)
            for name, value in super().items()
            if (name.lower(), value) != ("content-encoding", "identity")
        ]


def wsgi_environ(request: HttpRequest) -> WSGIEnvironment:
    """
    Return the WSGI environ of a request, even if Django REST framework has wrapped it.

    Raises:
        UnsupportedServerError: If the request came through ASGI.
    """
    environ = getattr(request, "environ", None)
    if not isinstance(environ, dict):
        if not isinstance(request, HttpRequest):
            raise TypeError(f"pass the request first, not {type(request).__name__}")
        raise UnsupportedServerError(
            "ASGI", "run the project's WSGI application, for example with gunicorn -k gevent"
        )
    return environ


def _trusts(origin: str) -> bool:
    # As django.middleware.csrf does, whose middleware may be exempt for API clients.
    scheme, _, host = origin.partition("://")
    for trusted in settings.CSRF_TRUSTED_ORIGINS:
        its_scheme, _, its_host = trusted.partition("://")
        if scheme == its_scheme and is_same_domain(host, its_host.lstrip("*")):
            return True
    return False


def encode_item(item: object) -> bytes:
    """Return what a generator yielded as bytes of an event stream."""
    # Lazy translations are meant as text, but are no str.
    if isinstance(item, Promise):
        item = str(item)
    elif isinstance(item, ServerSentEvent) and isinstance(item.data, Promise):
        item = ServerSentEvent(str(item.data), item.event, item.id, item.retry, item.comment)
    return encode(item, dumps)


# What Django makes another answer of (django.core.handlers.exception).
_ANSWERS = {Http404: 404, PermissionDenied: 403, BadRequest: 400, SuspiciousOperation: 400}


def _report_late_answer(error: BaseException | None) -> None:
    for kind, status in _ANSWERS.items():
        if isinstance(error, kind):
            report_late_answer(error, status)


class _Unread:
    # Django's WSGI handler iterates the body of a HEAD response like any other.

    def __init__(self, stream: EventStream) -> None:
        self.close = stream.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(())


def _body(request: HttpRequest, stream: EventStream | None, text: str) -> Iterable[bytes]:
    if stream is None:
        return [text.encode()] if text and request.method != "HEAD" else []
    return _Unread(stream) if request.method == "HEAD" else stream
