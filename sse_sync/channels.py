"""
The hub of an application: made when it is first used, once in each process.

"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .brokers.base import Broker
from .brokers.memory import MemoryBroker
from .exceptions import ConfigurationError
from .hub import Hub
from .settings import Options

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["Channels", "make_broker"]


class Channels:
    """
    Give an application its hub.

    Args:
        options: Which broker, and how much it keeps.

    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._hub: tuple[int, Hub] | None = None

    def hub(self) -> Hub:
        """
        Return the hub of this process. A fork has one of its own.

        Raises:
            ConfigurationError: If the broker's URL is unusable.

        """
        made = self._hub
        if made is None or made[0] != os.getpid():
            with self._lock:
                made = self._hub
                if made is None or made[0] != os.getpid():
                    made = self._hub = (os.getpid(), Hub(make_broker(self._options)))
        return made[1]

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
    if scheme == "memory":
        return MemoryBroker(history=options.history, max_age=options.history_age)
    if scheme in ("redis", "rediss", "unix"):
        from .brokers.redis import RedisBroker

        return RedisBroker(
            options.broker_url,
            prefix=options.channel_prefix,
            history=options.history,
            max_age=options.history_age,
        )
    known = "memory://, redis://, rediss:// and unix://"
    raise ConfigurationError("broker_url", f"names no broker: {scheme}; known are {known}")
