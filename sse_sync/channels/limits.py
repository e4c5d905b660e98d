"""
Limits: how many streams one user, and one address, may have open in all processes.

The counts themselves travel with presence, in one report to the broker: see
:class:`~sse_sync.channels.presence.PresenceTracker`. How many one process may hold is decided in
:mod:`sse_sync.streams.admission`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..proxies import UNKNOWN, client_address
from ..settings import Options
from .presence import PresenceTracker, user_key

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["Limits", "Places"]

logger = logging.getLogger("sse_sync")

# Seconds after which a place that was refused is asked for once more.
RELOAD = 0.3


class Limits:
    """
    Tell which limits apply to a stream.

    Args:
        trusted_proxies: Proxies that are believed what they tell of a client's address.
    """

    def __init__(self, trusted_proxies: Sequence[Any]) -> None:
        self._trusted_proxies = trusted_proxies
        self._warned = False

    def of(self, environ: WSGIEnvironment, user: Any, options: Options) -> list[tuple[str, int]]:
        """
        Return the names under which a stream is counted, and how many streams each may have.

        Args:
            environ: The request's WSGI environ.
            user: Whose stream it is; :obj:`None` if nobody knows.
            options: The stream's options.

        Raises:
            ConfigurationError: If the user is unusable.
        """
        limits = []
        if user is not None and options.max_streams_per_user is not None:
            limits.append((f"the user {user_key(user)}", options.max_streams_per_user))
        if options.max_streams_per_address is not None:
            address = self._address(environ)
            limits.append((f"the address {address}", options.max_streams_per_address))
        return limits

    def _address(self, environ: WSGIEnvironment) -> str:
        address = client_address(environ, self._trusted_proxies)
        if address == UNKNOWN and not self._warned:
            self._warned = True
            logger.warning(
                "the server reports no client address, so all clients share one limit:"
                ' if a proxy connects through a unix socket, add "unix" to trusted_proxies'
            )
        return address


class Places:
    """
    Take a stream's places within its limits, and give them back.

    Args:
        tracker: Counts streams, together with the other processes.
        sleep: Sleeps for the given number of seconds.
    """

    def __init__(self, tracker: PresenceTracker, sleep: Callable[[float], object]) -> None:
        self._tracker = tracker
        self._sleep = sleep
        self._abandoned: deque[str] = deque()

    def take(self, limits: Iterable[tuple[str, int]]) -> tuple[str, ...] | None:
        """
        Take one place under each name, or none at all. It may block.

        Args:
            limits: Names, and how many places each has in all processes.

        Returns:
            The names, for :meth:`give_back`; :obj:`None` if one of them has no place left.
        """
        self.collect()
        taken: tuple[str, ...] = ()
        try:
            for name, limit in limits:
                if not self._take(name, limit):
                    logger.warning("no more streams for %s: %d are open", name, limit)
                    self.give_back(taken)
                    return None
                taken += (name,)
        except BaseException:
            # Killed while it asked, for example.
            self.give_back(taken)
            raise
        return taken

    def give_back(self, names: Iterable[str]) -> None:
        """Give places back. It never blocks."""
        for name in names:
            self._tracker.give_place(name)

    def abandon(self, names: Iterable[str]) -> None:
        """
        Have places given back by :meth:`collect`. The garbage collector calls it, perhaps while the
        same thread changes the counts.
        """
        self._abandoned.extend(names)

    def collect(self) -> None:
        """Give back what was abandoned. Called now and then; it never blocks."""
        with suppress(IndexError):
            while True:
                self._tracker.give_place(self._abandoned.popleft())

    def _take(self, name: str, limit: int) -> bool:
        if self._tracker.take_place(name, limit):
            return True
        # A reload may be faster than the news that the page was left.
        self._sleep(RELOAD)
        return self._tracker.take_place(name, limit)
