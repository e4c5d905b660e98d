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
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ...channels.mailbox import Mailbox
from ...channels.subscription import ChannelFeed
from ...closing import CloseReason, End, OpenStream
from ...exceptions import BrokerUnavailable
from ...settings import Options
from ..admission import admission
from ..connection import prepare
from ..record import StreamRecord, path_of
from ..registry import registry
from ..watchdog import Watchdog
from .connection import HandoffConnection
from .fanout import fanout_for
from .key import FanoutKey

if TYPE_CHECKING:
    from ...channels.user_stream import UserStream

__all__ = ["OFFER", "Offer", "StaysWithRequest", "hand_off"]

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


def hand_off(
    stream: OpenStream,
    offer: Offer,
    feed: ChannelFeed,
    record: StreamRecord,
    *,
    watchdog: Watchdog,
    user_stream: UserStream | None,
    options: Options,
    ended: Callable[[], End | None],
) -> HandoffConnection | None:
    """
    Take a connection over from the server if it is certain that nothing gets lost; otherwise
    continue the stream with its request. It may block.

    Args:
        stream: The stream.
        offer: The worker's offer.
        feed: The stream's feed, which has nothing to send at the moment.
        record: What the stream has sent.
        watchdog: Watches the client until then.
        user_stream: The user and channels it is counted and shown under.
        options: How the stream behaves.
        ended: Returns how the stream was ended meanwhile; :obj:`None` if it was not.

    Returns:
        The connection; :obj:`None` if the stream stays with its request.
    """
    try:
        connection = _take_over(stream, offer, feed, record, watchdog, user_stream, options, ended)
    except (StaysWithRequest, BrokerUnavailable) as exc:
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("event stream %s was not handed off: %s", path_of(record.path), exc)
        _stay(stream, watchdog, options)
        return None
    watchdog.stop()
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("event stream %s was handed off", path_of(record.path))
    return connection


def _take_over(
    stream: OpenStream,
    offer: Offer,
    feed: ChannelFeed,
    record: StreamRecord,
    watchdog: Watchdog,
    user_stream: UserStream | None,
    options: Options,
    ended: Callable[[], End | None],
) -> HandoffConnection:
    assert watchdog.runtime is not None
    reactor = watchdog.runtime.reactor
    if not reactor.can_write:
        raise StaysWithRequest("this system has no epoll")
    problem = feed.why_not_handed_off() or offer.refusal(record.bytes)
    if problem:
        raise StaysWithRequest(problem)
    key = FanoutKey.of(feed.subscription, options, chunked=offer.is_chunked)
    find_fanout = partial(fanout_for, feed.subscription.hub, key, options, reactor)
    fanout = find_fanout()
    try:
        if not _is_given(feed, fanout.number):
            # The fan-out is ahead of the feed, so what the feed has yet to receive would come from
            # neither.
            raise StaysWithRequest("the other streams of its channels are ahead of it")
        sock = _take_socket(offer, watchdog, ended)
    except BaseException:
        fanout.close_if_unused()
        raise
    prepare(sock, options.write_timeout)
    connection = HandoffConnection(sock, fanout, record, user_stream, watchdog.expires)
    seen = feed.reader.seen.number
    try:
        while (joined := connection.join(fanout, seen)) is None:
            # The last of the others has just left.
            fanout = find_fanout()
        is_given = _is_given(feed, joined)
    except BaseException:
        fanout.leave(connection)
        sock.close()
        raise
    finally:
        feed.stop()
    end = ended()
    if end is None and not (is_given and feed.reader.is_current):
        # It has missed something in the meantime, and the fan-out does not know.
        end = End(CloseReason.INTERRUPTED)
    if end is not None:
        # Before it begins: an ended feed may lack events, so nothing more must be sent.
        connection.end_with(end)
    registry().hand_off(stream, connection)
    if user_stream is not None:
        user_stream.pass_on(connection, connection.channels)
    # Last, because it may end at once.
    reactor.call_soon(partial(connection.begin, _between(feed.mailbox, seen, joined, key)))
    return connection


def _is_given(feed: ChannelFeed, number: int) -> bool:
    # The feed need not receive what it has read from the history.
    if number <= feed.reader.seen.number:
        return True
    return feed.subscription.hub.dispatcher.wait_until_given(number)


def _take_socket(
    offer: Offer, watchdog: Watchdog, ended: Callable[[], End | None]
) -> _socket.socket:
    def let_go() -> bool:
        if ended() is not None:
            return False
        watchdog.let_connection_go()
        return True

    try:
        sock = offer.take(let_go)
    except OSError as exc:
        raise StaysWithRequest(f"its connection cannot be duplicated: {exc}") from exc
    if sock is None:
        raise StaysWithRequest("it has just ended")
    return sock


def _stay(stream: OpenStream, watchdog: Watchdog, options: Options) -> None:
    if watchdog.connection is not None and watchdog.connection.fd < 0:
        stream.end_with(End(CloseReason.CLIENT_GONE))  # The connection was taken, then closed.
        return
    watchdog.begin()
    streams = registry()
    streams.stays(stream)
    if admission().is_over(streams, options.max_streams):
        stream.end_with(End(CloseReason.NO_ROOM))


def _between(mailbox: Mailbox, seen: int, joined: int, key: FanoutKey) -> Mailbox | None:
    # The events that the client lacks and the fan-out will not bring.
    if not len(mailbox) and not mailbox.overflowed:
        return None
    earlier = Mailbox(*key.bounds)
    earlier.pour_from(mailbox, after=seen, until=joined)
    return earlier
