"""
Which other origins may read a stream: the CORS protocol of the Fetch standard, section 3.2.

An ``EventSource`` sends no preflight, not even with a last event ID. Clients that use ``fetch()``
and set headers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .settings import Options

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["cors_headers", "preflight_headers"]

# Headers that clients other than an EventSource set, and that need a permission.
ALLOWED_HEADERS = "Authorization, Cache-Control, Last-Event-ID"
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


def preflight_headers(
    environ: WSGIEnvironment, options: Options, arguments: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """
    Return the headers of the answer to a preflight, which has status 204.

    The arguments are those of the stream; its origins may differ from the configured ones.
    """
    changes = {name: arguments[name] for name in arguments if name.startswith("cors_")}
    headers = [("Allow", "GET, HEAD, OPTIONS"), *cors_headers(environ, options.replace(changes))]
    if any(name == "Access-Control-Allow-Origin" for name, _ in headers):
        headers += [
            ("Access-Control-Allow-Methods", "GET, HEAD"),
            ("Access-Control-Allow-Headers", ALLOWED_HEADERS),
            ("Access-Control-Max-Age", str(MAX_AGE)),
        ]
    return headers
