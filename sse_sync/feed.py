"""The contract between a stream and its source."""

from __future__ import annotations

import abc
import contextvars
from collections.abc import Callable
from typing import Protocol

from .closing import CloseReason, End
from .runtime import Signal

__all__ = ["Encode", "Feed", "FeedSource"]

Encode = Callable[[object], bytes]
"""Encodes what a source yields."""


class Feed(Protocol):
    """
    What a stream takes its chunks from.

    The stream calls :meth:`start`, then repeatedly :meth:`take` and, if that returned nothing,
    :meth:`wait`, until the feed is stopped or done. When it waits, it has sent all it took.
    """

    done: bool
    """Whether the source has ended, by itself or not."""

    error: BaseException | None
    """The exception that ended the source, if any."""

    reason: CloseReason
    """Why a source that is done has ended: ``FINISHED``, ``FAILED``, ``OVERFLOWED`` or
    ``INTERRUPTED``."""

    end: End | None
    """How the stream ends once the source is done, if the source says so itself."""

    def start(self) -> None:
        """Start the source. None of its code runs before this."""

    def take(self) -> bytes | None:
        """Return the next chunk, or :obj:`None` if there is none yet."""

    def rest(self, end: End) -> tuple[bytes, End]:
        """
        Return what the source gave before it was stopped, and has not been taken; and how the
        stream ends, if something of that is missing.

        Args:
            end: How it was to end.
        """

    def wait(self) -> None:
        """Wait until there may be something to take, or something else to do."""

    def stop(self) -> None:
        """
        End the source as soon as possible. A source that runs here or has not started is closed;
        one that runs elsewhere is not waited for. Idempotent.
        """


class FeedSource(abc.ABC):
    """A source that makes its own feed, because it does not have to run beside the stream."""

    ends_by_itself = False
    """Whether its feed ends without anybody's doing, so that a test client may wait for that."""

    @property
    @abc.abstractmethod
    def is_at_hand(self) -> bool:
        """Whether a feed, once started, has something to send without waiting."""

    @abc.abstractmethod
    def open(
        self, signal: Signal, encode: Encode, context: contextvars.Context, *, plain: bool = False
    ) -> Feed:
        """
        Return the feed of one stream.

        Args:
            signal: Set when there is something to take.
            encode: Encodes an item.
            context: The view's context variables.
            plain: Whether it must not contain events of the library's.
        """
