"""The broker for several processes and machines: Redis."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...exceptions import BrokerUnavailable, ConfigurationError
from ...runtime.process import Clock, monotonic
from ..base import NO_FLOORS, Beginning, History, Position, Publication, Receiver
from ..presence import PresenceStore
from ..retention import Retention
from .listener import Listener
from .presence import RedisPresenceStore
from .replay_cache import ReplayCache
from .store import Store
from .topology import Topology

if TYPE_CHECKING:
    from .jobs import RedisJobStore

__all__ = ["RedisBroker"]

# How many clients' histories are read at a time, so that connections are left for publishing; and
# for how many seconds the others wait.
READERS = 3
READ_PATIENCE = 20.0


class RedisBroker:
    """
    Store events in Redis streams, and carry them by pub/sub.

    One Lua script gives an event its position, stores it, trims the stream, and publishes it, in
    one step. A process has one subscribed connection. When it breaks, the process reconnects,
    subscribes again, and reads what it missed from the streams.

    A Redis that was restarted or promoted, or has evicted keys, may have lost acknowledged events;
    it starts a new epoch.

    All keys have one hash tag, the prefix, because one last event ID covers all channels: on a
    cluster they are on one node, with sharded pub/sub. Needs Redis 6.2 or newer; a cluster needs
    Redis 7.

    Differs from the contract: nothing.

    Args:
        url: URL of Redis; see :class:`~sse_sync.brokers.redis.topology.Topology`.
        prefix: Prefix of all keys and topics, which is put in braces.
        history: Number of events to keep per channel.
        max_age: Seconds for which to keep an event.
        channels: Exceptions by channel; see :class:`~sse_sync.brokers.retention.Retention`.
        clock: Returns the time.

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
        self._url = url
        self._prefix = f"{{{prefix}}}"
        self._retention = Retention(history, max_age, channels)
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._nodes = Topology(self._url, self._prefix, clock=self._clock)
        self._store = Store(self._nodes, self._prefix, self._retention)
        self._recent = ReplayCache()
        # Held while reading a history that the process has not received.
        self._reading = threading.BoundedSemaphore(READERS)
        self.presence: PresenceStore = RedisPresenceStore(self._store)
        """The presence store of all processes."""
        self._jobs: RedisJobStore | None = None
        self._listener: Listener | None = None

    @property
    def jobs(self) -> RedisJobStore:
        """The job store of all processes."""
        from .jobs import RedisJobStore  # Only for who uses it.

        if self._jobs is None:
            self._jobs = RedisJobStore(self._store)
        return self._jobs

    def after_fork(self) -> None:
        if self._listener is not None:
            self._listener.abandon()
        self._begin()

    def start(self, receiver: Receiver) -> None:
        """Begin to receive. It connects only for the first subscription."""
        self._listener = Listener(self._store, self._recent, receiver, clock=self._clock)

    def publish(self, publication: Publication) -> Position:
        return self._store.publish(publication)

    def subscribe(self, channels: Sequence[str]) -> Position:
        self._store.check_open()
        assert self._listener is not None
        self._listener.subscribe(channels)
        since = self._store.position()
        self._recent.begin(channels, since)
        return since

    def unsubscribe(self, channels: Sequence[str]) -> None:
        if self._listener is not None:
            self._listener.unsubscribe(channels)
        self._recent.forget(channels)

    def position(self) -> Position:
        return self._store.position()

    def beginning(self, channels: Sequence[str], events: int | None) -> Beginning:
        self._store.check_open()
        with self._reader():
            return self._store.beginning(list(dict.fromkeys(channels)), events)

    def history(
        self,
        channels: Sequence[str],
        after: Position,
        limit: int | None = None,
        floors: Mapping[str, int] = NO_FLOORS,
    ) -> History:
        """
        Return the events after a position. What is read from Redis is cached for the next clients:
        after a deploy they all reconnect at once, to processes that have received nothing yet.
        """
        self._store.check_open()
        names = list(dict.fromkeys(channels))
        found = self._recent.history(names, after, floors)
        if found is not None:
            return found
        with self._reader():
            found = self._recent.history(names, after, floors)
            if found is not None:
                return found
            known = self._recent.known(names)
            read = self._store.history(names, after, limit=limit, floors=floors)
            size = sum(len(message.body) for message in read.messages)
            is_all = read.complete and (limit is None or size < limit)
            if is_all and known is not None:
                self._recent.extend(read.since, after.epoch, read.messages, known)
            return History(read.messages, read.complete)

    @contextmanager
    def _reader(self) -> Iterator[None]:
        if not self._reading.acquire(timeout=READ_PATIENCE):
            raise BrokerUnavailable(self._nodes.name, "too many clients are replaying history")
        try:
            yield
        finally:
            self._reading.release()

    def close(self) -> None:
        self._store.closed = True
        if self._listener is not None:
            self._listener.close()
        self._nodes.close()
