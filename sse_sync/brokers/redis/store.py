"""The Redis broker's data in Redis. Each operation is one script."""

from __future__ import annotations

import json
import math
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...exceptions import BrokerClosed, BrokerUnavailable
from ..base import NO_FLOORS, Beginning, Message, Position, Publication, starts, to_base36
from ..retention import Kept, Retention
from . import scripts
from .topology import Node, Topology, redis

__all__ = ["Read", "Store"]

# What one script reads at most, because Redis does nothing else meanwhile.
CHANNELS_AT_ONCE = 500
EVENTS_AT_ONCE = 2000
BYTES_AT_ONCE = 512 << 10
# Seconds for which a publish without a caller's token is remembered, to recognise its retry.
ATTEMPT_AGE = 30.0


class Read(NamedTuple):
    """What was read of some channels."""

    messages: list[Message]
    """Events, ordered by position."""
    complete: bool
    """See :class:`~sse_sync.brokers.base.History`."""
    since: Mapping[str, int]
    """For each channel, the number after which all of its events have been read."""


class Store:
    """
    Publish to Redis, and read what it holds.

    Args:
        nodes: Finds Redis.
        prefix: Prefix of all keys, the hash tag on a cluster.
        retention: Knows how much of each channel is kept.
    """

    def __init__(self, nodes: Topology, prefix: str, retention: Retention) -> None:
        self.nodes = nodes
        self.closed = False
        self._prefix = prefix
        self._retention = retention
        self._publishes = "SPUBLISH" if nodes.is_cluster else "PUBLISH"

    def publish(self, publication: Publication) -> Position:
        """Store and publish an event."""
        new = publication
        # What is usual is left out at the end, as it was before there was a sender.
        header: list[Any] = [new.event, new.key, new.meta]
        if new.sender is not None:
            header += [new.keep, new.sender]
        elif not new.keep:
            header.append(False)
        token = f"given:{new.token}" if new.token is not None else secrets.token_hex(8)
        known_for = ATTEMPT_AGE if new.token is None else new.token_age
        keys = [self._meta(), *self._keys(new.channel), f"{self._prefix}:token:{token}"]
        kept = self._retention.of(new.channel) if new.keep else Kept(0, 0, 0, 0)
        args: list[Any] = [_new_epoch(), self.topic(new.channel)]
        args += [json.dumps(header, separators=(",", ":")), new.body, self._publishes]
        args += [math.ceil(known_for * 1000), *kept]
        return _position(self._ask(lambda node: node.publish(keys=keys, args=args)))

    def position(self, *, own: bool = False) -> Position:
        """
        Return the position of the latest event.

        Args:
            own: Whether to use the listener's own connections, so that it does not wait for
                publishers and replays.
        """
        keys, args = [self._meta()], [_new_epoch()]
        return _position(
            self._ask(
                lambda node: (node.own_position if own else node.position)(keys=keys, args=args)
            )
        )

    def beginning(self, channels: Sequence[str], events: int | None) -> Beginning:
        """
        Return where the latest events of some channels begin.

        Args:
            channels: The channels.
            events: How many, of all channels together; :obj:`None` for all.
        """
        if events is not None and events >= sum(self.kept(name).events for name in channels):
            events = None  # All, for which Redis need not go through them.
        left: dict[str, int | str] = dict.fromkeys(channels, "")
        floors: dict[str, int] = {}
        numbers: list[int] = []
        here: Position | None = None
        while left:
            # What has been found needs nothing earlier.
            low = numbers[0] if len(numbers) == events else 0
            here, found = self._latest_page(left, here, events or 0, low)
            for name, (floor, some, is_all) in zip(list(left), found, strict=False):
                floors.setdefault(name, int(floor))
                numbers += map(int, some)
                del left[name]
                if not is_all:
                    left[name] = int(some[-1])
            numbers = sorted(numbers)[-events if events else 0 :]
        assert here is not None
        return Beginning(here._replace(number=numbers[0] - 1) if numbers else here, floors)

    def history(
        self,
        channels: Sequence[str],
        after: Position,
        until: Position | None = None,
        limit: int | None = None,
        floors: Mapping[str, int] = NO_FLOORS,
    ) -> Read:
        """
        Return the events of some channels between two positions.

        Args:
            channels: The channels.
            after: The earlier position, itself excluded.
            until: The later position; :obj:`None` for the latest now. Events published while a
                long history is read are not included.
            limit: Bytes after which it stops; :obj:`None` for no limit.
            floors: See :meth:`.Broker.history`.
        """
        since = starts(channels, after, floors)
        left = dict(since)
        number = until.number if until is not None else None
        found: list[Message] = []
        while left:
            names = list(left)[:CHANNELS_AT_ONCE]
            page = self._page({name: left[name] for name in names}, after.epoch, number, floors)
            if page is None:
                return Read([], False, {})
            number, events = page
            for name, (entries, is_all, start) in zip(names, events, strict=False):
                if int(start) > left[name]:
                    # It has dropped events meanwhile, so that there would be a gap.
                    since[name] = int(start)
                    found = [message for message in found if message.channel != name]
                found += _messages(name, after.epoch, entries)
                del left[name]
                if not is_all:
                    left[name] = found[-1].position.number  # Last in turn, after the others.
            if limit is not None and left:
                # The number up to which all channels have been read.
                bound = min(left.values())
                certain = [m for m in found if m.position.number <= bound]
                if sum(len(message.body) for message in certain) >= limit:
                    found = certain
                    break
        return Read(sorted(found, key=lambda message: message.position), True, since)

    def run(self, script: str, *args: Any) -> Any:
        """
        Run a script that begins as :data:`~sse_sync.brokers.redis.scripts.PUBLISHING` does.

        Args:
            script: Its text, which is cached.
            args: Its arguments after the new epoch, the prefix, the prefix of topics, and the
                command that publishes.
        """
        before = [_new_epoch(), self._prefix, self.topic(""), self._publishes]
        return self._run(script, [self._meta()], [*before, *args])

    def kept(self, channel: str) -> Kept:
        """Return how much of a channel is kept."""
        return self._retention.of(channel)

    def topic(self, channel: str) -> str:
        """Return the topic of a channel. The empty channel has one, too."""
        # With the database's number, because pub/sub ignores databases.
        return f"{self._prefix}:live{self.nodes.database}:{channel}"

    def channel(self, topic: bytes) -> str:
        """Return the channel of a topic."""
        return topic.decode().removeprefix(self.topic(""))

    def parse(self, topic: bytes, data: bytes) -> Message:
        """Return the message that was published to a topic."""
        epoch, number, header, body = data.split(b"\n", 3)
        # Thousands of these are kept, so they share their common strings.
        position = Position(sys.intern(epoch.decode()), int(number))
        event, key, meta, *more = json.loads(header)
        if event is not None:
            event = sys.intern(event)
        return Message(sys.intern(self.channel(topic)), position, body, event, key, meta, *more)

    def check_open(self) -> None:
        """Raise :exc:`BrokerClosed` if it is closed."""
        if self.closed:
            raise BrokerClosed

    def _latest_page(
        self, left: Mapping[str, int | str], here: Position | None, events: int, low: int
    ) -> tuple[Position, list[Any]]:
        # For each channel the number before which to look; and the position at the start.
        keys = [self._meta()]
        args: list[Any] = [_new_epoch(), here.number if here else "", events, low]
        args += [EVENTS_AT_ONCE, BYTES_AT_ONCE]
        for name, before in list(left.items())[:CHANNELS_AT_ONCE]:
            kept = self._retention.of(name)
            keys += self._keys(name)
            args += [before, kept.memory, kept.age]
        epoch, number, found = self._run(scripts.BEGINNING, keys, args)
        return here or _position((epoch, number)), found

    def _page(
        self, left: Mapping[str, int], epoch: str, until: int | None, floors: Mapping[str, int]
    ) -> tuple[int, list[Any]] | None:
        keys = [self._meta()]
        bounds = "" if until is None else until
        args: list[Any] = [_new_epoch(), epoch, bounds, EVENTS_AT_ONCE, BYTES_AT_ONCE]
        for name, after in left.items():
            keys += self._keys(name)
            args += [after, self._retention.of(name).memory, int(name in floors)]
        complete, *rest = self._ask(lambda node: node.history(keys=keys, args=args))
        return (int(rest[0]), rest[1]) if complete else None

    def _run(self, script: str, keys: list[Any], args: list[Any]) -> Any:
        return self._ask(lambda node: node.run(script, keys, args))

    def _ask(self, what: Callable[[Node], Any]) -> Any:
        # Twice, because a connection that broke while idle is noticed only now, and another node
        # may have to be asked. Running a script again is harmless: a publish carries a token.
        self.check_open()
        try:
            try:
                return self._ask_once(what)
            except redis.RedisError as exc:
                if not self.nodes.is_another_try_worth_it(exc):
                    raise
                return self._ask_once(what)
        except redis.RedisError as exc:
            # Without redis-py's own traceback, and that of the first attempt: the text says it.
            raise BrokerUnavailable(self.nodes.name, str(exc)) from None

    def _ask_once(self, what: Callable[[Node], Any]) -> Any:
        with self.nodes.noticing() as node:
            return what(node)

    def _meta(self) -> str:
        return f"{self._prefix}:meta"

    def _keys(self, channel: str) -> tuple[str, str]:
        return f"{self._prefix}:events:{channel}", f"{self._prefix}:floor:{channel}"


def _messages(channel: str, epoch: str, entries: Sequence[Any]) -> Iterator[Message]:
    for number, header, body in entries:
        yield Message(channel, Position(epoch, int(number)), body, *json.loads(header))


def _position(answer: Sequence[bytes]) -> Position:
    epoch, number = answer
    return Position(epoch.decode(), int(number))


def _new_epoch() -> str:
    # Used only if the store starts a new epoch.
    return to_base36(int(time.time() * 1000)) + secrets.token_hex(2)
