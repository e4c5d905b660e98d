"""
Server-Sent Events for Flask and Django on gunicorn, gevent workers first.

This package needs nothing but the standard library. :mod:`sse_sync.flask` and
:mod:`sse_sync.django` are the fronts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .brokers.presence import Present
from .channels.app import connect
from .channels.hub import Hub, HubStatistics
from .channels.listening import listen
from .channels.mailbox import Overflow
from .channels.presence import user_channel
from .closing import END_ID, CloseReason
from .event import ServerSentEvent, comment
from .event_text import EventText
from .exceptions import (
    BrokerClosed,
    BrokerError,
    BrokerUnavailable,
    ConfigurationError,
    EventError,
    JobOver,
    JobRefused,
    SourceError,
    SSEError,
    UnsupportedServerError,
)
from .parser import EventStreamParser
from .streams.dialect import StreamFailure
from .streams.drain import on_worker_stop
from .streams.registry import Statistics, statistics
from .streams.stream import EventStream

if TYPE_CHECKING:
    from .jobs.status import JobStatus
    from .jobs.writer import job

__all__ = [
    "END_ID",
    "BrokerClosed",
    "BrokerError",
    "BrokerUnavailable",
    "CloseReason",
    "ConfigurationError",
    "EventError",
    "EventStream",
    "EventStreamParser",
    "EventText",
    "Hub",
    "HubStatistics",
    "JobOver",
    "JobRefused",
    "JobStatus",
    "Overflow",
    "Present",
    "SSEError",
    "ServerSentEvent",
    "SourceError",
    "Statistics",
    "StreamFailure",
    "UnsupportedServerError",
    "comment",
    "connect",
    "job",
    "listen",
    "on_worker_stop",
    "statistics",
    "user_channel",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Who streams a generator loads nothing of jobs.
    if name == "JobStatus":
        from .jobs.status import JobStatus

        return JobStatus
    if name == "job":
        from .jobs.writer import job

        return job
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
