"""The stage of a stream."""

from __future__ import annotations

import enum

__all__ = ["State"]


class State(enum.Enum):
    """The stage a stream has reached. It only moves forward."""

    NEW = "new"
    """The source has not started."""
    OPEN = "open"
    """The source runs, and its events are sent."""
    BREAKING = "breaking"
    """The last bytes have been given to the server, and then the connection is broken off."""
    ENDING = "ending"
    """The last bytes have been given to the server."""
    CLOSED = "closed"
    """The server has closed the stream."""
