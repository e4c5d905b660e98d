"""
What Flask, Django and any other WSGI framework need: from a request to an answer.

A front calls :func:`answer` and translates the result into its own response.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .channels.app import AppHub
from .channels.subscription import Subscription
from .closing import END_ID, spread
from .cors import READING, Trusts, cors_headers, forgery, trust_nobody
from .event import OWN_TYPES, ServerSentEvent, encode, warn_of_type
from .exceptions import ConfigurationError
from .feed import Encode, FeedSource
from .request import is_event_source, last_event_id
from .server import find_server
from .settings import Options, StreamOptions
from .streams.admission import Refusal, admission
from .streams.dialect import ErrorEvents
from .streams.handoff.takeover import OFFER
from .streams.hooks import Hooks
from .streams.registry import registry
from .streams.source import Source, discard, iterate
from .streams.stream import EventStream

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from typing_extensions import Unpack

    from .channels.user_stream import UserStream

__all__ = ["Answer", "answer", "application", "is_event_source", "last_event_id", "refusal"]

logger = logging.getLogger("sse_sync")

# In the environ: for which options, and as what, a request was found to be in order.
_JUDGED = "sse_sync.judged"


@dataclass(frozen=True)
class Answer:
    """A response that no framework has touched."""

    status: int
    """HTTP status code."""
    headers: list[tuple[str, str]]
    """Response headers."""
    stream: EventStream | None = None
    """Body of a 200; other answers have :attr:`text`."""
    text: str = ""
    """Body of an error."""


def answer(
    environ: WSGIEnvironment,
    source: Source | FeedSource,
    options: Options,
    *,
    encode: Encode = encode,
    hooks: Hooks | None = None,
    headers: Iterable[tuple[str, str]] = (),
    app_hub: AppHub | None = None,
    user: Any = None,
    plain: bool | None = None,
    error: ErrorEvents | None = None,
    trusts: Trusts = trust_nobody,
) -> Answer:
    """
    Answer a request with an event stream, or say why not.

    * 200 with a stream, also for an event source that has to come back later and is told so in it;
    * 204 for an event source whose stream had finished, which makes it stop;
    * 403 for a page of another origin that sends something with its visitor's cookies, and is
      neither in ``CORS_ORIGINS`` nor trusted otherwise;
    * 429 for a plain stream, if its user or address has as many streams as it may;
    * 503 for clients that ask for no event stream, and for a plain stream, if the process cannot
      serve them now;
    * 505 under gunicorn's HTTP/2, where one stream would block all others of its connection.

    Args:
        environ: The request's WSGI environ.
        source: What the stream draws from.
        options: How the stream behaves.
        encode: Makes bytes of an item of the source.
        hooks: What is called around the stream.
        headers: The view's own headers; those of the stream take precedence.
        app_hub: The hub that counts the stream and can end it.
        user: Whose stream it is; a subscription says so itself.
        plain: Whether the client is no event source; by default, its method tells.
        error: The last events of a plain stream whose client lacks something.
        trusts: See :func:`sse_sync.cors.forgery`.

    Raises:
        SourceError: If the source is not an iterable of events.
        ConfigurationError: If the user, ``plain`` or ``error`` is unusable, or the server has
            several processes, and the broker is ``memory``.
    """
    is_plain = _is_plain(environ, plain, error)
    is_passing = isinstance(source, Subscription) and (hooks is None or hooks.on_close is None)
    passing = is_passing and OFFER in environ
    result = _refused(environ, options, is_plain, trusts, passing=passing)
    if result is None:
        user_stream = _user_stream(environ, source, options, app_hub, user)
        if is_plain and user_stream is not None and not user_stream.take_places():
            result = _unavailable(429, "Too many event streams of this user or address.\n", options)
    if result is None:
        if not is_plain and not isinstance(source, FeedSource):
            encode = _minding_types(encode)  # Events of channels were looked at when published.
        stream = EventStream(
            *(source, environ),
            options=options,
            encode=encode,
            hooks=hooks,
            user_stream=user_stream,
            plain=is_plain,
            error=error,
        )
        result = Answer(200, _stream_headers(environ), stream)
    else:
        _discard(source)
    return _completed(result, environ, options, headers)


def refusal(
    environ: WSGIEnvironment,
    options: Options,
    plain: bool | None,
    error: ErrorEvents | None,
    headers: Iterable[tuple[str, str]] = (),
    trusts: Trusts = trust_nobody,
) -> Answer | None:
    """
    Return the answer to a request that can have no stream whatever its view returns, so that the
    view need not run; :obj:`None` if it can. See :func:`answer`.

    Raises:
        ConfigurationError: If ``plain`` or ``error`` is unusable.
    """
    result = _refused(environ, options, _is_plain(environ, plain, error), trusts)
    return None if result is None else _completed(result, environ, options, headers)


def application(
    view: Callable[[WSGIEnvironment], Source], **changes: Unpack[StreamOptions]
) -> Callable[[WSGIEnvironment, StartResponse], Any]:
    """
    Return a WSGI application whose every response is an event stream.

    For frameworks without a front of their own, and for a stream without any framework.

    Args:
        view: Takes the environ and returns a source of events.
        changes: Options that differ from their defaults, by lower-case name.

    Raises:
        ConfigurationError: If an option is unknown or unusable.
    """
    options = Options().replace(changes)

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        result = answer(environ, view(environ), options)
        start_response(f"{result.status} {_PHRASES[result.status]}", result.headers)
        if result.stream is None:
            return [result.text.encode()]
        return [] if environ["REQUEST_METHOD"] == "HEAD" else result.stream

    return serve


_PHRASES = {
    200: "OK",
    204: "No Content",
    403: "Forbidden",
    429: "Too Many Requests",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


def _is_plain(environ: WSGIEnvironment, plain: bool | None, error: ErrorEvents | None) -> bool:
    if plain is not None and not isinstance(plain, bool):
        raise ConfigurationError("plain", f"must be True, False or None, not {plain!r}")
    if error is not None and not callable(error):
        raise ConfigurationError("error", f"must be a function or None, not {error!r}")
    # An EventSource sends GET (WHATWG HTML, 9.2.2).
    return environ.get("REQUEST_METHOD", "GET") not in READING if plain is None else plain


def _refused(
    environ: WSGIEnvironment,
    options: Options,
    is_plain: bool,
    trusts: Trusts,
    *,
    passing: bool = False,
) -> Answer | None:
    question = options, is_plain
    if environ.get(_JUDGED) != question:
        result = _judged(environ, options, is_plain, trusts)
        if result is not None:
            return result
        environ[_JUDGED] = question
    if not is_plain and is_event_source(environ):
        return None  # It is told in a stream.
    gate = admission()
    gate.prepare(environ, registry())
    why = gate.refusal(registry(), options.max_streams, passing=passing)
    if why is Refusal.STOPPING:
        return _unavailable(503, "This server is stopping.\n", options, options.retry_stopping)
    return None if why is None else _unavailable(503, "Too many event streams.\n", options)


def _judged(
    environ: WSGIEnvironment, options: Options, is_plain: bool, trusts: Trusts
) -> Answer | None:
    # What the request alone decides, so that it holds after its view, too.
    problem = forgery(environ, options, trusts)
    if problem:
        return _error(403, f"{problem}\n")
    if not is_plain and last_event_id(environ) == END_ID:
        return Answer(204, [("Cache-Control", "no-cache, no-transform")])
    if "gunicorn.http2.send_trailers" in environ:
        logger.error(
            "event stream refused: gunicorn serves the requests of an HTTP/2 connection one after"
            " another, so a stream would block all others. Let the proxy speak HTTP/2 to clients"
            " and HTTP/1.1 to gunicorn"
        )
        return _error(505, "Event streams are not served over HTTP/2 by this server.\n")
    return None


def _completed(
    result: Answer, environ: WSGIEnvironment, options: Options, headers: Iterable[tuple[str, str]]
) -> Answer:
    if result.status in (429, 503):
        registry().refused()
    result.headers.extend(cors_headers(environ, options))
    given = list(headers)
    return replace(result, headers=_merged(given, result.headers)) if given else result


def _minding_types(encode: Encode) -> Encode:
    def checked(item: object) -> bytes:
        if isinstance(item, ServerSentEvent) and item.event in OWN_TYPES:
            warn_of_type(item.event)
        return encode(item)

    return checked


def _user_stream(
    environ: WSGIEnvironment,
    source: Source | FeedSource,
    options: Options,
    app_hub: AppHub | None,
    user: Any,
) -> UserStream | None:
    if isinstance(source, Subscription):
        return source.user_stream  # Expected since before the client's permission was checked.
    return None if app_hub is None else app_hub.expect(environ, options, user=user)


def _discard(source: Source | FeedSource) -> None:
    # Nothing of the generator has run, and nothing will.
    if not isinstance(source, FeedSource):
        discard(iterate(source))


def _merged(given: list[tuple[str, str]], ours: list[tuple[str, str]]) -> list[tuple[str, str]]:
    # What the view gives must not break the stream. A name may come twice, as Set-Cookie does.
    taken = {name.lower() for name, _ in ours} | {"vary"}
    merged = [header for header in ours if header[0].lower() != "vary"]
    merged += [header for header in given if header[0].lower() not in taken]
    # Caches have to distinguish by what the view names, and by what we do.
    vary = _distinct(value for name, value in [*given, *ours] if name.lower() == "vary")
    return [*merged, ("Vary", vary)] if vary else merged


def _distinct(values: Iterable[str]) -> str:
    # RFC 9110, 12.5.5: a list of names, in which one asterisk says all.
    names = {name.lower(): name for name in map(str.strip, ",".join(values).split(",")) if name}
    return "*" if "*" in names else ", ".join(names.values())


def _unavailable(status: int, text: str, options: Options, after: int | None = None) -> Answer:
    seconds = max(1, spread(options.retry_full if after is None else after) // 1000)
    return _error(status, text, ("Retry-After", str(seconds)))


def _error(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    content = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
    return Answer(status, [*content, *headers], text=text)


def _stream_headers(environ: WSGIEnvironment) -> list[tuple[str, str]]:
    headers = [
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("Cache-Control", "no-cache, no-transform"),
        ("X-Accel-Buffering", "no"),
    ]
    server = find_server(environ)
    if server is not None and server.passes_connection:
        # Elsewhere the server sends its own, or takes the header for an error (PEP 3333).
        persistent = environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
        headers.append(("Connection", "keep-alive" if persistent else "close"))
    return headers
