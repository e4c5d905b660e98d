"""Channels: publishing and subscribing."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.exceptions import BadRequest, PermissionDenied
from django.db import transaction
from django.http import HttpRequest

from ..brokers.base import check_channel
from ..brokers.presence import Present
from ..channels.access import AccessRefused, is_yes, load_hook
from ..channels.app import SubscribeOptions, response_options
from ..channels.hub import Hub
from ..channels.presence import user_channel
from ..channels.publishing import PublishOptions, check_publish_options
from ..channels.schedule import Published
from .app import app_hub, configured, dumps, schedule
from .response import EventSourceResponse, wsgi_environ

if TYPE_CHECKING:
    from typing_extensions import Unpack

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
    """Return the project's hub: for its statistics, or to :func:`~sse_sync.listen`."""
    return app_hub().hub()


def publish(channel: str, data: Any, **options: Unpack[PublishOptions]) -> str:
    """
    Publish an event to every subscriber of a channel, at once. See :meth:`sse_sync.Hub.publish`.

    An event about a row that is not committed yet may arrive before the row can be seen:
    use :func:`publish_on_commit` for it.

    Args:
        channel: Where to publish.
        data: Text, or a value that :class:`~django.core.serializers.json.DjangoJSONEncoder` can
            write.
        options: ``event``, ``key``, ``meta``, ``token``, ``retry_for`` and ``keep``; see
            :class:`~sse_sync.channels.publishing.PublishOptions`.

    Returns:
        The event's id.
    """
    return hub().publish(channel, data, dumps=dumps, **options)


def publish_to_user(user: Any, data: Any, **options: Unpack[PublishOptions]) -> str:
    """Publish an event to a user's own channel. See :func:`publish`, and its keywords."""
    return publish(user_channel(user), data, **options)


def publish_on_commit(
    channel: str,
    data: Any,
    *,
    using: str | None = None,
    robust: bool = True,
    **options: Unpack[PublishOptions],
) -> None:
    """
    Publish an event when the current transaction has been committed, and not if it is rolled back.

    Outside a transaction it is published at once. See :func:`publish`.

    Args:
        channel: Where to publish.
        data: Text, or a value to be sent as JSON; its state at the commit is sent.
        using: Database of the transaction; the default one by default.
        robust: Whether an error in publishing, such as an unreachable broker, is only logged. What
            was committed stays committed, and otherwise the error would keep everything else that
            waits for the commit from being done.
        options: Keywords of :func:`publish`.

    Raises:
        ConfigurationError: If the channel's name or an option is unusable.
        TypeError: If an option is unknown.
    """
    check_channel(channel)
    check_publish_options(options)
    task = partial(publish, channel, data, **options)
    # A name, for the log.
    functools.update_wrapper(task, publish)
    transaction.on_commit(task, using=using, robust=robust)


def publish_every(
    seconds: float,
    channel: str,
    *,
    event: str | None = None,
    key: str | None = None,
    keep: bool = False,
) -> Callable[[Published], Published]:
    """
    Publish what a function returns, at intervals. See :meth:`.Schedule.publish_every`.

    ::

        @publish_every(5, "dashboard", event="load")
        def load():
            return {"load": os.getloadavg()[0]}

    The function is called without a request, and with database connections of its own, which are
    closed afterwards. Its module must have been imported, as that of a view has been.
    """
    return schedule.publish_every(seconds, channel, event=event, key=key, keep=keep)


def disconnect(
    *, user: Any = None, channel: str | None = None, reason: str = "", for_good: bool = False
) -> None:
    """End the streams of a user or a channel. See :meth:`sse_sync.Hub.disconnect`."""
    hub().disconnect(user=user, channel=channel, reason=reason, for_good=for_good)


def reauthorize(*, user: Any = None, channel: str | None = None) -> None:
    """Have clients come back and be asked again. See :meth:`sse_sync.Hub.reauthorize`."""
    hub().reauthorize(user=user, channel=channel)


def present(channel: str) -> list[Present]:
    """Return who is on a channel, ordered by arrival. See :meth:`sse_sync.Hub.present`."""
    return hub().present(channel)


def subscribe(
    request: HttpRequest,
    *names: str,
    authorize: bool | Callable[[str], Any] = False,
    **options: Unpack[SubscribeOptions],
) -> EventSourceResponse:
    """
    Answer a request with the events of some channels. See :meth:`.AppHub.subscribe`.

    Args:
        request: The request to answer.
        names: Names of channels. The view chooses them: never pass on what a client names without
            ``authorize=True``, or without checking otherwise that it may read it.
        authorize: Whether to call the setting ``AUTHORIZE``, a function of the request and a
            channel, for each, because the client names it; or another function, of a channel. A
            refusal is a 403, which makes a browser stop, and an impossible name a 400.
        options: ``filter``, ``snapshot``, ``overflow``, ``max_events``, ``max_bytes`` and
            ``tell_degraded``; ``user``, ``presence``, ``info``, ``grace`` and ``announce``: see
            :class:`~sse_sync.channels.app.SubscribeOptions`. Others are those of
            :class:`EventSourceResponse`.

    Raises:
        ConfigurationError: If a channel's name or an option is unusable, or the broker is
            ``memory://`` and the server has several processes.
        BadRequest: If the client names what is no channel.
        PermissionDenied: If the client may not read one of the channels.
        UnsupportedServerError: If the request came through ASGI.
    """
    hook = authorize if callable(authorize) else partial(may_read, request)
    try:
        subscription = app_hub().subscribe(
            wsgi_environ(request), names, authorize=bool(authorize), hook=hook, **options
        )
    except AccessRefused as exc:
        raise (BadRequest(exc.problem) if exc.status == 400 else PermissionDenied()) from None
    return EventSourceResponse(request, subscription, **response_options(options))


def may_read(request: HttpRequest, channel: str) -> bool:
    """Return what the setting ``AUTHORIZE`` says; without it, nothing may be read."""
    hook = load_hook(configured().authorize)
    if hook is None:
        logger.warning("AUTHORIZE is not set, so that nothing which a client names may be read")
    return hook is not None and is_yes(hook(request, channel), "AUTHORIZE")
