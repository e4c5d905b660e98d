"""The hub of an application: made when it is first used, once in each process."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..brokers.base import Broker
from ..brokers.memory import MemoryBroker
from ..closing import CloseReason
from ..exceptions import ConfigurationError
from ..jsonable import Dumps
from ..request import last_event_id
from ..server import find_server, find_worker
from ..settings import ChannelOptions, Options, StreamOptions
from .access import AccessRefused, Grant, is_allowed, what_is_wrong_with
from .hub import Hub
from .limits import Limits
from .mailbox import Overflow
from .presence import Presence
from .schedule import Schedule
from .selection import Selection, SelectOptions
from .subscription import Filter, Subscription
from .user_stream import UserStream

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from typing_extensions import Unpack

__all__ = ["AppHub", "RelayOptions", "ResponseOptions", "SubscribeOptions", "connect"]
__all__ += ["make_broker", "response_options", "stream_options"]

logger = logging.getLogger("sse_sync")

_REDIS = (
    *("redis", "rediss", "unix", "redis+cluster", "rediss+cluster"),
    *("redis+sentinel", "rediss+sentinel"),
)


class RelayOptions(SelectOptions, total=False):
    """What a client gets of its channels, and what happens when it is slow."""

    filter: Filter | None
    """Takes an event's type, key and meta; tells whether this client gets it."""
    snapshot: Callable[[], Iterable[Any]] | None
    """Returns events with the current state, sent before the first one to a client that does not
    resume."""
    overflow: Overflow | str
    """What happens when the client is slower than its events; by default it is disconnected."""
    max_events: int
    """Events that may wait for the client, by default 1,000."""
    max_bytes: int
    """Bytes that may wait for the client, by default 1 MiB."""
    tell_degraded: bool
    """Whether the client is told, in ``stream-degraded`` events with ``true`` or ``false``, when no
    events can arrive for now."""


class ResponseOptions(StreamOptions, total=False):
    """Keywords of a front's response, and of the decorator that makes it."""

    headers: Any
    """Further response headers."""
    on_close: Callable[[CloseReason], object] | None
    """Called once when the stream has ended, with the :class:`~sse_sync.CloseReason`."""
    user: Any
    """Whose stream it is, text, a number or a UUID, so that it can be ended, asked about and
    counted by it."""
    plain: bool | None
    """Whether the client is no EventSource, and gets nothing but the application's own events, and
    comments that no client takes for an event. By default, whether the request's method is another
    than GET and HEAD."""
    error: Callable[[Any], Any] | None
    """Returns the last events of a plain stream whose client lacks something, in its own form; see
    :data:`sse_sync.streams.dialect.ErrorEvents`. Without it the connection is broken off."""


class SubscribeOptions(RelayOptions, ResponseOptions, total=False):
    """Keywords of the fronts' ``subscribe()``; those of the response are among them."""

    presence: Any
    """Like ``user``, for a user who shall be seen on the channels, see :meth:`.Hub.present`."""
    info: Any
    """Anything that can be sent as JSON, for those who see the user."""
    grace: float
    """Seconds after the user's last stream for which the user is still seen, by default 5, so that
    a reload is no leave."""
    announce: bool | Sequence[str]
    """Whether coming and leaving are published on the channels, as events ``presence-join`` and
    ``presence-leave`` with ``user`` and ``info``; or two other event types."""


_SELECT = SelectOptions.__optional_keys__
_RELAY = RelayOptions.__optional_keys__ - _SELECT
_NOT_OF_RESPONSE = SubscribeOptions.__optional_keys__ - ResponseOptions.__optional_keys__
_NOT_OF_STREAM = ResponseOptions.__optional_keys__ - StreamOptions.__optional_keys__


def response_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those keywords of ``subscribe()`` that go on to the response, and unknown ones."""
    return {name: options[name] for name in options if name not in _NOT_OF_RESPONSE}


def stream_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those keywords of a response that are options of its stream, and unknown ones."""
    return {name: options[name] for name in options if name not in _NOT_OF_STREAM}


class AppHub:
    """
    Give an application its hub.

    Args:
        options: Which broker, and how much it keeps.
        within: Returns the context in which to call functions of the application.
        schedule: What is published at intervals.
        dumps: Makes JSON of that, and of what others see of a user.
        broker_setting: What the application calls the option ``broker_url``, for errors.
    """

    def __init__(
        self,
        options: Options,
        *,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
        schedule: Schedule | None = None,
        dumps: Dumps = json.dumps,
        broker_setting: str = "broker_url",
    ) -> None:
        self.options = options
        """The application's options."""
        self._within = within
        self._schedule = schedule
        self._dumps = dumps
        self._broker_setting = broker_setting
        self._lock = threading.Lock()
        self._hub: Hub | None = None
        self._limits = Limits(options.trusted_proxies)
        self._has_warned = False

    @property
    def _is_in_memory(self) -> bool:
        return self.options.broker_url.startswith("memory:")

    def hub(self) -> Hub:
        """
        Return the hub of this process, which begins anew in a fork.

        Raises:
            ConfigurationError: If the broker's URL is unusable.
        """
        if self._hub is None:
            with self._lock:
                if self._hub is None:
                    self._hub = self._make_hub()
        return self._hub

    def shared_hub(self) -> Hub:
        """
        Return the hub for a command, which is a process of its own.

        Raises:
            ConfigurationError: If the broker does not reach other processes, or its URL is
                unusable.
        """
        if self._is_in_memory:
            raise ConfigurationError(
                self._broker_setting,
                "is memory://, the default, which reaches no other process. Use redis://",
            )
        return self.hub()

    def subscribe(
        self,
        environ: WSGIEnvironment,
        channels: tuple[str, ...],
        *,
        authorize: bool,
        hook: Callable[[str], Any] | None,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription:
        """
        Check that the client may read some channels, and return what its stream relays.

        A client that comes back gets what it missed, and nothing twice. If something may be
        missing, it gets a ``stream-reset`` event and has to load its state anew. A new client gets
        a ``stream-open`` event first, and starts at the present unless an option says otherwise.

        Args:
            environ: The request's WSGI environ.
            channels: Names of channels.
            authorize: Whether to ask about them, because the client names them.
            hook: What to ask about each; without it, nothing may be read.
            options: See :class:`SubscribeOptions`.

        Raises:
            AccessRefused: If the client may not read one, or names what is no channel.
            ConfigurationError: If a channel's name or an option is unusable, or the broker is
                ``memory://`` and the server has several processes.
        """
        problem = what_is_wrong_with(channels) if authorize else ""
        if problem:
            raise AccessRefused(400, problem)
        user_stream = self.expect(
            environ,
            self.options.replace(stream_options(response_options(options))),
            user=options.get("user"),
            channels=channels,
            presence=Presence.of(
                options.get("presence"),
                options.get("info"),
                options.get("grace", Presence.grace),
                options.get("announce", False),
                self._dumps,
            ),
        )
        if authorize and not is_allowed(channels, hook):
            raise AccessRefused(403)
        given: Mapping[str, Any] = options
        relay = {name: given[name] for name in given if name in _RELAY}
        if "overflow" in relay:
            relay["overflow"] = Overflow(relay["overflow"])
        return Subscription(
            hub=self.hub(),
            channels=channels,
            last_event_id=last_event_id(environ),
            selection=Selection.of(**{name: given[name] for name in given if name in _SELECT}),
            user_stream=user_stream,
            **relay,
        )

    def granted(self, grant: Grant, options: SubscribeOptions) -> SubscribeOptions:
        """
        Return the options of a stream that is opened with a token: it ends when the token expires.

        A user that is given otherwise precedes the token's.
        """
        changes = {"lifetime": options["lifetime"]} if "lifetime" in options else {}
        lifetime = grant.lifetime(self.options.replace(changes).lifetime)
        user = options.get("user")
        return {**options, "lifetime": lifetime, "user": grant.user if user is None else user}

    def expect(
        self,
        environ: WSGIEnvironment,
        options: Options,
        *,
        user: Any = None,
        channels: tuple[str, ...] = (),
        presence: Presence | None = None,
    ) -> UserStream | None:
        """
        Expect a stream. To be called before its client's permission is asked.

        Returns:
            The user's stream; :obj:`None` if nothing has to be known of it.

        Raises:
            ConfigurationError: If the user is unusable, or the server has several processes, and
                the broker is ``memory``.
        """
        if user is None and presence is not None:
            user = presence.user
        limits = self._limits.of(environ, user, options)
        if user is None and not channels and not limits:
            return None
        self._require_shared_broker(environ)
        return self.hub().users.expect(
            user=user, channels=channels, presence=presence, limits=limits
        )

    def _make_hub(self) -> Hub:
        worker = find_worker()
        if self._is_in_memory and worker is not None and worker.cfg.workers > 1:
            # What only publishes has no request that would tell.
            logger.warning(
                "%s is memory://, the default, which serves a single process, but gunicorn runs %d:"
                " only streams of this one get what is published here. Use redis://, or run one"
                " worker",
                self._broker_setting,
                worker.cfg.workers,
            )
        return Hub(
            make_broker(self.options, self._broker_setting),
            within=self._within,
            schedule=self._schedule,
            dumps=self._dumps,
        )

    def _require_shared_broker(self, environ: WSGIEnvironment) -> None:
        if not self._is_in_memory or not environ.get("wsgi.multiprocess"):
            return
        # Test clients claim to be multi-process, too, but they are no server.
        server = find_server(environ)
        if server is None:
            return
        if server.knows_processes:
            raise ConfigurationError(
                self._broker_setting,
                "is memory://, the default, which serves a single process, but the server runs"
                " several: events would stay in one of them. Use redis://, or run one worker",
            )
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "%s is memory://, the default, which serves a single process, and %s does not tell"
                " whether it runs several: events would stay in one of them. Use redis://, unless"
                " it runs one",
                self._broker_setting,
                server.name,
            )


def connect(broker_url: str, **options: Unpack[ChannelOptions]) -> Hub:
    """
    Return a hub of one's own, for scripts, tasks and workers without a web application.

    ::

        with connect("redis://localhost") as hub:
            hub.publish("orders", {"id": 7}, event="created")

    Args:
        broker_url: Which broker; what the web application has as ``BROKER_URL``.
        options: ``channel_prefix``, ``history``, ``history_age`` and ``channel_histories``, which
            should be those of the application.

    Raises:
        ConfigurationError: If the URL or an option is unusable.
        ModuleNotFoundError: If the broker's driver is not installed.
    """
    known = ChannelOptions.__optional_keys__
    for name in options.keys() - known:
        raise ConfigurationError(
            name, f"is not an option of channels; known are {', '.join(sorted(known))}"
        )
    given = {name.upper(): value for name, value in options.items()}
    return Hub(make_broker(Options.read({"BROKER_URL": broker_url, **given}, "")))


def make_broker(options: Options, setting: str = "broker_url") -> Broker:
    """
    Return the broker that the option ``broker_url`` names.

    Args:
        options: The URL, and how much is kept.
        setting: What the application calls the option.

    Raises:
        ConfigurationError: If no broker is called that.
        ModuleNotFoundError: If its driver is not installed.
    """
    scheme = urlsplit(options.broker_url).scheme
    kept: dict[str, Any] = {
        "history": options.history,
        "max_age": options.history_age,
        "channels": options.channel_histories,
    }
    if scheme == "memory":
        return MemoryBroker(**kept)
    if scheme in _REDIS:
        from ..brokers.redis.broker import RedisBroker

        return RedisBroker(options.broker_url, prefix=options.channel_prefix, **kept)
    known = ", ".join(f"{name}://" for name in ("memory", *_REDIS))
    raise ConfigurationError(setting, f"names no broker: {scheme}; known are {known}")
