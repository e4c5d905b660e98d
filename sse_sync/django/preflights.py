"""What a browser asks before it lets a page of another origin read a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from ..cors import preflight_headers
from .app import configured
from .response import wsgi_environ

__all__ = ["is_preflight", "preflight"]


def is_preflight(request: HttpRequest) -> bool:
    """
    Return whether a browser asks for permission (Fetch standard, 4.9).

    It does so without cookies, so no user is logged in.
    """
    wanted = "Access-Control-Request-Method" in request.headers and "Origin" in request.headers
    return request.method == "OPTIONS" and wanted


def preflight(request: HttpRequest, options: Mapping[str, Any]) -> HttpResponse:
    """Answer a preflight for a stream with these options."""
    headers = preflight_headers(wsgi_environ(request), configured(), options)
    response = HttpResponse(status=204, headers=dict(headers))
    del response["Content-Type"]
    return response
