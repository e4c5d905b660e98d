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
from ..channels.publishing import PublishOptions, channel_first, check_publish_options
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
    "position",
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


def position() -> str:
    """
    Return the id after which everything comes that is published from now on. See
    :meth:`sse_sync.Hub.position`.
    """
    return str(hub().position())


@channel_first
def publish(channel: str, data: Any, **options: Unpack[PublishOptions]) -> str:
    """
    Publish an event to every subscriber of a channel, at once. See :meth:`sse_sync.Hub.publish`.

    An event about a row that is not committed yet may arrive before others can see the row:
    use :func:`publish_on_commit` instead.

    Args:
        channel: The channel to publish to.
        data: Text, or a value that becomes JSON with
            :class:`~django.core.serializers.json.DjangoJSONEncoder`.
        options: ``event``, ``key``, ``meta``, ``token``, ``retry_for``, ``keep`` and
            ``sender``; see :class:`~sse_sync.channels.publishing.PublishOptions`.

    Returns:
        The event's id.
    """
    return hub().publish(channel, data, dumps=dumps, **options)


def publish_to_user(user: Any, data: Any, **options: Unpack[PublishOptions]) -> str:
    """Publish an event to a user's own channel. See :func:`publish`, and its keywords."""
    return publish(user_channel(user), data, **options)


@channel_first
def publish_on_commit(
    channel: str,
    data: Any,
    *,
    using: str | None = None,
    robust: bool = True,
    **options: Unpack[PublishOptions],
) -> None:
    """
    Publish an event once the current transaction commits, and not if it is rolled back.

    Outside a transaction it is published at once. See :func:`publish`.

    Args:
        channel: The channel to publish to.
        data: Text, or a value to be sent as JSON; it is encoded after the commit.
        using: The transaction's database; by default Django's default database.
        robust: Whether an error in publishing, such as an unreachable broker, is only logged.
            Otherwise it is raised after the commit, and the callbacks that were still to be called
            are skipped.
        options: Keywords of :func:`publish`.

    Raises:
        ConfigurationError: If the channel's name or an option is unusable.
        TypeError: If an option is unknown.
    """
    check_channel(channel)
    check_publish_options(options)
    task = partial(publish, channel, data, **options)
    # Django logs the name of a callback that fails.
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
    closed afterwards. Its module must be imported at start-up, as the modules of views are.
    """
    return schedule.publish_every(seconds, channel, event=event, key=key, keep=keep)


def disconnect(
    *, user: Any = None, channel: str | None = None, reason: str = "", for_good: bool = False
) -> None:
    """End the streams of a user or a channel. See :meth:`sse_sync.Hub.disconnect`."""
    hub().disconnect(user=user, channel=channel, reason=reason, for_good=for_good)


def reauthorize(*, user: Any = None, channel: str | None = None) -> None:
    """Have clients reconnect and be checked again. See :meth:`sse_sync.Hub.reauthorize`."""
    hub().reauthorize(user=user, channel=channel)


def present(channel: str) -> list[Present]:
    """Return who is present, ordered by arrival. See :meth:`sse_sync.Hub.present`."""
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
        names: Names of channels, chosen by the view. Never pass on a name from the client, unless
            you set ``authorize=`` or check yourself that it may read the channel.
        authorize: Whether the client names the channels, so that the setting ``AUTHORIZE``, a
            function of the request and a channel, has to allow each; or another function, of a
            channel. A refusal is answered 403, which makes a browser stop; a name that no channel
            can have is answered 400.
        options: ``since``, ``replay``, ``not_before``, ``match``, ``until`` and ``sender``,
            see :class:`~sse_sync.channels.selection.SelectOptions`; ``filter``, ``snapshot``,
            ``overflow``, ``max_events``, ``max_bytes`` and ``tell_degraded``; ``user``,
            ``presence``, ``info``, ``grace`` and ``announce``: see
            :class:`~sse_sync.channels.app.SubscribeOptions`. All others are keywords of
            :class:`EventSourceResponse`.

    Raises:
        ConfigurationError: If a channel's name or an option is unusable, or the broker is
            ``memory://`` and the server has several processes.
        BadRequest: If the client gives a name that no channel can have.
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
    """Return whether the setting ``AUTHORIZE`` allows a channel; without it, none is allowed."""
    hook = load_hook(configured().authorize)
    if hook is None:
        logger.warning("AUTHORIZE is not set: every channel that a client names is refused")
    return hook is not None and is_yes(hook(request, channel), "AUTHORIZE")
