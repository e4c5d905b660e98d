"""
Which other origins may read a stream: the CORS protocol of the Fetch standard, section 3.2.

An ``EventSource`` sends no preflight, not even with a last event ID. Clients that use ``fetch()``
and set headers do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .settings import Options

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["READING", "Trusts", "cors_headers", "forgery", "preflight_headers", "trust_nobody"]

READING = ("GET", "HEAD")
"""Methods of an event source; whatever else starts a stream may also change something."""

# Headers that clients other than an EventSource set, and that need a permission.
ALLOWED_HEADERS = "Authorization, Cache-Control, Content-Type, Last-Event-ID"
_SENDING = ("POST", "PUT", "PATCH", "DELETE")

Trusts = Callable[[str], bool]
"""Returns whether a framework lets pages of an origin send something with cookies."""

# Seconds for which a browser may remember a permission; Chromium accepts at most two hours.
MAX_AGE = 600


def cors_headers(environ: WSGIEnvironment, options: Options) -> list[tuple[str, str]]:
    """
    Return the headers that let the request's origin read the response.

    An origin that is not listed gets no permission. Without a list, no header is sent at all, so
    that the application can send its own.
    """
    origins = options.cors_origins
    if not origins:
        return []
    if "*" in origins:
        return [("Access-Control-Allow-Origin", "*")]
    # For caches, even if the origin is refused.
    headers = [("Vary", "Origin")]
    origin = environ.get("HTTP_ORIGIN")
    if origin in origins:
        headers.append(("Access-Control-Allow-Origin", origin))
        if options.cors_credentials:
            headers.append(("Access-Control-Allow-Credentials", "true"))
    return headers


def trust_nobody(origin: str) -> bool:
    """Return that a framework has no list of its own with this origin."""
    return False


def forgery(environ: WSGIEnvironment, options: Options, trusts: Trusts = trust_nobody) -> str:
    """
    Return what is wrong with a request in which a page of an origin that is not listed sends
    something with its visitor's cookies; an empty text if nothing is.

    A framework's own protection may have been turned off for API clients, and a browser asks for no
    permission before a form's POST.

    Args:
        environ: The request's WSGI environ.
        options: The stream's options.
        trusts: Whether the framework has an origin in a list of its own.
    """
    if environ.get("REQUEST_METHOD", "GET") in READING or not environ.get("HTTP_COOKIE"):
        return ""
    origin = environ.get("HTTP_ORIGIN")
    if origin is None or environ.get("HTTP_SEC_FETCH_SITE") == "same-origin":
        return ""
    # Neither scheme nor port is compared: behind a proxy the server may not know them. A page
    # cannot set Host, and needs a permission for X-Forwarded-Host. HTTP/1.0 has no Host (PEP 3333).
    host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
    hosts = [host, *environ.get("HTTP_X_FORWARDED_HOST", "").split(",")]
    own = _host_of(origin)
    if own and own in [_host_of(f"//{each}") for each in hosts]:
        return ""
    if origin in options.cors_origins or trusts(origin):
        return ""
    return (
        f"The origin {origin!r} is neither that of this request's host, {host!r}, nor in"
        " CORS_ORIGINS. A proxy must pass the Host header on."
    )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url.strip()).hostname or ""
    except ValueError:
        return ""


def preflight_headers(
    environ: WSGIEnvironment,
    options: Options,
    arguments: Mapping[str, Any],
    methods: Collection[str] | None = None,
) -> list[tuple[str, str]]:
    """
    Return the headers of the answer to a preflight, which has status 204.

    Args:
        environ: The request's WSGI environ.
        options: The configured options.
        arguments: Those of the stream; its origins may differ from the configured ones.
        methods: The route's methods, if they are known; by default, what is asked for.
    """
    changes = {name: arguments[name] for name in arguments if name.startswith("cors_")}
    asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
    if methods is None:
        methods = {*READING, asked or ""}
    allowed = ", ".join(name for name in (*READING, *_SENDING) if name in methods)
    headers = [
        ("Allow", f"{allowed}, OPTIONS"),
        *cors_headers(environ, options.replace(changes)),
    ]
    if any(name == "Access-Control-Allow-Origin" for name, _ in headers):
        headers += [
            ("Access-Control-Allow-Methods", allowed),
            ("Access-Control-Allow-Headers", ALLOWED_HEADERS),
            ("Access-Control-Max-Age", str(MAX_AGE)),
        ]
    return headers
