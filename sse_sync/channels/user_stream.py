"""
One stream and whose it is.

"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..closing import CloseReason, End, OpenStream
from ..exceptions import BrokerUnavailable
from .presence import Presence, PresenceTracker

if TYPE_CHECKING:
    from .users import UserStreams

__all__ = ["UserStream"]

logger = logging.getLogger("sse_sync")

# Seconds after which a place that was refused is asked for once more.
RELOAD = 0.3


class UserStream:
    """
    One stream and whose it is. Made by :meth:`UserStreams.expect`.

    """

    __slots__ = (
        *("__weakref__", "_entered", "_order", "_places", "_stream"),
        *("channels", "limits", "presence", "user", "users"),
    )

    def __init__(
        self,
        users: UserStreams,
        user: str | None,
        channels: tuple[str, ...],
        presence: Presence | None,
        limits: tuple[tuple[str, int], ...],
    ) -> None:
        self.users = users
        self.user = user
        self.channels = channels
        self.presence = presence
        self.limits = limits
        self._stream: OpenStream | None = None
        self._order: End | None = None
        self._places: tuple[str, ...] = ()
        self._entered = False

    def begin(self, stream: OpenStream) -> bool:
        """
        Count the stream, and let it be reached from now on. It may block.

        Args:
            stream: The stream.

        Returns:
            Whether it may be opened: not if its user or address has as many as it may.

        """
        tracker = self.users.tracker
        try:
            for name, limit in self.limits:
                if not self._take_place(tracker, name, limit):
                    logger.warning("no more streams for %s: %d are open", name, limit)
                    self._give_places()
                    return False
                self._places += (name,)
            self._stream = stream
            self.users.begun(self)
        except BaseException:
            # Killed while it asked, for example.
            self.end()
            raise
        if self._order is not None:
            stream.end_with(self._order)
        return True

    def is_of(self, user: str) -> bool:
        """
        Return whether it is somebody's stream, or shows somebody.

        """
        return user == self.user or (self.presence is not None and user == self.presence.user)

    def pass_on(self, stream: OpenStream, channels: tuple[str, ...]) -> None:
        """
        Reach something else in place of the stream, which has become that.

        Args:
            stream: What it has become.
            channels: The same channels as before, as others have them.

        """
        self._stream = stream
        # Thousands are kept: what they have in common is kept once.
        self.channels = channels
        if self._order is not None:
            stream.end_with(self._order)

    def arrive(self) -> None:
        """
        Show the user on the channels. It may block.

        """
        if self.presence is None or not self._is_open():
            return
        for channel in self.channels:
            self.users.tracker.enter(channel, self.presence)
        self._entered = True
        if not self._is_open():
            self._leave()  # It has ended meanwhile.
            return
        try:
            self.users.tracker.tell()
        except BrokerUnavailable as exc:
            logger.warning("the presence of a user is told later: %s", exc)
        self.users.book.wake()

    def end(self) -> None:
        """
        Note that the stream has ended. It never blocks. Idempotent.

        """
        self._stream = None
        self.users.ended(self)
        self._leave()
        self._give_places()

    def dismiss(self, reason: str, for_good: bool) -> None:
        """
        End the stream, or keep it from being opened. It never blocks.

        """
        self._order = end = End(CloseReason.DISMISSED, for_good, reason)
        stream = self._stream
        if stream is not None:
            stream.end_with(end)

    def _take_place(self, tracker: PresenceTracker, name: str, limit: int) -> bool:
        if tracker.take_place(name, limit):
            return True
        # A reload may be faster than the news that the page was left.
        self.users.sleep(RELOAD)
        return tracker.take_place(name, limit)

    def _is_open(self) -> bool:
        return self._stream is not None

    def _leave(self) -> None:
        entered, self._entered = self._entered, False
        if entered and self.presence is not None:
            for channel in self.channels:
                self.users.tracker.leave(channel, self.presence)

    def _give_places(self) -> None:
        places, self._places = self._places, ()
        for name in places:
            self.users.tracker.give_place(name)
