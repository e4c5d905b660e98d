"""
The contract between a stream and what it draws from.

"""

from __future__ import annotations

import abc
import contextvars
from collections.abc import Callable
from typing import Protocol

from .runtime import Signal

__all__ = ["Encode", "Feed", "FeedSource"]

Encode = Callable[[object], bytes]
"""Makes bytes of what a source yields."""


class Feed(Protocol):
    """
    What a stream draws from.

    The stream calls :meth:`start`, then :meth:`take` and, if there was nothing, :meth:`wait`,
    until it is stopped or done. When it waits, what it took before has been sent.

    """

    done: bool
    """Whether the source has ended, by itself or not."""

    error: BaseException | None
    """What the source raised, if it ended that way."""

    overflowed: bool
    """Whether it ended because the client was slower than its events."""

    def start(self) -> None:
        """Begin. Nothing of the source runs before."""

    def take(self) -> bytes | None:
        """Return the next chunk, or :obj:`None` if there is none yet."""

    def wait(self) -> None:
        """Wait until there may be something to take, or something else to be done."""

    def stop(self) -> None:
        """
        End the source as soon as possible. Idempotent; it does not wait for a source that runs
        elsewhere, and closes one that runs here or has not begun.

        """


class FeedSource(abc.ABC):
    """A source that makes its own feed, because nothing of it has to run beside the stream."""

    @property
    @abc.abstractmethod
    def is_at_hand(self) -> bool:
        """Whether a feed has something to send as soon as it is started, without waiting."""

    @abc.abstractmethod
    def open(self, signal: Signal, encode: Encode, context: contextvars.Context) -> Feed:
        """
        Return the feed of one stream.

        Args:
            signal: Set whenever there is something to take.
            encode: Makes bytes of an item.
            context: Context variables of the view.

        """
