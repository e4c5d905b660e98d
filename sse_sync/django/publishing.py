"""
Channels: publishing and subscribing.

"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from django.db import transaction
from django.http import HttpRequest

from .. import wsgi
from ..mailbox import Overflow
from ..subscription import Filter, Subscription, check_channel
from .response import EventSourceResponse, channels, dumps, wsgi_environ

__all__ = ["publish", "publish_on_commit", "subscribe"]


def publish(
    channel: str,
    data: Any,
    *,
    event: str | None = None,
    key: str | None = None,
    meta: Mapping[str, Any] | None = None,
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

    Returns:
        The event's id.

    Raises:
        ConfigurationError: If the channel's name is unusable.
        EventError: If the data or the event type cannot be sent.
        BrokerUnavailable: If it is not certain that the event was stored.

    """
    check_channel(channel)
    hub = channels().hub()
    return hub.publish(channel, data, event=event, key=key, meta=meta, dumps=dumps)


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
            asking whether it may read that.
        filter: Takes an event's type, key and meta; tells whether this client gets it.
        snapshot: Returns events that tell the state, sent before the first one to a client that
            does not resume.
        overflow: What happens when the client is slower than its events.
        max_events: Events that may wait for the client.
        max_bytes: Bytes that may wait for the client.
        arguments: Further arguments for :class:`EventSourceResponse`.

    Raises:
        ConfigurationError: If a channel's name or an argument is unusable, or the broker is
            ``memory://`` and the server has several processes.
        UnsupportedServerError: If the request came through ASGI.

    """
    environ = wsgi_environ(request)
    channels().check(environ)
    subscription = Subscription(
        hub=channels().hub(),
        channels=names,
        last_event_id=wsgi.last_event_id(environ),
        filter=filter,
        snapshot=snapshot,
        overflow=Overflow(overflow),
        max_events=max_events,
        max_bytes=max_bytes,
    )
    return EventSourceResponse(request, subscription, **arguments)
