"""
The hub of an application: made when it is first used, once in each process.

"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..brokers.base import Broker
from ..brokers.memory import MemoryBroker
from ..event import Dumps
from ..exceptions import ConfigurationError
from ..proxies import UNKNOWN, client_address
from ..settings import Options
from .hub import Hub
from .presence import Presence, user_key
from .schedule import Schedule
from .user_stream import UserStream

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["AppHub", "connect", "make_broker"]

logger = logging.getLogger("sse_sync")


_REDIS = (
    *("redis", "rediss", "unix", "redis+cluster", "rediss+cluster"),
    *("redis+sentinel", "rediss+sentinel"),
)


class AppHub:
    """
    Give an application its hub.

    Args:
        options: Which broker, and how much it keeps.
        within: Returns the context in which to call functions of the application.
        schedule: What is published at intervals.
        dumps: Makes JSON of that.

    """

    def __init__(
        self,
        options: Options,
        *,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
        schedule: Schedule | None = None,
        dumps: Dumps = json.dumps,
    ) -> None:
        self._options = options
        self._within = within
        self._schedule = schedule
        self._dumps = dumps
        self._lock = threading.Lock()
        self._hub: Hub | None = None
        self._warned_unknown = False

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
        if self._options.broker_url.startswith("memory:"):
            raise ConfigurationError(
                "broker_url", "is memory://, which reaches no other process. Use redis://"
            )
        return self.hub()

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

        Args:
            environ: The request's WSGI environ.
            options: How the stream behaves.
            user: Whose it is; :obj:`None` if nobody knows.
            channels: Which channels it relays.
            presence: How it shows its user on them.

        Returns:
            The stream; :obj:`None` if nothing has to be known of it.

        Raises:
            ConfigurationError: If the user is unusable, or the server has several processes, and
                the broker is ``memory``.

        """
        if user is None and presence is not None:
            user = presence.user
        limits = []
        if user is not None and options.max_streams_per_user is not None:
            limits.append((f"the user {user_key(user)}", options.max_streams_per_user))
        if options.max_streams_per_address is not None:
            address = client_address(environ, self._options.trusted_proxies)
            if address == UNKNOWN and not self._warned_unknown:
                self._warned_unknown = True
                logger.warning(
                    "the server reports no client address, so all clients share one limit:"
                    ' if a proxy connects through a unix socket, add "unix" to trusted_proxies'
                )
            limits.append((f"the address {address}", options.max_streams_per_address))
        if user is None and not channels and not limits:
            return None
        self.check(environ)
        return self.hub().users.expect(
            user=user, channels=channels, presence=presence, limits=limits
        )

    def _make_hub(self) -> Hub:
        return Hub(
            make_broker(self._options),
            within=self._within,
            schedule=self._schedule,
            dumps=self._dumps,
        )

    def check(self, environ: WSGIEnvironment) -> None:
        """
        Refuse a broker that cannot reach the server's other processes.

        Args:
            environ: The WSGI environ of the request that subscribes.

        Raises:
            ConfigurationError: If the server has several processes, and the broker is ``memory``.

        """
        # Test clients claim to be multi-process, too, but they are no server.
        served = "SERVER_SOFTWARE" in environ or "uwsgi.version" in environ
        several = served and bool(environ.get("wsgi.multiprocess"))
        if several and self._options.broker_url.startswith("memory:"):
            raise ConfigurationError(
                "broker_url",
                "is memory://, which serves a single process, but the server runs several:"
                " events would stay in one of them. Use redis://, or run one worker",
            )


def connect(broker_url: str, **options: Any) -> Hub:
    """
    Return a hub of one's own, for scripts, tasks and workers without a web application.

    ::

        with connect("redis://localhost") as hub:
            hub.publish("orders", {"id": 7}, event="created")

    Args:
        broker_url: Which broker; what the web application has as ``BROKER_URL``.
        options: Other options of channels, in lower case: ``channel_prefix``, ``history``,
            ``history_age``, ``channel_histories``. They should be those of the application.

    Raises:
        ConfigurationError: If the URL or an option is unusable.
        ModuleNotFoundError: If the broker's driver is not installed.

    """
    given = {"broker_url": broker_url, **options}
    for name in given:
        if name not in _CHANNEL_OPTIONS:
            known = ", ".join(sorted(_CHANNEL_OPTIONS))
            raise ConfigurationError(name, f"is not an option of channels; known are {known}")
    upper = {name.upper(): value for name, value in given.items()}
    return Hub(make_broker(Options.read(upper, "")))


_CHANNEL_OPTIONS = {
    *("broker_url", "channel_prefix", "history", "history_age", "channel_histories"),
}


def make_broker(options: Options) -> Broker:
    """
    Return the broker that a URL names.

    Args:
        options: Which broker, and how much it keeps.

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
    raise ConfigurationError("broker_url", f"names no broker: {scheme}; known are {known}")
