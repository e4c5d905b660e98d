"""
What a browser asks before it lets a page of another origin read a stream.

"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flask

from ..cors import preflight_headers
from .state import current_state

__all__ = ["preflight"]


def preflight(arguments: Mapping[str, Any]) -> flask.Response:
    """
    Answer a preflight.

    Args:
        arguments: Options of the stream that differ from the configuration, among others.

    """
    changes = {k: v for k, v in arguments.items() if k.startswith("cors_")}
    options = current_state().options.replace(changes)
    headers = [("Allow", "GET, HEAD, OPTIONS")]
    headers += preflight_headers(flask.request.environ, options)
    response = flask.Response(status=204, headers=headers)
    del response.headers["Content-Type"]
    return response
