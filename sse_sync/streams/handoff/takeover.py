"""
How a stream leaves its request while its connection lives on.

Theory of operation. A worker that can hand a connection off puts an :class:`Offer` into the
environ. The first time a stream has nothing to send, it takes the offer: the response ends, and
with it the request. The connection joins a fan-out, and receives the events after the fan-out's
position at that moment. Earlier events that the client lacks are in the mailbox of the stream's
feed, as soon as the dispatcher has delivered to all subscribers what the fan-out has. A client that
read the history may be ahead of its process; mailbox and fan-out then skip what it already has.
"""

from __future__ import annotations

import _socket
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ...channels.mailbox import Mailbox
from ...channels.subscription import ChannelFeed
from ...closing import CloseReason, End, OpenStream
from ...exceptions import BrokerUnavailable
from ...settings import Options
from ..admission import admission
from ..client_socket import prepare
from ..dialect import Dialect
from ..disconnect import Watchdog
from ..record import StreamRecord, path_of
from ..registry import registry
from .connection import HandoffConnection
from .fanout import Fanout, fanout_for
from .key import FanoutKey

if TYPE_CHECKING:
    from ...channels.user_stream import UserStream

__all__ = ["OFFER", "HandOff", "Offer", "StaysWithRequest"]

logger = logging.getLogger("sse_sync")

OFFER = "sse_sync.handoff"
"""Environ key of a worker's :class:`Offer`."""


class StaysWithRequest(Exception):
    """Raised when a stream cannot be handed off. The message says why."""


class Offer(Protocol):
    """A worker's offer to hand a connection off."""

    is_chunked: bool
    """Whether the response is framed in chunks."""

    def refusal(self, sent: int) -> str:
        """
        Return why the connection cannot be taken over now; an empty string if it can.

        Args:
            sent: Body bytes that the stream has given to the server.
        """

    def take(self, let_go: Callable[[], bool]) -> _socket.socket | None:
        """
        Return the connection as a non-blocking socket, or :obj:`None` if the stream does not want
        to go. The server no longer has it, and ends the response without writing anything.

        Args:
            let_go: Called when nothing can fail any longer, but before anything is changed.
                Returns whether to continue.

        Raises:
            OSError: If there are no more descriptors. Nothing has been changed.
        """


@dataclass(frozen=True, slots=True)
class HandOff:
    """
    A stream's attempt to leave its request.

    It happens only if it is certain that nothing gets lost; otherwise the stream continues with its
    request.
    """

    stream: OpenStream
    """The stream."""
    offer: Offer
    """The worker's offer."""
    feed: ChannelFeed
    """The stream's feed, which has nothing to send at the moment."""
    record: StreamRecord
    """What the stream has sent."""
    watchdog: Watchdog
    """Watches the client until then."""
    user_stream: UserStream | None
    """The user and channels the stream is counted and shown under."""
    options: Options
    """How the stream behaves."""
    dialect: Dialect
    """What the library itself says in it."""
    ended: Callable[[], End | None]
    """Returns how the stream was ended meanwhile; :obj:`None` if it was not."""

    def attempt(self) -> HandoffConnection | None:
        """
        Take the connection over. It may block.

        Returns:
            The connection; :obj:`None` if the stream stays with its request.
        """
        path = self.record.path
        try:
            connection = self._take_over()
        except (StaysWithRequest, BrokerUnavailable) as exc:
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("event stream %s was not handed off: %s", path_of(path), exc)
            self._stay()
            return None
        self.watchdog.stop()
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("event stream %s was handed off", path_of(path))
        return connection

    def _take_over(self) -> HandoffConnection:
        find_fanout = self._check()
        fanout = find_fanout()
        try:
            if not self._is_given(fanout.number):
                # The fan-out is ahead of the feed, so what the feed has yet to receive would come
                # from neither.
                raise StaysWithRequest("the other streams of its channels are ahead of it")
            sock = self._take_socket()
        except BaseException:
            fanout.close_if_unused()
            raise
        prepare(sock, self.options.write_timeout)
        connection = HandoffConnection(
            *(sock, fanout, self.record, self.user_stream, self.watchdog.expires),
            self.dialect.without_request(self.feed.subscription.hub.call),
        )
        seen, sender = self.feed.reader.seen.number, self.feed.subscription.selection.sender
        try:
            while (joined := connection.join(fanout, seen, sender)) is None:
                # The last of the others has just left.
                fanout = find_fanout()
            is_given = self._is_given(joined)
            # A feed that was ended meanwhile may lack events that the batches follow.
            has_gap = not is_given or self.ended() is not None
        except BaseException:
            fanout.leave(connection)
            sock.close()
            raise
        finally:
            self.feed.stop()
        is_current = self.feed.reader.is_current
        self._replace_stream(connection, is_given=is_given, is_current=is_current)
        # Last, because it may end at once.
        earlier, is_last = self._between(seen, joined, fanout) if is_current else (None, True)
        begin = partial(connection.begin, earlier, is_last=is_last or has_gap)
        fanout.reactor.call_soon(begin)
        return connection

    def _check(self) -> Callable[[], Fanout]:
        assert self.watchdog.runtime is not None
        reactor = self.watchdog.runtime.reactor
        if not reactor.can_write:
            raise StaysWithRequest("this system has no epoll")
        problem = self.feed.why_not_handed_off() or self.offer.refusal(self.record.bytes)
        if problem:
            raise StaysWithRequest(problem)
        wanted = self.feed.subscription
        key = FanoutKey.of(wanted, self.options, self.dialect, chunked=self.offer.is_chunked)
        return partial(fanout_for, wanted.hub, key, reactor)

    def _is_given(self, number: int) -> bool:
        # The feed need not receive what it has read from the history.
        if number <= self.feed.reader.seen.number:
            return True
        return self.feed.subscription.hub.dispatcher.wait_until_given(number)

    def _take_socket(self) -> _socket.socket:
        try:
            sock = self.offer.take(self._let_go)
        except OSError as exc:
            raise StaysWithRequest(f"its connection cannot be duplicated: {exc}") from exc
        if sock is None:
            raise StaysWithRequest("it has just ended")
        return sock

    def _let_go(self) -> bool:
        if self.ended() is not None:
            return False
        self.watchdog.let_connection_go()
        return True

    def _replace_stream(
        self, connection: HandoffConnection, *, is_given: bool, is_current: bool
    ) -> None:
        end = self.ended()
        is_whole = end is None or end.reason is CloseReason.CLOSED
        if (is_whole and not is_current) or (end is None and not is_given):
            # It has missed something in the meantime, and the fan-out does not know.
            end = End(CloseReason.INTERRUPTED)
        if end is not None:
            # Before it begins: an ended feed may lack events, so nothing more must be sent.
            connection.end_with(end)
        registry().hand_off(self.stream, connection)
        if self.user_stream is not None:
            self.user_stream.pass_on(connection, connection.channels)

    def _between(self, seen: int, joined: int, fanout: Fanout) -> tuple[Mailbox | None, bool]:
        # The events that the client lacks and the fan-out will not bring, and whether the last of
        # them ends the stream.
        mailbox, reader = self.feed.mailbox, self.feed.reader
        if not len(mailbox) and not mailbox.overflowed:
            return None, False
        earlier = Mailbox(*fanout.key.bounds)
        for message in mailbox.take():
            if seen < message.position.number <= joined and reader.wants(message):
                earlier.put(message)
                if fanout.is_last(message):
                    return earlier, True
        earlier.overflowed = earlier.overflowed or mailbox.overflowed
        return earlier, False

    def _stay(self) -> None:
        client = self.watchdog.client
        if client is not None and client.fd < 0:
            # The connection was taken, then closed.
            self.stream.end_with(End(CloseReason.CLIENT_GONE))
            return
        self.watchdog.begin()
        streams = registry()
        streams.stays(self.stream)
        if admission().is_over(streams, self.options.max_streams):
            self.stream.end_with(End(CloseReason.NO_ROOM))
