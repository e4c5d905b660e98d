"""Event streams for Flask."""

from __future__ import annotations

try:
    import flask as _flask  # noqa: F401
except ModuleNotFoundError as exc:
    if exc.name != "flask":
        raise
    raise ModuleNotFoundError(
        'Flask is not installed: pip install "sse-sync[flask]"', name="flask"
    ) from None

from .extension import SSE
from .response import EventSourceResponse
from .views import event_stream, is_event_source, last_event_id

__all__ = ["SSE", "EventSourceResponse", "event_stream", "is_event_source", "last_event_id"]
