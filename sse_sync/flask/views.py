"""The decorator for views."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

import flask

from ..exceptions import SourceError
from ..request import is_event_source as asks_for_events
from ..request import reconnects_by_itself
from ..streams.record import path_of
from ..streams.source import is_source
from ..views import Default, Value, call, check_view, last_event_id_as, report_page
from .response import EventSourceResponse, preflight

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..channels.app import ResponseOptions

__all__ = ["event_stream", "is_event_source", "last_event_id", "refuse_misplaced", "tell_of_page"]

# Attribute of functions: True of event streams, and of decorated ones; False of a view that one was
# made of.
MARK = "_sse_sync_is_stream"

logger = logging.getLogger("sse_sync")

View = TypeVar("View", bound=Callable[..., Any])


@overload
def event_stream(view: View) -> View: ...


@overload
def event_stream(**options: Unpack[ResponseOptions]) -> Callable[[View], View]: ...


def event_stream(view: Any = None, **options: Any) -> Any:
    """
    Turn a view that is a generator, asynchronous or not, or returns one, into an event stream.

    Anything else that the view returns, such as a redirect, is sent unchanged. The
    decorator works on functions, on methods of a :class:`~flask.views.MethodView`, and in the list
    :attr:`~flask.views.View.decorators`. Put routes above it::

        @app.get("/clock")
        @event_stream(heartbeat=10)
        def clock(): ...

    Args:
        view: The view, if the decorator is used without arguments.
        options: Keywords of :class:`EventSourceResponse`; ``user`` may be a function that is
            called in the request.

    Raises:
        SourceError: If the view is a class.
        ConfigurationError: If an option is unknown or unusable.
    """
    if view is None:
        return lambda view: event_stream(view, **options)
    check_view(view, options)
    user = options.pop("user", None)

    @functools.wraps(view)
    def streaming(*args: Any, **kwargs: Any) -> Any:
        if flask.request.method == "OPTIONS":
            return preflight(options)
        response = EventSourceResponse.for_finished_client(**options)
        if response is not None:
            return response
        result = call(view, *args, **kwargs)
        if is_source(result):
            whose = user() if callable(user) else user
            return EventSourceResponse(result, user=whose, **options)
        if isinstance(result, tuple) and result and is_source(result[0]):
            raise SourceError(
                result, "return the generator alone; for headers, return EventSourceResponse(...)"
            )
        return result

    # So that Flask calls the view for OPTIONS, too: its own answer would lack the CORS headers.
    answering: Any = streaming
    answering.required_methods = {"OPTIONS"}
    answering.provide_automatic_options = False
    _mark(answering, view)
    return streaming


# What is wrong with such a view.
MISPLACED = (
    "@event_stream is above its route, which has registered the function without it. Move"
    " @event_stream below @app.get(...) or @app.route(...)"
)


def refuse_misplaced(views: dict[str, Callable[..., Any]]) -> None:
    """
    Have those views raise an error that a route registered before they became event streams.

    Args:
        views: All views of an application, by endpoint.
    """
    streams = {id(inspect.unwrap(view)) for view in views.values() if getattr(view, MARK, False)}
    for endpoint, view in list(views.items()):
        function = inspect.unwrap(view)
        if getattr(view, MARK, None) is not False or id(function) in streams:
            continue
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            views[endpoint] = functools.partial(_misplaced, endpoint)
        else:
            # It may be a view of its own that another one calls.
            logger.warning("the view %r does not stream: %s", endpoint, MISPLACED)


def _mark(stream: Any, view: Any) -> None:
    setattr(stream, MARK, True)
    while view is not None:
        if not getattr(view, MARK, False):
            with suppress(AttributeError):  # Some callables, such as methods, have no attributes.
                setattr(view, MARK, False)
        view = getattr(view, "__wrapped__", None)


def _misplaced(endpoint: str, /, **arguments: Any) -> NoReturn:
    raise RuntimeError(f"the view {endpoint!r} would not stream: {MISPLACED}")


def tell_of_page(response: flask.Response) -> flask.Response:
    """Log that an EventSource gets a page, as after a redirect to log in. Changes nothing."""
    if response.mimetype == "text/html" and response.status_code == 200:
        request = flask.request
        if reconnects_by_itself(request.environ):
            report_page(path_of(request.environ.get("PATH_INFO", "")))
    return response


def is_event_source() -> bool:
    """
    Return whether the current request asks for an event stream, as every EventSource does.

    A handler for users who are not logged in should answer it 401 instead of redirecting it to a
    page, of which a browser only says that it is no event stream.
    """
    return asks_for_events(flask.request.environ)


@overload
def last_event_id() -> str | None: ...
@overload
def last_event_id(default: Default) -> str | Default: ...
@overload
def last_event_id(*, type: Callable[[str], Value]) -> Value | None: ...
@overload
def last_event_id(default: Default, *, type: Callable[[str], Value]) -> Value | Default: ...
def last_event_id(default: Any = None, *, type: Callable[[str], Any] | None = None) -> Any:
    """
    Return the last event ID of the current request. See :func:`sse_sync.views.last_event_id_as`.

    It is untrusted: any client can send anything. ``last_event_id(0, type=int)`` always returns a
    number.
    """
    return last_event_id_as(flask.request.environ, default, type)
