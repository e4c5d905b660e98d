"""Event streams for Django. Add ``"sse_sync.django"`` to ``INSTALLED_APPS``."""

from __future__ import annotations

try:
    import django as _django  # noqa: F401
except ModuleNotFoundError as exc:
    if exc.name != "django":
        raise
    raise ModuleNotFoundError(
        'Django is not installed: pip install "sse-sync[django]"', name="django"
    ) from None

from typing import TYPE_CHECKING, Any

from .channel_view import ChannelView, RequestedChannelView
from .links import stream_url
from .publishing import (
    disconnect,
    hub,
    position,
    present,
    publish,
    publish_every,
    publish_on_commit,
    publish_to_user,
    reauthorize,
    subscribe,
)
from .response import EventSourceResponse
from .signing import check_token, sign_channels
from .views import event_stream, is_event_source, last_event_id

if TYPE_CHECKING:
    from .job_functions import attach, cancel, job, job_status, jobs, start

__all__ = [
    "ChannelView",
    "EventSourceResponse",
    "RequestedChannelView",
    "attach",
    "cancel",
    "check_token",
    "disconnect",
    "event_stream",
    "hub",
    "is_event_source",
    "job",
    "job_status",
    "jobs",
    "last_event_id",
    "position",
    "present",
    "publish",
    "publish_every",
    "publish_on_commit",
    "publish_to_user",
    "reauthorize",
    "sign_channels",
    "start",
    "stream_url",
    "subscribe",
]

_OF_JOBS = frozenset(("attach", "cancel", "job", "job_status", "jobs", "start"))


def __getattr__(name: str) -> Any:
    # A project without jobs loads nothing of them.
    if name not in _OF_JOBS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import job_functions

    return getattr(job_functions, name)
