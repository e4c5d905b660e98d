"""What a request says of the stream that its client left."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from .fields import what_is_wrong_with_id

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["is_event_source", "last_event_id", "reconnects_by_itself"]


def last_event_id(environ: WSGIEnvironment) -> str | None:
    """
    Return the last event ID that a client sent, or :obj:`None` if it sent no usable one.

    It comes from the header ``Last-Event-ID``, or from the query parameter ``lastEventId``
    of clients that cannot set headers. It is untrusted: any client can send anything.
    What no event could have carried is ignored.

    Args:
        environ: The request's WSGI environ.
    """
    header = environ.get("HTTP_LAST_EVENT_ID")
    if header is None:
        return _usable(_from_query(environ.get("QUERY_STRING", "")))
    try:
        # PEP 3333 passes bytes as latin-1; the standard sends UTF-8.
        return _usable(header.encode("latin-1").decode())
    except UnicodeError:
        return None


def is_event_source(environ: WSGIEnvironment) -> bool:
    """
    Return whether a request asks for an event stream, as every EventSource does.

    Args:
        environ: The request's WSGI environ.
    """
    # WHATWG HTML, 9.2.3: "Accept" is "text/event-stream".
    return "text/event-stream" in environ.get("HTTP_ACCEPT", "")


def reconnects_by_itself(environ: WSGIEnvironment) -> bool:
    """
    Return whether a request comes from an EventSource, which comes back after any end but a final
    one. Clients that read with ``fetch()`` ask for event streams, too, but take a clean end for
    the end of all events.

    Args:
        environ: The request's WSGI environ.
    """
    # WHATWG HTML, 9.2.2: the cache mode is "no-store". For that a browser adds this header (Fetch,
    # 4.5), which it does not for fetch() by default.
    caching = environ.get("HTTP_CACHE_CONTROL", "")
    return environ.get("HTTP_ACCEPT") == "text/event-stream" and "no-cache" in caching


def _from_query(query: str) -> str | None:
    if "lastEventId=" not in query:
        return None
    try:
        fields = parse_qs(query, max_num_fields=100, errors="strict")
    except ValueError:
        return None
    return fields.get("lastEventId", [None])[-1]


def _usable(value: str | None) -> str | None:
    return None if not value or what_is_wrong_with_id(value) else value
