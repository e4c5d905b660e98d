"""
The one subscribed connection of a process.

Theory of operation. A thread or greenlet connects, subscribes to the wanted channels, waits until
Redis has confirmed them, reads the events it missed from the streams, and then passes on what
arrives. A subscriber to another channel sends its command on the same connection, and waits for
the confirmation. The listener itself unsubscribes from channels that nobody wants any more. When
the connection breaks, all this starts over.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...exceptions import BrokerClosed, BrokerUnavailable
from ...runtime.process import Clock, monotonic
from ..base import Message, Receiver
from .replay_cache import Continuity, ReplayCache
from .store import Store
from .topology import TIMEOUT, Node, redis

__all__ = ["Listener"]

logger = logging.getLogger("sse_sync")

# Seconds between two pings on the subscribed connection, and seconds of silence after which it is
# taken for dead.
PING_INTERVAL = 5.0
SILENCE = 10.0
# Seconds between two reviews, in which the receiver gives up channels. When it has none left, the
# connection is closed.
REVIEW_INTERVAL = 5.0
# Shortest and longest pause between two attempts to reconnect, in seconds.
PAUSES = (0.05, 5.0)
# How often reading the missed events may fail before it is given up.
CATCH_UPS = 3


class Listener:
    """
    Receive the events of some channels.

    Args:
        store: Where the events come from.
        recent: Keeps the events received lately.
        receiver: Takes the events.
        clock: Returns the time.
    """

    def __init__(
        self, store: Store, recent: ReplayCache, receiver: Receiver, *, clock: Clock = monotonic
    ) -> None:
        self._store = store
        self._recent = recent
        self._receiver = receiver
        self._clock = clock
        self._closed = False
        self._started = False
        # Guards everything that the listener shares with callers of subscribe().
        self._changed = threading.Condition()
        self._pubsub: _PubSub | None = None
        self._channels: set[str] = set()
        self._confirmed: set[str] = set()
        self._unwanted: set[str] = set()
        self._failed_catch_ups = 0
        # Why there is no connection, if that is known.
        self._problem = ""

    def subscribe(self, channels: Sequence[str]) -> None:
        """
        Subscribe to more channels. Blocks until Redis has confirmed them.

        Raises:
            BrokerUnavailable: If it does not in time.
        """
        deadline = self._clock() + TIMEOUT
        with self._changed:
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="sse-sync redis", daemon=True).start()
            pubsub = self._pubsub
            self._channels.update(channels)
            # Channels that are still subscribed need no command.
            self._unwanted.difference_update(channels)
            new = [channel for channel in channels if channel not in self._confirmed]
        try:
            if pubsub is not None and new:
                # Without the lock, because it may block. A listener that reconnects at this moment
                # subscribes to the same channels, which is harmless.
                with pubsub.sending:
                    pubsub.want(*self._topics(new))
        except redis.RedisError as exc:
            raise BrokerUnavailable(self._store.nodes.name, str(exc)) from None
        with self._changed:
            while not self._confirmed.issuperset(channels):
                left = deadline - self._clock()
                if left <= 0 or self._closed:
                    if pubsub is not None:
                        pubsub.broken = True  # A late confirmation must not count for a later try.
                    raise self._unconfirmed(self._problem)
                self._changed.wait(left)

    def unsubscribe(self, channels: Sequence[str]) -> None:
        """Unsubscribe from channels. It never blocks; Redis is told later."""
        with self._changed:
            self._channels.difference_update(channels)
            self._unwanted.update(channels)

    def close(self) -> None:
        """Stop. Idempotent."""
        with self._changed:
            self._closed = True
            pubsub = self._pubsub
            self._changed.notify_all()
        if pubsub is not None:
            self._disconnect(pubsub)

    def abandon(self) -> None:
        """
        Abandon the subscribed connection in a child process: it is the parent's, but an inherited
        greenlet would read from it.
        """
        self._closed = True
        connection = getattr(self._pubsub, "connection", None)
        sock = getattr(connection, "_sock", None)
        if sock is not None:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, sock.fileno())
            os.close(nothing)

    def _run(self) -> None:
        pause = PAUSES[0]
        while not self._closed and not self._has_stopped():
            pubsub: _PubSub | None = None
            try:
                # After a failure, the broker's own commands look for the node again, too.
                with self._store.nodes.noticing() as node:
                    pubsub = _PubSub(node, sharded=self._store.nodes.is_cluster)
                    self._connect(pubsub)
                    pause = PAUSES[0]
                    self._read(pubsub)
            except BrokerClosed:
                return
            except Exception as exc:
                # redis-py's own errors, or any other if the connection is closed while it reads.
                if not self._closed:
                    text = str(exc) or type(exc).__name__
                    self._problem = getattr(exc, "problem", text)
                    self._receiver.degraded(text)
            finally:
                if pubsub is not None:
                    self._disconnect(pubsub)
            if not self._closed and self._channels:
                time.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, PAUSES[1])

    def _has_stopped(self) -> bool:
        # Checked under the lock: a subscriber either finds the thread running, or starts another.
        with self._changed:
            if self._channels:
                return False
            self._started = False
            self._recent.stop()
            return True

    def _connect(self, pubsub: _PubSub) -> None:
        with self._changed:
            self._confirmed.clear()
            self._unwanted.clear()
            channels = list(self._channels)
        # The empty channel, too, so that there is always a subscription.
        pubsub.want(*self._topics(["", *channels]))
        early = self._wait_for_confirmation(pubsub, {"", *channels})
        self._catch_up(channels)
        with self._changed:
            # From here on, callers of subscribe() send their own command.
            late = self._channels.difference(channels)
            self._pubsub = pubsub
            self._problem = ""
            self._confirmed.update(channels)
            self._changed.notify_all()
        if late:
            with pubsub.sending:
                pubsub.want(*self._topics(late))
        for each in early:
            self._deliver(each)
        self._receiver.degraded(None)

    def _wait_for_confirmation(self, pubsub: _PubSub, waiting: set[str]) -> list[Message]:
        # Returns the events that arrived meanwhile.
        deadline = self._clock() + TIMEOUT
        early = []
        while waiting:
            if self._clock() > deadline:
                raise self._unconfirmed()
            message = pubsub.next(0.1)
            if message is None:
                continue
            if message["type"] in _SUBSCRIBED:
                waiting.discard(self._store.channel(message["channel"]))
            elif message["type"] in _PUBLISHED:
                early += self._parse(message)
        return early

    def _parse(self, message: Mapping[str, Any]) -> list[Message]:
        try:
            return [self._store.parse(message["channel"], message["data"])]
        except (ValueError, UnicodeError):
            logger.warning("ignored a message on %s that is not from sse-sync", message["channel"])
            return []

    def _catch_up(self, channels: Sequence[str]) -> None:
        last = self._recent.last
        # Events after this position arrive by the subscription, which is confirmed already.
        here = self._store.position(own=True)
        missed: Sequence[Message] | None = None
        if last is not None and here.epoch == last.epoch and self._failed_catch_ups < CATCH_UPS:
            self._failed_catch_ups += 1
            history = self._store.history(channels, last, until=here)
            missed = history.messages if history.complete else None
        self._failed_catch_ups = 0
        self._recent.restart(channels, here)
        if missed:
            self._receiver.receive(missed)
        elif last is not None and missed is None:
            self._receiver.interrupted()

    def _read(self, pubsub: _PubSub) -> None:
        heard = asked = reviewed = self._clock()
        here = None
        while not self._closed and self._channels:
            self._give_back(pubsub)
            message = pubsub.next(min(1.0, PING_INTERVAL))
            now = self._clock()
            if now - heard > SILENCE:
                raise redis.TimeoutError("the subscribed connection is silent")
            # One ping at a time: a pong means that everything before its own ping has arrived.
            if here is None and now - asked > PING_INTERVAL:
                asked, here = now, self._store.position(own=True)
                if self._store.nodes.current() is not pubsub.node:
                    raise redis.ConnectionError("another node has the keys now")
                with pubsub.sending:
                    pubsub.ping()
            if now - reviewed > REVIEW_INTERVAL:
                reviewed = now
                self._receiver.review()
            if message is None:
                continue
            heard = now
            if message["type"] == "pong" and here is not None:
                # Everything up to that position has arrived. So a quiet process's position stays
                # within the history, and a flushed store is noticed.
                if self._recent.reach(here) is Continuity.GAP:
                    self._receiver.interrupted()
                self._receiver.reached(here)
                here = None
            else:
                self._take(message)

    def _take(self, message: Mapping[str, Any]) -> None:
        if message["type"] in _PUBLISHED:
            for each in self._parse(message):
                self._deliver(each)
        elif message["type"] in _SUBSCRIBED:
            with self._changed:
                self._confirmed.add(self._store.channel(message["channel"]))
                self._changed.notify_all()
        elif message["type"] in _UNSUBSCRIBED and not self._store.channel(message["channel"]):
            # Not by our command: the slot has moved to another node.
            raise redis.ConnectionError("the channels have moved to another node")

    def _give_back(self, pubsub: _PubSub) -> None:
        if not self._unwanted:
            return
        # Chosen while nobody else sends: a caller that wants one of the channels again either takes
        # it off the list in time, or sends its command afterwards.
        with pubsub.sending:
            with self._changed:
                unwanted = self._unwanted & self._confirmed
                self._confirmed -= unwanted
                self._unwanted.clear()
            if unwanted:
                pubsub.give_up(*self._topics(unwanted))

    def _deliver(self, message: Message) -> None:
        continuity = self._recent.add(message)
        if continuity is Continuity.DUPLICATE:
            return
        if continuity is Continuity.GAP:
            self._receiver.interrupted()
        if message.channel in self._channels:
            # Otherwise it was given up, but Redis did not know yet.
            self._receiver.receive([message])

    def _disconnect(self, pubsub: _PubSub) -> None:
        with self._changed:
            self._pubsub = None
            self._confirmed.clear()
        try:
            pubsub.close()
        except Exception:
            pass  # It is broken anyway, or another thread is closing it as well.

    def _unconfirmed(self, problem: str = "") -> BrokerUnavailable:
        text = problem or "it does not confirm a subscription"
        return BrokerUnavailable(self._store.nodes.name, text)

    def _topics(self, channels: Iterable[str]) -> list[str]:
        return [self._store.topic(channel) for channel in channels]


# On a cluster each kind of message has a name of its own.
_SUBSCRIBED = ("subscribe", "ssubscribe")
_UNSUBSCRIBED = ("unsubscribe", "sunsubscribe")
_PUBLISHED = ("message", "smessage")


class _PubSub(redis.client.PubSub):  # type: ignore[misc,unused-ignore]
    # redis-py reconnects when a command fails, in whichever thread sent it. The listener has to
    # know, because events published meanwhile are missing.

    def __init__(self, node: Node, *, sharded: bool) -> None:
        super().__init__(node.own_pool)
        self.node = node
        self.broken = False
        # Held while a command is sent, so that two do not mix.
        self.sending = threading.Lock()
        self.want: Callable[..., Any] = self.ssubscribe if sharded else self.subscribe
        self.give_up: Callable[..., Any] = self.sunsubscribe if sharded else self.unsubscribe

    def next(self, timeout: float) -> Mapping[str, Any] | None:
        message: Mapping[str, Any] | None = self.get_message(timeout=timeout)
        if self.broken:
            raise redis.ConnectionError("the subscribed connection broke")
        return message

    def on_connect(self, connection: Any) -> None:
        self.broken = True
