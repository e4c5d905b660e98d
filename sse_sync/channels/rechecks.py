"""
Asking again whether streams may go on.

"""

from __future__ import annotations

import logging
import random
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .. import runtime as _runtime
from ..exceptions import ConfigurationError
from ..runtime.background import BackgroundTask
from ..runtime.clock import Clock, monotonic
from .access import is_yes
from .user_stream import UserStream

__all__ = ["Recheck", "Rechecks"]

logger = logging.getLogger("sse_sync")

# Questions of a regular round that are asked in one context. Each who was told of is asked about in
# one of its own, because a database may go on showing what a context saw first.
AT_ONCE = 20

# Seconds until a question that raised an exception is asked again, and how often that may happen
# before the client has to come back and be asked in a request.
RETRY = 5.0
PATIENCE = 5

Recheck = Callable[[str | None, tuple[str, ...]], Any]
"""Takes a user key and channels; tells whether the user may still read them."""


class Rechecks:
    """
    Ask about streams, in a greenlet or thread of its own.

    Args:
        everybody: Returns the streams that are open.
        recheck: Returns whom to ask; :obj:`None` for nobody.
        every: Seconds between two times that all streams with a user are asked about;
            :obj:`None` for only when told.
        within: Returns the context in which to ask.
        denials: Exceptions by which the hook says no.
        clock: Tells the time.

    """

    def __init__(
        self,
        everybody: Callable[[], Sequence[UserStream]],
        *,
        recheck: Callable[[], Recheck | None] = lambda: None,
        every: float | None = None,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
        denials: tuple[type[Exception], ...] = (),
        clock: Clock = monotonic,
    ) -> None:
        self._everybody = everybody
        self._recheck = recheck
        self._every = every
        self._within = within
        self._denials = denials
        self._clock = clock
        # Those who were told of, with when to ask; and those of the regular round.
        self._doubted: dict[UserStream, float] = {}
        self._round: deque[UserStream] = deque()
        self._next_round = 0.0
        self.task = BackgroundTask(self._ask, "sse-sync recheck")
        """What asks."""

    def begun(self, user_stream: UserStream) -> None:
        """
        Note that a stream has been opened.

        """
        if self._every is not None and user_stream.user is not None:
            self.task.wake()

    def doubt(self, user_streams: list[UserStream]) -> None:
        """
        Ask about some streams soon, or have their clients come back if nobody can be asked. It
        never blocks.

        """
        if not user_streams:
            return
        if not self._has_hook():
            for user_stream in user_streams:
                user_stream.dismiss("", False)
            return
        now = self._clock()
        self._doubted.update(dict.fromkeys(user_streams, now))
        self.task.wake()

    def _has_hook(self) -> bool:
        try:
            return self._recheck() is not None
        except ConfigurationError:
            logger.exception("nobody can be asked whether a stream may go on")
            return False  # Then everybody has to come back.

    def _ask(self) -> float | None:
        hook = self._recheck()
        if hook is None:
            return None
        while True:
            if self._is_round_due():
                self._round.extend(v for v in self._everybody() if v.user is not None)
            told = self._take_doubted()
            if told:
                for some in _alike(told):
                    self._ask_about([some], hook)
            elif self._round:
                count = min(len(self._round), AT_ONCE)
                some = [self._round.popleft() for _ in range(count)]
                self._ask_about(_alike(some), hook)
            else:
                return self._until_next()

    def _is_round_due(self) -> bool:
        now = self._clock()
        if self._every is None or now < self._next_round or self._round:
            return False
        self._next_round = now + self._every * random.uniform(0.9, 1.0)
        return True

    def _until_next(self) -> float | None:
        now = self._clock()
        due = list(self._doubted.values())
        if self._every is not None and any(v.user is not None for v in self._everybody()):
            due.append(self._next_round)
        return max(0.0, min(due) - now) if due else None

    def _take_doubted(self) -> list[UserStream]:
        now = self._clock()
        due = [user_stream for user_stream, when in list(self._doubted.items()) if when <= now]
        for user_stream in due:
            self._doubted.pop(user_stream, None)
        return due

    def _ask_about(self, alike: list[list[UserStream]], hook: Recheck) -> None:
        # Once for all streams of a user that have the same channels.
        try:
            with self._within():
                for some in alike:
                    self._ask_once(some, hook)
        except BaseException as exc:  # The context itself has failed.
            if _runtime.is_exit(exc):
                raise
            logger.exception("asking whether streams may go on failed")
            self._ask_later([user_stream for same in alike for user_stream in same])

    def _ask_once(self, some: list[UserStream], hook: Recheck) -> None:
        user, channels = some[0].user, some[0].channels
        try:
            allowed = is_yes(hook(user, channels), "recheck")
        except self._denials:
            allowed = False
        except BaseException as exc:
            if _runtime.is_exit(exc):
                raise
            logger.exception("asking whether a stream may go on failed")
            self._ask_later(some)
            return
        for user_stream in some:
            user_stream.failures = 0
            if not allowed:
                logger.info("a stream of %s has lost its permission", user)
                user_stream.dismiss("", False)

    def _ask_later(self, user_streams: list[UserStream]) -> None:
        for user_stream in user_streams:
            user_stream.failures += 1
            if user_stream.failures >= PATIENCE:
                user_stream.dismiss("", False)
            else:
                self._doubted[user_stream] = self._clock() + RETRY


def _alike(user_streams: list[UserStream]) -> list[list[UserStream]]:
    same = defaultdict(list)
    for user_stream in user_streams:
        same[user_stream.user, user_stream.channels].append(user_stream)
    return list(same.values())
