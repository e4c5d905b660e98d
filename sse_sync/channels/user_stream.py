"""One stream and whose it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..closing import End, OpenStream
from .limits import Places
from .presence import Presence
from .reporting import PresenceReporter

__all__ = ["Surroundings", "UserStream"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all user streams of a process share."""

    opened: Callable[[UserStream], object]
    """Called with a stream that is open; it may block."""
    ended: Callable[[UserStream], object]
    """Called with a stream that has ended, perhaps repeatedly; it never blocks."""
    places: Places
    """Counts streams."""
    presence: PresenceReporter
    """Shows users on channels."""


class UserStream:
    """
    One stream and whose it is. Made by :meth:`UserStreams.expect` before the client's permission is
    asked, so that an end that is ordered meanwhile is not missed.

    Args:
        surroundings: What it shares with all others.
        user: The user's key; :obj:`None` if nobody knows.
        channels: Which channels it relays.
        presence: How it shows its user on them.
        limits: Names under which it is counted, and how many there may be of each.
    """

    __slots__ = (
        *("__weakref__", "_end", "_has_entered", "_limits", "_places", "_stream"),
        *("_surroundings", "channels", "presence", "user"),
    )

    def __init__(
        self,
        surroundings: Surroundings,
        user: str | None,
        channels: tuple[str, ...],
        presence: Presence | None,
        limits: tuple[tuple[str, int], ...],
    ) -> None:
        self._surroundings = surroundings
        self._limits = limits
        self._stream: OpenStream | None = None
        self._end: End | None = None
        self._places: tuple[str, ...] | None = None  # Until they are taken.
        self._has_entered = False
        self.user = user
        """The user's key; :obj:`None` if nobody knows."""
        self.channels = channels
        """Which channels it relays."""
        self.presence = presence
        """How it shows its user on them."""

    def begin(self, stream: OpenStream) -> bool:
        """
        Count the stream, and let it be reached from now on. It may block.

        Args:
            stream: The stream.

        Returns:
            Whether it may be opened: not if its user or address has as many as it may.
        """
        if self._places is None and not self.take_places():
            return False
        try:
            self._stream = stream
            self._surroundings.opened(self)
        except BaseException:
            # Killed while it waited, for example.
            self.end()
            raise
        if self._end is not None:
            stream.end_with(self._end)
        return True

    def take_places(self) -> bool:
        """
        Count the stream before it opens, for who must be told that it may not. It may block.

        Returns:
            Whether it may be opened: not if its user or address has as many as it may.
        """
        self._places = self._surroundings.places.take(self._limits)
        return self._places is not None

    def __del__(self) -> None:
        if self._places:
            # It was never opened: middleware has replaced the response, for example.
            self._surroundings.places.abandon(self._places)

    def is_of(self, user: str) -> bool:
        """Return whether it is somebody's stream, or shows somebody."""
        return user == self.user or (self.presence is not None and user == self.presence.user)

    def pass_on(self, stream: OpenStream, channels: tuple[str, ...]) -> None:
        """
        Point at the connection that replaced the stream.

        Args:
            stream: The connection.
            channels: The same channels as before, in a tuple that others have, too.
        """
        self._stream = stream
        # Thousands are kept: what they have in common is kept once.
        self.channels = channels
        if self._end is not None:
            stream.end_with(self._end)

    def arrive(self) -> None:
        """Show the user on the channels. It may block."""
        if self.presence is None or not self._is_open():
            return
        tracker = self._surroundings.presence.tracker
        for channel in self.channels:
            tracker.enter(channel, self.presence)
        self._has_entered = True
        if self._is_open():
            self._surroundings.presence.report()
        else:
            self._leave()  # It has ended meanwhile.

    def end(self) -> None:
        """Record that the stream has ended. It never blocks. Idempotent."""
        self._stream = None
        self._surroundings.ended(self)
        self._leave()
        places, self._places = self._places, None
        self._surroundings.places.give_back(places or ())

    def end_with(self, end: End) -> None:
        """
        End the stream, or keep it from being opened. It never blocks.

        Args:
            end: Why and how.
        """
        self._end = end = self._end or end
        stream = self._stream
        if stream is not None:
            stream.end_with(end)

    def _is_open(self) -> bool:
        return self._stream is not None

    def _leave(self) -> None:
        has_entered, self._has_entered = self._has_entered, False
        if has_entered and self.presence is not None:
            for channel in self.channels:
                self._surroundings.presence.tracker.leave(channel, self.presence)
