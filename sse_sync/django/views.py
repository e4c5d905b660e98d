"""The decorator for views."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from django.http import HttpRequest

from ..request import is_event_source as asks_for_events
from ..streams.source import is_source
from ..views import Default, Value, call, check_view, last_event_id_as
from .app import own_queries
from .preflights import is_preflight, preflight
from .response import EventSourceResponse, wsgi_environ

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..channels.app import ResponseOptions

__all__ = ["event_stream", "is_event_source", "last_event_id"]

View = TypeVar("View", bound=Callable[..., Any])


@overload
def event_stream(view: View) -> View: ...


@overload
def event_stream(**options: Unpack[ResponseOptions]) -> Callable[[View], View]: ...


def event_stream(view: Any = None, **options: Any) -> Any:
    """
    Turn a view that is a generator, asynchronous or not, or returns one, into an event stream.

    Anything else that the view returns, such as a redirect, is sent unchanged. The
    decorator works on functions and on methods of a class-based view, above and below other
    decorators such as ``login_required`` and ``require_GET``::

        @login_required
        @event_stream(heartbeat=10)
        def clock(request): ...

    Args:
        view: The view, if the decorator is used without arguments.
        options: Keywords of :class:`EventSourceResponse`; ``user`` may be a function of the
            request.

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
        request = _request_in(args)
        if is_preflight(request):
            return preflight(request, options)
        response = EventSourceResponse.for_finished_client(request, **options)
        if response is not None:
            return response
        with own_queries() as close:
            try:
                result = call(view, *args, **kwargs)
            finally:
                close()
        if is_source(result):
            whose = user(request) if callable(user) else user
            return EventSourceResponse(request, result, user=whose, **options)
        return result

    return streaming


@overload
def last_event_id(request: HttpRequest) -> str | None: ...
@overload
def last_event_id(request: HttpRequest, default: Default) -> str | Default: ...
@overload
def last_event_id(request: HttpRequest, *, type: Callable[[str], Value]) -> Value | None: ...
@overload
def last_event_id(
    request: HttpRequest, default: Default, *, type: Callable[[str], Value]
) -> Value | Default: ...
def last_event_id(
    request: HttpRequest, default: Any = None, *, type: Callable[[str], Any] | None = None
) -> Any:
    """
    Return the last event ID of a request. See :func:`sse_sync.views.last_event_id_as`.

    It is untrusted: any client can send anything. ``last_event_id(request, 0, type=int)``
    always returns a number.

    Raises:
        UnsupportedServerError: If the request came through ASGI.
    """
    return last_event_id_as(wsgi_environ(request), default, type)


def is_event_source(request: HttpRequest) -> bool:
    """
    Return whether a request asks for an event stream, as every EventSource does.

    Who is not logged in should then get a 401 or 403 instead of a redirect to a page, of which a
    browser only says that it is no event stream.
    """
    return asks_for_events(request.META)


def _request_in(args: tuple[Any, ...]) -> Any:
    # A function gets the request first, a method after self. Django REST framework's request
    # is no HttpRequest but passes its attributes on.
    for arg in args[:2]:
        if isinstance(arg, HttpRequest) or isinstance(getattr(arg, "_request", None), HttpRequest):
            return arg
    raise TypeError("an event stream view must take the request as its first argument")
