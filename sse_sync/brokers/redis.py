"""
The broker for several processes and machines: Redis.

"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..clock import Clock, monotonic
from ..exceptions import ConfigurationError
from .base import History, Position, Receiver
from .recent import Recent
from .redis_attendance import RedisAttendance
from .redis_listener import Listener
from .redis_nodes import Nodes
from .redis_store import Store
from .retention import Retention

__all__ = ["RedisBroker"]


class RedisBroker:
    """
    Keep events in Redis streams, and carry them by publish and subscribe.

    One Lua script gives an event its position, stores it, drops what is too old or too much, and
    publishes it, in one step. A process has one subscribed connection. When it breaks, the
    process connects again, subscribes again, and reads what it missed from the streams.

    A Redis that was restarted or promoted, or that has evicted keys, may hold less than what was
    acknowledged before; it starts a new epoch.

    All keys have one hash tag, the prefix, because one last event ID stands for all channels: on a
    cluster they are on one node, with sharded publish and subscribe. Needs Redis 6.2 or
    newer; a cluster Redis 7.

    Differs from the contract: nothing.

    Args:
        url: Where Redis is; see :class:`~sse_sync.brokers.redis_nodes.Nodes`.
        prefix: What all keys and channels begin with, in braces.
        history: How many events of a channel are kept.
        max_age: Seconds that an event is kept.
        channels: What differs, by channel; see :class:`~sse_sync.brokers.retention.Retention`.
        clock: Tells the time.

    Raises:
        ConfigurationError: If the URL or the prefix is unusable.

    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "sse",
        history: int = 1000,
        max_age: float = 3600.0,
        channels: Mapping[str, tuple[int, float]] | None = None,
        clock: Clock = monotonic,
    ) -> None:
        if "{" in prefix or "}" in prefix:
            raise ConfigurationError("channel_prefix", "must not contain braces")
        tag = f"{{{prefix}}}"
        self._clock = clock
        self._nodes = Nodes(url, tag, clock=clock)
        self._store = Store(self._nodes, tag, Retention(history, max_age, channels))
        self._recent = Recent()
        self.attendance = RedisAttendance(self._store)
        """Who is there, in all processes."""
        self._listener: Listener | None = None

    def start(self, receiver: Receiver) -> None:
        """
        Begin to receive. Nothing is connected before the first subscription.

        """
        self._listener = Listener(self._store, self._recent, receiver, clock=self._clock)

    def publish(
        self,
        channel: str,
        body: bytes,
        *,
        event: str | None = None,
        key: str | None = None,
        meta: Mapping[str, Any] | None = None,
        token: str | None = None,
    ) -> Position:
        """
        Store an event and give it to every process that has subscribed to its channel.

        A connection that breaks is tried once more.

        """
        return self._store.publish(channel, body, event=event, key=key, meta=meta, token=token)

    def subscribe(self, channels: Sequence[str]) -> Position:
        """
        Receive the events of some channels from now on, too.

        """
        self._store.check_open()
        assert self._listener is not None
        self._listener.subscribe(channels)
        since = self._store.position()
        self._recent.begin(channels, since)
        return since

    def unsubscribe(self, channels: Sequence[str]) -> None:
        """
        Receive the events of some channels no more.

        """
        if self._listener is not None:
            self._listener.unsubscribe(channels)
        self._recent.forget(channels)

    def position(self) -> Position:
        """
        Return the position of the latest event of any channel.

        """
        return self._store.position()

    def history(self, channels: Sequence[str], after: Position) -> History:
        """
        Return what is still there of some channels after a position.

        """
        self._store.check_open()
        names = list(dict.fromkeys(channels))
        return self._recent.history(names, after) or self._store.history(names, after)

    def close(self) -> None:
        """
        Stop receiving, and release every connection.

        """
        self._store.closed = True
        if self._listener is not None:
            self._listener.close()
        self._nodes.close()
