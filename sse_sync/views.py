"""What the decorator of each front does with a view, whichever the framework."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from .channels.app import stream_options
from .exceptions import SourceError
from .request import last_event_id
from .settings import Options

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["Default", "Value", "call", "check_view", "last_event_id_as", "report_late_answer"]
__all__ += ["report_page"]

Default = TypeVar("Default")
Value = TypeVar("Value")

logger = logging.getLogger("sse_sync")


def check_view(view: object, options: Mapping[str, Any]) -> None:
    """
    Refuse what the fronts' decorator cannot make an event stream of.

    Args:
        view: The view.
        options: See :class:`~sse_sync.channels.app.ResponseOptions`.

    Raises:
        SourceError: If the view is a class.
        ConfigurationError: If an option is unknown or unusable.
    """
    Options().replace(stream_options(options))
    if isinstance(view, type):
        raise SourceError(view, "decorate the class's method instead, such as get()")


def call(view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """
    Return what a view returns.

    An ``async def`` view runs on the event loop of the async sources, because the clients and
    connections that it opens belong to the loop, and are used by the source that it returns.

    Args:
        view: The view.
        args: What to call it with.
        kwargs: What to call it with.
    """
    result = view(*args, **kwargs)
    if not inspect.iscoroutine(result):
        return result
    from .streams.async_source import run_coroutine  # Only now: it imports asyncio.

    return run_coroutine(result)


def last_event_id_as(
    environ: WSGIEnvironment, default: Any, type: Callable[[str], Any] | None
) -> Any:
    """
    Return the last event ID as a value of the application's.

    It is untrusted: any client can send anything. So an unusable one must not be an error, after
    which a browser would never come back; with ``0`` and ``int`` it is a number in any case.

    Args:
        environ: The request's WSGI environ.
        default: What to return if there is none, or ``type`` refuses it.
        type: Makes a value of the text; a :exc:`ValueError`, :exc:`TypeError` or
            :exc:`ArithmeticError` refuses it. The text itself by default.
    """
    found = last_event_id(environ)
    if found is None:
        return default
    if type is None:
        return found
    try:
        return type(found)
    except (ValueError, TypeError, ArithmeticError):
        return default


def report_late_answer(error: BaseException, status: int) -> None:
    """
    Log that a generator raised what a view may raise to answer something else.

    Args:
        error: What it raised.
        status: HTTP status code of that answer.
    """
    raised_in = error.__traceback__
    while raised_in is not None and _is_ours(raised_in.tb_frame):
        raised_in = raised_in.tb_next
    logger.error(
        "%s raised a %s, which cannot be the answer any more: headers are sent before a generator"
        " begins. Check in a view that returns the generator",
        "the generator" if raised_in is None else raised_in.tb_frame.f_code.co_name,
        status,
    )


@functools.lru_cache(maxsize=100)
def report_page(path: str) -> None:
    """
    Log once that an EventSource was answered with a page, after which it never comes back.

    Args:
        path: The page's.
    """
    logger.warning(
        "an EventSource has got the page %s instead of an event stream, so it gives up. If its user"
        " is to log in there, answer it 401 or 403 instead of redirecting it: is_event_source()"
        " tells in a view whether to",
        path,
    )


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(f"{__package__}.")
