"""
The broker for several processes and machines: Redis.

"""

from __future__ import annotations

import json
import os
import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

from ..clock import Clock, monotonic
from ..exceptions import BrokerClosed, BrokerUnavailable
from ..natives import native_lock
from . import redis_scripts as scripts
from .base import History, Message, Position, Receiver, to_base36

try:
    import redis
except ModuleNotFoundError as exc:
    if exc.name != "redis":
        raise
    raise ModuleNotFoundError(
        'redis-py is not installed: pip install "sse-sync[redis]"', name="redis"
    ) from None

__all__ = ["RedisBroker"]

# Seconds that one command may take, so that no worker blocks for long when Redis is away.
TIMEOUT = 2.0
# Seconds between two signs of life that are asked of the subscribed connection, and how long
# without any sign it is taken for dead.
PING_INTERVAL = 5.0
SILENCE = 10.0
# Bounds of the pause between two attempts to connect again, in seconds.
PAUSES = (0.05, 5.0)
# Connections for publishing and reading history, of one process.
CONNECTIONS = 8
# Events of one channel that are kept in the process, for clients that come back.
RECENT = 1000
RECENT_BYTES = 256 * 1024
# Channels whose history is read by one script, which nothing else can interrupt.
CHANNELS_AT_ONCE = 500


class RedisBroker:
    """
    Keep events in Redis streams, and carry them by publish and subscribe.

    One Lua script gives an event its position, stores it, drops what is too old or too much, and
    publishes it, in one step. A process has one subscribed connection. When it breaks, the
    process connects again, subscribes again, and reads what it missed from the streams.

    A Redis that was restarted or promoted, or that has evicted keys, may hold less than what was
    acknowledged before; it starts a new epoch.

    Differs from the contract: :meth:`unsubscribe` writes to the subscribed connection, and may
    block until that times out. Needs Redis 6.2 or newer; a single node or a pair with
    failover, not a cluster.

    Args:
        url: Where Redis is, as redis-py's ``from_url`` takes it.
        prefix: What all keys and channels begin with.
        history: How many events of a channel are kept.
        max_age: Seconds that an event is kept.
        clock: Tells the time.

    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "sse",
        history: int = 1000,
        max_age: float = 3600.0,
        clock: Clock = monotonic,
    ) -> None:
        self._name = _without_password(url)
        self._prefix = prefix
        self._limits = (history, int(max_age * 1_000_000))
        self._clock = clock
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry_on_timeout=False,
        )
        self._redis = redis.Redis(connection_pool=pool)
        self._publish = self._redis.register_script(scripts.PUBLISH)
        self._position = self._redis.register_script(scripts.POSITION)
        self._history = self._redis.register_script(scripts.HISTORY)
        self._receiver: Receiver | None = None
        self._closed = False
        self._listening = False
        _brokers.add(self)
        # What the listener and those who subscribe share.
        self._lock = native_lock()
        self._pubsub: Any = None
        self._channels: set[str] = set()
        self._confirmed: set[str] = set()
        self._confirmation = threading.Condition()
        self._last: Position | None = None
        self._recent: dict[str, _Recent] = {}

    def start(self, receiver: Receiver) -> None:
        """
        Begin to receive. Nothing is connected before the first subscription.

        """
        self._receiver = receiver

    def publish(
        self,
        channel: str,
        body: bytes,
        *,
        event: str | None = None,
        key: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Position:
        """
        Store an event and give it to every process that has subscribed to its channel.

        A connection that breaks is tried once more; the event carries a token, so that it is
        stored once.

        """
        header = json.dumps([event, key, meta], separators=(",", ":"))
        stream, floor = self._keys(channel)
        token = secrets.token_hex(8)
        keys = [self._meta(), stream, floor, f"{self._prefix}:token:{token}"]
        args: list[Any] = [_new_epoch(), self._topic(channel), header, body, *self._limits]

        def publish() -> Any:
            return self._publish(keys=keys, args=args)

        try:
            return _position(self._call(publish))
        except BrokerUnavailable as exc:
            if not isinstance(exc.__cause__, redis.ConnectionError):
                raise
            return _position(self._call(publish))

    def subscribe(self, channels: Sequence[str]) -> Position:
        """
        Receive the events of some channels from now on, too.

        """
        self._check_open()
        deadline = self._clock() + TIMEOUT
        with self._confirmation:
            if not self._listening:
                self._listening = True
                threading.Thread(target=self._listen, name="sse-sync redis", daemon=True).start()
            pubsub = self._pubsub
            self._channels.update(channels)
        try:
            if pubsub is not None:
                # With nothing held: it may block. A listener that connects again at this very
                # moment subscribes to the same channels, which does no harm.
                pubsub.subscribe(*map(self._topic, channels))
        except redis.RedisError as exc:
            raise BrokerUnavailable(self._name, str(exc)) from exc
        with self._confirmation:
            while not self._confirmed.issuperset(channels):
                left = deadline - self._clock()
                if left <= 0 or self._closed:
                    raise BrokerUnavailable(self._name, "it does not confirm a subscription")
                self._confirmation.wait(left)
        since = self.position()
        with self._lock:
            # The listener may have delivered something later in the meantime.
            start, last = since, self._last
            if last is not None and last.epoch == since.epoch:
                start = max(since, last)
            for channel in channels:
                self._recent[channel] = _Recent(start)
        return since

    def unsubscribe(self, channels: Sequence[str]) -> None:
        """
        Receive the events of some channels no more.

        """
        with self._confirmation:
            pubsub = self._pubsub
            self._channels.difference_update(channels)
            self._confirmed.difference_update(channels)
        with self._lock:
            for channel in channels:
                self._recent.pop(channel, None)
        if pubsub is not None:
            try:
                pubsub.unsubscribe(*map(self._topic, channels))
            except Exception:
                pass  # The listener notices, and subscribes to what is left.

    def position(self) -> Position:
        """
        Return the position of the latest event of any channel.

        """
        return _position(
            self._call(lambda: self._position(keys=[self._meta()], args=[_new_epoch()]))
        )

    def history(self, channels: Sequence[str], after: Position) -> History:
        """
        Return what is still there of some channels after a position.

        """
        self._check_open()
        names = list(dict.fromkeys(channels))
        recent = self._recent_history(names, after)
        if recent is not None:
            return recent
        keys = [self._meta()]
        for name in names:
            keys += self._keys(name)
        args: list[Any] = [_new_epoch(), after.epoch, after.number, self._limits[1]]
        complete, found = self._call(lambda: self._history(keys=keys, args=args))
        messages = [
            Message(name, Position(after.epoch, int(entry.split(b"-")[0])), body, *_header(header))
            for name, entries in zip(names, found, strict=False)
            for entry, (_, header, _, body) in entries
        ]
        if not complete:
            return History([], False)
        return History(sorted(messages, key=lambda message: message.position), True)

    def close(self) -> None:
        """
        Stop receiving, and release every connection.

        """
        with self._confirmation:
            self._closed = True
            pubsub = self._pubsub
            self._confirmation.notify_all()
        if pubsub is not None:
            self._disconnect(pubsub)
        self._redis.close()
        self._redis.connection_pool.disconnect()

    # The listener, in a thread or greenlet of its own.

    def _listen(self) -> None:
        pause = PAUSES[0]
        while not self._closed:
            pubsub = _PubSub(self._redis.connection_pool)
            try:
                self._connect(pubsub)
                pause = PAUSES[0]
                self._read(pubsub)
            except BrokerClosed:
                return
            except Exception as exc:
                # Anything: redis-py's own errors, or its surprise at being closed while it reads.
                if not self._closed:
                    self._degraded(str(exc) or type(exc).__name__)
            finally:
                self._disconnect(pubsub)
            if not self._closed:
                time.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, PAUSES[1])

    def _connect(self, pubsub: _PubSub) -> None:
        with self._confirmation:
            self._confirmed.clear()
            channels = list(self._channels)
        # Its own channel, so that there is always something to be subscribed to.
        pubsub.subscribe(self._topic(""), *map(self._topic, channels))
        early = self._wait_for_confirmation(pubsub, {"", *channels})
        self._catch_up(channels)
        with self._confirmation:
            # From here on who subscribes to a channel does so itself.
            late = self._channels.difference(channels)
            self._pubsub = pubsub
            self._confirmed.update(channels)
            self._confirmation.notify_all()
        if late:
            pubsub.subscribe(*map(self._topic, late))
        for each in early:
            self._deliver(each)
        self._degraded(None)

    def _wait_for_confirmation(self, pubsub: _PubSub, waiting: set[str]) -> list[Message]:
        # Returns the events that came meanwhile.
        deadline = self._clock() + TIMEOUT
        early = []
        while waiting:
            if self._clock() > deadline:
                raise BrokerUnavailable(self._name, "it does not confirm a subscription")
            message = pubsub.get_message(timeout=0.1)
            pubsub.check()
            if message is not None and message["type"] == "subscribe":
                waiting.discard(self._channel(message["channel"]))
            elif message is not None and message["type"] == "message":
                early.append(self._parse(message))
        return early

    def _catch_up(self, channels: Sequence[str]) -> None:
        last = self._last
        # Everything behind this position comes by the subscription, which holds already.
        here = self.position()
        with self._lock:
            self._recent.clear()
        missed = None
        if last is not None and here.epoch == last.epoch:
            missed = self._missed(channels, last)
        for message in missed or ():
            if message.position.number <= here.number:
                self._deliver(message)
        with self._lock:
            self._last = here
            self._recent.update((channel, _Recent(here)) for channel in channels)
        if last is not None and missed is None:
            self._tell(lambda receiver: receiver.interrupted())

    def _missed(self, channels: Sequence[str], last: Position) -> list[Message] | None:
        found: list[Message] = []
        for start in range(0, len(channels), CHANNELS_AT_ONCE):
            messages, complete = self.history(channels[start : start + CHANNELS_AT_ONCE], last)
            if not complete:
                return None
            found += messages
        return sorted(found, key=lambda message: message.position)

    def _read(self, pubsub: _PubSub) -> None:
        heard = asked = self._clock()
        here: Position | None = None
        while not self._closed:
            message = pubsub.get_message(timeout=min(1.0, PING_INTERVAL))
            pubsub.check()
            now = self._clock()
            if now - heard > SILENCE:
                raise BrokerUnavailable(self._name, "the subscribed connection is silent")
            if now - asked > PING_INTERVAL:
                asked, here = now, self.position()
                pubsub.ping()
            if message is None:
                continue
            heard = now
            if message["type"] == "message":
                self._deliver(self._parse(message))
            elif message["type"] == "pong" and here is not None:
                self._heard_everything(here)
                here = None
            elif message["type"] == "subscribe":
                with self._confirmation:
                    self._confirmed.add(self._channel(message["channel"]))
                    self._confirmation.notify_all()

    def _heard_everything(self, here: Position) -> None:
        # A sign of life that was asked for when the store was here: what came before has arrived.
        # So a quiet process does not fall behind its history, and a flushed store is noticed.
        with self._lock:
            last = self._last
            same = last is not None and last.epoch == here.epoch
            self._last = max(last, here) if same and last is not None else here
            if not same:
                self._recent.clear()
        if not same:
            self._tell(lambda receiver: receiver.interrupted())

    def _deliver(self, message: Message) -> None:
        with self._lock:
            last, interrupted = self._last, False
            if last is not None and message.position.epoch != last.epoch:
                self._recent.clear()
                interrupted = True
            elif last is not None and message.position.number <= last.number:
                return  # It was in the history already.
            self._last = message.position
            if message.channel in self._channels:
                recent = self._recent.get(message.channel)
                if recent is not None:
                    recent.add(message)
        if interrupted:
            self._tell(lambda receiver: receiver.interrupted())
        if message.channel in self._channels:
            # Otherwise it was given back, but Redis did not know yet.
            self._tell(lambda receiver: receiver.receive([message]))

    def _disconnect(self, pubsub: _PubSub) -> None:
        with self._confirmation:
            self._pubsub = None
            self._confirmed.clear()
        try:
            pubsub.close()
        except Exception:
            pass  # It is broken anyway, or another thread is closing it as well.

    def _degraded(self, problem: str | None) -> None:
        self._tell(lambda receiver: receiver.degraded(problem))

    def _tell(self, what: Callable[[Receiver], None]) -> None:
        if self._receiver is not None:
            what(self._receiver)

    def _recent_history(self, channels: Sequence[str], after: Position) -> History | None:
        found: list[Message] = []
        # All channels in one step, or an event of one could be taken for older than another's.
        with self._lock:
            last = self._last
            if last is None or last.epoch != after.epoch or after.number > last.number:
                return None
            for channel in channels:
                recent = self._recent.get(channel)
                if recent is None or not recent.reaches(after):
                    return None
                found += [m for m in recent.messages if m.position.number > after.number]
        return History(sorted(found, key=lambda message: message.position), True)

    def _parse(self, message: Mapping[str, Any]) -> Message:
        epoch, number, header, body = message["data"].split(b"\n", 3)
        position = Position(epoch.decode(), int(number))
        return Message(self._channel(message["channel"]), position, body, *_header(header))

    def _call(self, function: Callable[[], Any]) -> Any:
        self._check_open()
        try:
            return function()
        except redis.RedisError as exc:
            raise BrokerUnavailable(self._name, str(exc)) from exc

    def _check_open(self) -> None:
        if self._closed:
            raise BrokerClosed

    def _meta(self) -> str:
        return f"{self._prefix}:meta"

    def _keys(self, channel: str) -> tuple[str, str]:
        return f"{self._prefix}:events:{channel}", f"{self._prefix}:floor:{channel}"

    def _topic(self, channel: str) -> str:
        return f"{self._prefix}:live:{channel}"

    def _channel(self, topic: bytes) -> str:
        return topic.decode().removeprefix(f"{self._prefix}:live:")


class _PubSub(redis.client.PubSub):
    # redis-py connects again when a command fails, in whatever thread sent it. The listener has to
    # know, since what was published meanwhile is missing.

    broken = False

    def on_connect(self, connection: Any) -> None:
        self.broken = True

    def check(self) -> None:
        if self.broken:
            raise redis.ConnectionError("the subscribed connection broke")


class _Recent:
    # The events of a channel since a position, without a gap. Used under the broker's lock.

    def __init__(self, since: Position) -> None:
        self.since = since
        self.messages: deque[Message] = deque()
        self._bytes = 0

    def add(self, message: Message) -> None:
        self.messages.append(message)
        self._bytes += len(message.body)
        while self.messages and (len(self.messages) > RECENT or self._bytes > RECENT_BYTES):
            dropped = self.messages.popleft()
            self._bytes -= len(dropped.body)
            self.since = dropped.position

    def reaches(self, position: Position) -> bool:
        return self.since.epoch == position.epoch and self.since.number <= position.number


def _let_go_of_the_parents_connections() -> None:
    # In a child that inherited a listener, as greenlets are: it would read what is its parent's.
    for broker in list(_brokers):
        broker._closed = True
        connection = getattr(broker._pubsub, "connection", None)
        sock = getattr(connection, "_sock", None)
        if sock is not None:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, sock.fileno())
            os.close(nothing)


_brokers: WeakSet[RedisBroker] = WeakSet()
os.register_at_fork(after_in_child=_let_go_of_the_parents_connections)


def _header(header: bytes) -> tuple[str | None, str | None, Mapping[str, Any] | None]:
    event, key, meta = json.loads(header)
    return event, key, meta


def _position(answer: Sequence[bytes]) -> Position:
    epoch, number = answer
    return Position(epoch.decode(), int(number))


def _new_epoch() -> str:
    # Used only if the store needs a new one.
    return to_base36(int(time.time() * 1000)) + secrets.token_hex(2)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
