"""
Server-Sent Events for Flask and Django on gunicorn, gevent workers first.

This package needs nothing but the standard library. :mod:`sse_sync.flask` and
:mod:`sse_sync.django` are the fronts.
"""

from __future__ import annotations

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
    SourceError,
    SSEError,
    UnsupportedServerError,
)
from .parser import EventStreamParser
from .streams.dialect import StreamFailure
from .streams.drain import on_worker_stop
from .streams.registry import Statistics, statistics
from .streams.stream import EventStream

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
    "listen",
    "on_worker_stop",
    "statistics",
    "user_channel",
]

__version__ = "0.1.0"
