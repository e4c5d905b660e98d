"""
How a stream leaves its request, and its connection lives on.

Theory of operation. A worker that can let a connection go puts an :class:`Offer` into the environ.
When a stream has nothing to send for the first time, it takes the offer: the response ends, and
with it the request. The connection joins a fan-out. Before and after that an event that is being
given to subscribers right now is waited for; so whatever came before the joining has been sent or
is in the mailbox of the stream's feed, and whatever comes after it is in the rounds. A client may
have got even more, when its history was read from the broker before the process received the same
events; then it skips them.

"""

from __future__ import annotations

import _socket
from collections.abc import Callable
from functools import partial
from typing import Protocol

from ...channels.mailbox import Mailbox
from ...channels.subscription import ChannelFeed
from ...closing import CloseReason, End, OpenStream
from ...runtime.reactor import Reactor
from ...settings import Options
from ..connection import prepare
from ..registry import Registry
from .connection import HandoffConnection, StreamState
from .fanout import FanoutKey, fanout_for

__all__ = ["OFFER", "Offer", "StaysWithRequest", "hand_off"]

OFFER = "sse_sync.streams.handoff.connection"
"""Key of the environ under which a worker's :class:`Offer` is."""


class StaysWithRequest(Exception):
    """
    Raised where a stream cannot be handed off. The message says why.

    """


class Offer(Protocol):
    """
    A worker's readiness to let a connection go.

    """

    is_chunked: bool
    """Whether the response is framed in chunks."""

    def refusal(self, sent: int) -> str:
        """
        Return why the connection cannot be taken over now; an empty text if it can.

        Args:
            sent: Bytes of the body that the stream has given to the server.

        """

    def take(self, let_go: Callable[[], bool]) -> _socket.socket | None:
        """
        Return the connection, as a socket that does not block. The server has it no more, and
        will end the response without writing anything.

        Args:
            let_go: Called when nothing can fail any more, and before anything is changed. Tells
                whether to go on; otherwise there is no connection.

        Raises:
            OSError: If there are no more descriptors. Nothing has been changed.

        """


def hand_off(
    stream: OpenStream,
    offer: Offer,
    feed: ChannelFeed,
    state: StreamState,
    *,
    options: Options,
    reactor: Reactor,
    registry: Registry,
    let_go: Callable[[], bool],
) -> HandoffConnection:
    """
    Take a connection over from the server. It may block.

    Args:
        stream: The stream.
        offer: The worker's.
        feed: What the stream draws from. It has nothing to send just now.
        state: What is known of the stream.
        options: How it behaves.
        reactor: What will write.
        registry: Where it is counted.
        let_go: Called before the connection is taken: the stream must not touch it any more.
            Returns whether it still wants to go.

    Raises:
        StaysWithRequest: If it cannot be taken over.
        BrokerUnavailable: If the channels cannot be subscribed to. Where the connection has been
            taken already it is closed, and the client comes back.

    """
    if not reactor.can_write:
        raise StaysWithRequest("this system has no epoll")
    problem = feed.refusal() or offer.refusal(state.bytes)
    if problem:
        raise StaysWithRequest(problem)
    key = FanoutKey.of(feed.subscription, options, chunked=offer.is_chunked)
    fanout = fanout_for(feed.hub, key, options, reactor)
    sock, problem = None, "it has just ended"
    try:
        sock = offer.take(let_go)
    except OSError as exc:
        problem = f"its connection cannot be duplicated: {exc}"
    if sock is None:
        fanout.close_if_unused()
        raise StaysWithRequest(problem)
    prepare(sock, options.write_timeout)
    handed_off = HandoffConnection(sock, fanout, state, registry)
    try:
        # First, so that the fan-out will not bring what the client has got from the feed.
        feed.hub.dispatch.settle()
        while (joined := handed_off.join(fanout, feed.behind)) is None:
            # The last of the others has left just now.
            fanout = fanout_for(feed.hub, key, options, reactor)
        feed.hub.dispatch.settle()
    except BaseException:
        fanout.leave(handed_off)
        sock.close()
        raise
    finally:
        feed.stop()
    if feed.refusal():
        # It has missed something meanwhile, and the fan-out does not know.
        handed_off.end_with(End(CloseReason.INTERRUPTED))
    registry.hand_off(stream, handed_off)
    if state.visit is not None:
        state.visit.pass_on(handed_off, handed_off.channels)
    # Only now, because it may end at once.
    reactor.call_soon(partial(handed_off.begin, _until(joined.number, feed.mailbox, key)))
    return handed_off


def _until(number: int, mailbox: Mailbox, key: FanoutKey) -> Mailbox | None:
    # What is behind this number is in the rounds.
    if not len(mailbox) and not mailbox.overflowed:
        return None
    earlier = Mailbox(*key.bounds)
    earlier.pour_from(mailbox, number)
    return earlier
