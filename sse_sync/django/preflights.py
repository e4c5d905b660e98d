"""
What a browser asks before it lets a page of another origin read a stream.

"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from ..cors import preflight_headers
from ..settings import stream_options
from .app import configured
from .response import wsgi_environ

__all__ = ["is_preflight", "preflight"]


def is_preflight(request: HttpRequest) -> bool:
    """
    Return whether a browser asks for permission (Fetch standard, 4.9). It does so without
    cookies, so nobody is logged in then.

    Args:
        request: The request.

    """
    wanted = "Access-Control-Request-Method" in request.headers and "Origin" in request.headers
    return request.method == "OPTIONS" and wanted


def preflight(request: HttpRequest, arguments: Mapping[str, Any]) -> HttpResponse:
    """
    Return the answer.

    Args:
        request: The request.
        arguments: Options of the stream that differ from the settings, among others.

    """
    response = HttpResponse(status=204, headers={"Allow": "GET, HEAD, OPTIONS"})
    del response["Content-Type"]
    changes = {k: v for k, v in stream_options(arguments).items() if k.startswith("cors_")}
    wanted = configured().replace(changes)
    for name, value in preflight_headers(wsgi_environ(request), wanted):
        response[name] = value
    return response
