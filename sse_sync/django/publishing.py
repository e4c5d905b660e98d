"""
Channels: publishing and subscribing.

"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest

from .. import wsgi
from ..access import is_allowed, load_hook
from ..brokers.base import check_channel
from ..hub import Hub
from ..mailbox import Overflow
from ..subscription import Filter, Subscription
from .response import EventSourceResponse, channels, configured, dumps, wsgi_environ

logger = logging.getLogger("sse_sync")

__all__ = ["hub", "may_read", "publish", "publish_on_commit", "subscribe"]


def hub() -> Hub:
    """
    Return the project's hub: for its statistics, or to :func:`~sse_sync.listen`.

    """
    return channels().hub()


def publish(
    channel: str,
    data: Any,
    *,
    event: str | None = None,
    key: str | None = None,
    meta: Mapping[str, Any] | None = None,
    token: str | None = None,
    retry_for: float = 0.0,
) -> str:
    """
    Publish an event to every subscriber of a channel, at once.

    An event about a row that is not committed yet may arrive before the row can be seen:
    use :func:`publish_on_commit` for it.

    Args:
        channel: Where to publish.
        data: Text, or a value that :class:`~django.core.serializers.json.DjangoJSONEncoder` can
            write.
        event: Event type.
        key: What the event is about, for filters and for :attr:`Overflow.LATEST`.
        meta: Anything that JSON can express, for filters; it is not sent.
        token: Names this publish, for callers that may repeat it, such as tasks: another one with
            the same token within ten minutes publishes nothing, and returns the id of the first.
        retry_for: Seconds, at most 60, for which to try again while the broker is unavailable;
            the event is stored once.

    Returns:
        The event's id.

    Raises:
        ConfigurationError: If the channel's name or an argument is unusable.
        EventError: If the data or the event type cannot be sent.
        BrokerUnavailable: If it is not certain that the event was stored.

    """
    return hub().publish(
        channel,
        data,
        event=event,
        key=key,
        meta=meta,
        token=token,
        retry_for=retry_for,
        dumps=dumps,
    )


def publish_on_commit(
    channel: str, data: Any, *, using: str | None = None, **arguments: Any
) -> None:
    """
    Publish an event when the current transaction has been committed, and not if it is rolled back.

    Outside a transaction it is published at once.

    Args:
        channel: Where to publish.
        data: Text, or a value to be sent as JSON; what it looks like at the commit is sent.
        using: Database whose transaction it is; the default one by default.
        arguments: Further arguments for :func:`publish`.

    Raises:
        ConfigurationError: If the channel's name is unusable.

    """
    check_channel(channel)
    transaction.on_commit(partial(publish, channel, data, **arguments), using=using)


def subscribe(
    request: HttpRequest,
    *names: str,
    filter: Filter | None = None,
    snapshot: Callable[[], Iterable[Any]] | None = None,
    overflow: Overflow | str = Overflow.DISCONNECT,
    max_events: int = 1000,
    max_bytes: int = 1 << 20,
    tell_degraded: bool = False,
    authorize: bool = False,
    **arguments: Any,
) -> EventSourceResponse:
    """
    Answer a request with the events of some channels.

    A client that comes back gets what it missed, and nothing twice; where something may be missing
    it gets a ``stream-reset`` event, and has to ask for the state anew. A client that is
    new gets a ``stream-open`` event first.

    Args:
        request: The request to answer.
        names: Names of channels. They are the view's: never pass on what a client names without
            ``authorize=True``, or asking otherwise whether it may read that.
        filter: Takes an event's type, key and meta; tells whether this client gets it.
        snapshot: Returns events that tell the state, sent before the first one to a client that
            does not resume.
        overflow: What happens when the client is slower than its events.
        max_events: Events that may wait for the client.
        max_bytes: Bytes that may wait for the client.
        tell_degraded: Whether the client is told, in ``stream-degraded`` events with ``true`` or
            ``false``, when no events can arrive for now.
        authorize: Whether to ask the setting ``AUTHORIZE``, a function of the request and a
            channel, about each, because the client names it; a refusal is a 403, which makes
            a browser stop.
        arguments: Further arguments for :class:`EventSourceResponse`.

    Raises:
        ConfigurationError: If a channel's name or an argument is unusable, or the broker is
            ``memory://`` and the server has several processes.
        PermissionDenied: If the client may not read one of the channels.
        UnsupportedServerError: If the request came through ASGI.

    """
    environ = wsgi_environ(request)
    if authorize and not is_allowed(names, partial(may_read, request)):
        raise PermissionDenied
    channels().check(environ)
    subscription = Subscription(
        hub=hub(),
        channels=names,
        last_event_id=wsgi.last_event_id(environ),
        filter=filter,
        snapshot=snapshot,
        overflow=Overflow(overflow),
        max_events=max_events,
        max_bytes=max_bytes,
        tell_degraded=tell_degraded,
    )
    return EventSourceResponse(request, subscription, **arguments)


def may_read(request: HttpRequest, channel: str) -> bool:
    """
    Return what the setting ``AUTHORIZE`` says; without it, nothing may be read.

    Args:
        request: Whose client.
        channel: What the client names.

    """
    hook = load_hook(configured().authorize)
    if hook is None:
        logger.warning("AUTHORIZE is not set, so that nothing which a client names may be read")
    return hook is not None and bool(hook(request, channel))
