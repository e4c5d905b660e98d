"""The URLs with which a page opens streams that begin where the page was rendered."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..brokers.base import Position
from ..exceptions import BrokerUnavailable
from .hub import Hub
from .selection import check_position

__all__ = ["stream_query"]

logger = logging.getLogger("sse_sync")

# No position at all. Its stream begins with a stream-reset, once the broker can tell the present.
UNKNOWN = "unknown"


def stream_query(
    hub: Hub, channels: Sequence[str], token: str | None, since: Position | str | None
) -> dict[str, list[str] | str]:
    """
    Return the query of a stream's URL.

    If the broker is unavailable, the page is rendered all the same: once the broker is back, its
    stream begins with a ``stream-reset``, after which the page loads its state.

    Args:
        hub: The hub of the channels.
        channels: Channels that the client names; none where the endpoint knows them.
        token: A token that names the channels, if there is one.
        since: A position; :obj:`None` for the present one.

    Raises:
        ConfigurationError: If it is no position, such as a variable that the template lacks.
    """
    since = check_position("since", since)
    if since is None:
        try:
            since = hub.position()
        except BrokerUnavailable as exc:
            logger.warning("a page is rendered without a position, so its stream resets: %s", exc)
    query: dict[str, list[str] | str] = {"lastEventId": str(since or UNKNOWN)}
    if token is not None:
        return {"token": token, **query}
    return {"channel": list(channels), **query} if channels else query
