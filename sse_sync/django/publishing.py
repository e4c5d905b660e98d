"""
Channels: publishing and subscribing.

"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied
from django.db import transaction
from django.http import HttpRequest

from .. import wsgi
from ..brokers.base import check_channel
from ..brokers.presence import Present
from ..channels.access import is_allowed, is_yes, load_hook, what_is_wrong_with
from ..channels.hub import Hub
from ..channels.mailbox import Overflow
from ..channels.presence import Presence, user_channel
from ..channels.schedule import Published
from ..channels.subscription import Filter, Subscription
from ..settings import stream_options
from .app import channels, configured, dumps, schedule
from .response import EventSourceResponse, wsgi_environ

logger = logging.getLogger("sse_sync")

__all__ = [
    "disconnect",
    "hub",
    "may_read",
    "present",
    "publish",
    "publish_every",
    "publish_on_commit",
    "publish_to_user",
    "reauthorize",
    "subscribe",
]


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
    keep: bool = True,
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
        keep: Whether clients that come back get it, too. Otherwise it is for those who are there
            now, such as what somebody is typing, and takes no room in the history. Who is just
            catching up may not get it.

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
        keep=keep,
        dumps=dumps,
    )


def publish_every(
    seconds: float,
    channel: str,
    *,
    event: str | None = None,
    key: str | None = None,
    keep: bool = False,
) -> Callable[[Published], Published]:
    """
    Publish what a function returns, at intervals, while the channel has subscribers.

    ::

        @publish_every(5, "dashboard", event="load")
        def load():
            return {"load": os.getloadavg()[0]}

    Every process that has subscribers calls it at the same moments, which are multiples of the
    interval, with no request and database connections of its own, which are closed afterwards; the
    first one publishes, so that each event comes once. Where it returns :obj:`None` nothing is
    published; where it raises an exception, that is logged, and it is called again the next time.
    If it takes longer than the interval, moments are left out. The module must have been imported,
    as that of a view has been.

    Args:
        seconds: From one time to the next, 0.05 to 86,400.
        channel: Where to publish.
        event: Event type.
        key: What the event is about, for filters and for :attr:`Overflow.LATEST`.
        keep: Whether clients that come back get what they have missed, and not only the next.

    Returns:
        A decorator, which leaves the function as it is.

    Raises:
        ConfigurationError: If an argument is unusable.
        EventError: If the event type cannot be sent.

    """
    return schedule.publish_every(seconds, channel, event=event, key=key, keep=keep)


def publish_to_user(user: Any, data: Any, **arguments: Any) -> str:
    """
    Publish an event to a user's own channel, see :func:`~sse_sync.user_channel`.

    Args:
        user: Text, a number or a UUID.
        data: Text, or a value to be sent as JSON.
        arguments: Further arguments for :func:`publish`.

    """
    return publish(user_channel(user), data, **arguments)


def publish_on_commit(
    channel: str, data: Any, *, using: str | None = None, robust: bool = True, **arguments: Any
) -> None:
    """
    Publish an event when the current transaction has been committed, and not if it is rolled back.

    Outside a transaction it is published at once.

    Args:
        channel: Where to publish.
        data: Text, or a value to be sent as JSON; what it looks like at the commit is sent.
        using: Database whose transaction it is; the default one by default.
        robust: Whether an error when it is published, such as a broker that cannot be reached, is
            only logged. What was committed stays committed, and otherwise the error would keep
            everything else from being done that waits for the commit.
        arguments: Further arguments for :func:`publish`.

    Raises:
        ConfigurationError: If the channel's name is unusable.
        TypeError: If :func:`publish` takes no such argument.

    """
    check_channel(channel)
    inspect.signature(publish).bind(channel, data, **arguments)
    task = partial(publish, channel, data, **arguments)
    # A name, for the log.
    functools.update_wrapper(task, publish)
    transaction.on_commit(task, using=using, robust=robust)


def disconnect(
    *, user: Any = None, channel: str | None = None, reason: str = "", for_good: bool = False
) -> None:
    """
    End the streams of a user, or of a channel, in all processes; see
    :meth:`sse_sync.Hub.disconnect`.

    Args:
        user: Whose streams; of both, those of the user on the channel.
        channel: Streams that relay this channel.
        reason: Text for the page.
        for_good: Whether browsers are told to stop, and not to come back.

    Raises:
        ConfigurationError: If neither is given, or one is unusable.
        BrokerUnavailable: If the other processes cannot be reached.

    """
    hub().disconnect(user=user, channel=channel, reason=reason, for_good=for_good)


def reauthorize(*, user: Any = None, channel: str | None = None) -> None:
    """
    Have clients come back and be asked again, in all processes; see
    :meth:`sse_sync.Hub.reauthorize`.

    Args:
        user: Whose streams; of both, those of the user on the channel.
        channel: Streams that relay this channel.

    Raises:
        ConfigurationError: If neither is given, or one is unusable.
        BrokerUnavailable: If the other processes cannot be reached.

    """
    hub().reauthorize(user=user, channel=channel)


def present(channel: str) -> list[Present]:
    """
    Return who is on a channel in any process, who came first first.

    Args:
        channel: Where.

    Raises:
        ConfigurationError: If the channel's name is unusable.
        BrokerUnavailable: If that cannot be found out now.

    """
    return hub().present(channel)


def subscribe(
    request: HttpRequest,
    *names: str,
    user: Any = None,
    presence: Any = None,
    info: Any = None,
    grace: float = 5.0,
    announce: bool | Sequence[str] = False,
    filter: Filter | None = None,
    snapshot: Callable[[], Iterable[Any]] | None = None,
    overflow: Overflow | str = Overflow.DISCONNECT,
    max_events: int = 1000,
    max_bytes: int = 1 << 20,
    tell_degraded: bool = False,
    authorize: bool | Callable[[str], Any] = False,
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
        user: Whose stream it is, text, a number or a UUID, so that it can be ended, asked about
            and counted by it.
        presence: The same of a user who shall be seen on the channels, see :func:`present`.
        info: Anything that JSON can express, for those who see the user.
        grace: Seconds after the user's last stream for which the user is still seen, so that a
            reload is no leave.
        announce: Whether coming and leaving are published on the channels, as events
            ``presence-join`` and ``presence-leave`` with ``user`` and ``info``; or two other event
            types.
        filter: Takes an event's type, key and meta; tells whether this client gets it.
        snapshot: Returns events that tell the state, sent before the first one to a client that
            does not resume.
        overflow: What happens when the client is slower than its events.
        max_events: Events that may wait for the client.
        max_bytes: Bytes that may wait for the client.
        tell_degraded: Whether the client is told, in ``stream-degraded`` events with ``true`` or
            ``false``, when no events can arrive for now.
        authorize: Whether to ask the setting ``AUTHORIZE``, a function of the request and a
            channel, about each, because the client names it; or another function, of a channel.
            A refusal is a 403, which makes a browser stop, and what is no channel a 400.
        arguments: Further arguments for :class:`EventSourceResponse`.

    Raises:
        ConfigurationError: If a channel's name or an argument is unusable, or the broker is
            ``memory://`` and the server has several processes.
        BadRequest: If the client names what is no channel.
        PermissionDenied: If the client may not read one of the channels.
        UnsupportedServerError: If the request came through ASGI.

    """
    environ = wsgi_environ(request)
    problem = what_is_wrong_with(names) if authorize else ""
    if problem:
        raise BadRequest(problem)
    user_stream = channels().expect(
        environ,
        configured().replace(stream_options(arguments)),
        user=user,
        channels=names,
        presence=Presence.of(presence, info, grace, announce),
    )
    hook = authorize if callable(authorize) else partial(may_read, request)
    if authorize and not is_allowed(names, hook):
        raise PermissionDenied
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
        user_stream=user_stream,
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
    return hook is not None and is_yes(hook(request, channel), "AUTHORIZE")
