"""Channels as an iterator of events, for scripts and workers."""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import runtime
from ..closing import CloseReason
from ..event import ServerSentEvent, encode
from ..parser import EventStreamParser
from .hub import Hub
from .resume import POSITION
from .selection import Selection, SelectOptions
from .subscription import Filter, Subscription

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["listen"]


def listen(
    hub: Hub,
    *channels: str,
    last_event_id: str | None = None,
    filter: Filter | None = None,
    tell_degraded: bool = False,
    **options: Unpack[SelectOptions],
) -> Iterator[ServerSentEvent]:
    """
    Iterate over the events of some channels as they arrive, for scripts and workers. It ends only
    if ``until`` says when.

    Like a stream's client, the caller also gets ``stream-open`` and ``stream-reset`` events.

    Args:
        hub: The hub of the channels.
        channels: Names of channels.
        last_event_id: The id of the last event received, to resume after it.
        filter: Takes an event's type, key and meta; returns whether it is wanted.
        tell_degraded: Whether to include ``stream-degraded`` events.
        options: See :class:`.SelectOptions`.

    Raises:
        ConfigurationError: If a channel's name or an option is unusable.
        BrokerUnavailable: If the broker cannot be reached at the start.
    """
    wanted = Subscription(
        hub,
        channels,
        last_event_id=last_event_id,
        filter=filter,
        selection=Selection.of(**options),
        tell_degraded=tell_degraded,
    )
    return _listen(wanted)


def _listen(wanted: Subscription) -> Iterator[ServerSentEvent]:
    signal = runtime.current().signal()
    parser = EventStreamParser()
    while True:
        feed = wanted.open(signal, encode, contextvars.copy_context())
        try:
            feed.start()
            while (chunk := feed.take()) is not None or not feed.done:
                if chunk is None:
                    feed.wait()
                    continue
                for event in parser.feed(chunk):
                    if event.id is not None:
                        wanted = dataclasses.replace(wanted, last_event_id=event.id)
                    if event.event != POSITION:
                        yield event
            if feed.error is not None:
                raise feed.error
            if feed.reason is CloseReason.FINISHED:
                return
            # The caller was slower than the events, and resumes as a client does.
        finally:
            feed.stop()
