"""
One stream and whose it is.

"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from ..exceptions import BrokerUnavailable
from ..streams.admission import Refusal
from .presence import Presence, PresenceTracker

if TYPE_CHECKING:
    from .users import UserStreams

__all__ = ["Dismissable", "UserStream"]

logger = logging.getLogger("sse_sync")

# Seconds after which a place that was refused is asked for once more.
RELOAD = 0.3


class Dismissable(Protocol):
    """
    A stream.

    """

    def dismiss(self, reason: str, for_good: bool) -> None:
        """
        End the stream soon. It never blocks, and anything may call it.

        Args:
            reason: What the page is told.
            for_good: Whether the client is told to stop; otherwise it comes back.

        """


class UserStream:
    """
    One stream and whose it is. Made by :meth:`UserStreams.visit`.

    """

    __slots__ = (
        *("__weakref__", "_entered", "_order", "_places", "_stream"),
        *("channels", "failures", "limits", "people", "presence", "user"),
    )

    def __init__(
        self,
        people: UserStreams,
        user: str | None,
        channels: tuple[str, ...],
        presence: Presence | None,
        limits: tuple[tuple[str, int], ...],
    ) -> None:
        self.people = people
        self.user = user
        self.channels = channels
        self.presence = presence
        self.limits = limits
        self.failures = 0
        """How many re-checks in a row have raised an exception."""
        self._stream: Dismissable | None = None
        self._order: tuple[str, bool] | None = None
        self._places: tuple[str, ...] = ()
        self._entered = False

    def begin(self, stream: Dismissable) -> Refusal | None:
        """
        Count the stream, and let it be reached from now on. It may block.

        Args:
            stream: The stream.

        Returns:
            Why it may not be opened, or :obj:`None` if it may.

        """
        tracker = self.people.tracker
        try:
            for name, limit in self.limits:
                if not self._take_place(tracker, name, limit):
                    logger.warning("stream refused: %s has reached its limit of %d", name, limit)
                    self._give_places()
                    return Refusal.LIMITED
                self._places += (name,)
            self._stream = stream
            self.people.begun(self)
        except BaseException:
            # Killed while it asked, for example.
            self.end()
            raise
        if self._order is not None:
            stream.dismiss(*self._order)
        return None

    def is_of(self, user: str) -> bool:
        """
        Return whether it is somebody's stream, or shows somebody.

        """
        return user == self.user or (self.presence is not None and user == self.presence.user)

    def pass_on(self, stream: Dismissable, channels: tuple[str, ...]) -> None:
        """
        Reach something else in place of the stream, which has become that.

        Args:
            stream: What it has become.
            channels: The same channels as before, as others have them.

        """
        self._stream = stream
        # Thousands of visits are kept: what they have in common is kept once.
        self.channels = channels
        if self._order is not None:
            stream.dismiss(*self._order)

    def arrive(self) -> None:
        """
        Show the user on the channels. It may block.

        """
        if self.presence is None or not self._is_open():
            return
        for channel in self.channels:
            self.people.tracker.enter(channel, self.presence)
        self._entered = True
        if not self._is_open():
            self._leave()  # It has ended meanwhile.
            return
        try:
            self.people.tracker.tell()
        except BrokerUnavailable as exc:
            logger.warning("presence not reported, will retry: %s", exc)
        self.people.book.wake()

    def end(self) -> None:
        """
        Note that the stream has ended. It never blocks. Idempotent.

        """
        self._stream = None
        self.people.ended(self)
        self._leave()
        self._give_places()

    def dismiss(self, reason: str, for_good: bool) -> None:
        """
        End the stream, or keep it from being opened. It never blocks.

        """
        self._order = reason, for_good
        stream = self._stream
        if stream is not None:
            stream.dismiss(reason, for_good)

    def _take_place(self, tracker: PresenceTracker, name: str, limit: int) -> bool:
        if tracker.take_place(name, limit):
            return True
        # A reload may be faster than the news that the page was left.
        self.people.sleep(RELOAD)
        return tracker.take_place(name, limit)

    def _is_open(self) -> bool:
        return self._stream is not None

    def _leave(self) -> None:
        entered, self._entered = self._entered, False
        if entered and self.presence is not None:
            for channel in self.channels:
                self.people.tracker.leave(channel, self.presence)

    def _give_places(self) -> None:
        places, self._places = self._places, ()
        for name in places:
            self.people.tracker.give_place(name)
