"""Who may read a channel that the client names, or that somebody has allowed it by a signature."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from ..brokers.base import check_channel
from ..exceptions import ConfigurationError, SSEError
from ..validation import is_number
from .presence import user_key

__all__ = ["SALT", "AccessRefused", "Grant", "Query", "check_fixed", "is_allowed", "is_yes"]
__all__ += ["load_hook", "requested", "what_is_wrong_with"]

logger = logging.getLogger("sse_sync")

# What is signed says what it is for, so that no other signature of the application can pass for it.
SALT = "sse_sync.channels.app"
# Seconds by which clocks of different machines may differ.
CLOCK_SKEW = 5.0

# Channels that one request may name.
MAX_NAMED = 100


class AccessRefused(SSEError):
    """Raised when a client may not read what it asks for; the fronts make a response of it."""

    def __init__(self, status: int, problem: str = "") -> None:
        super().__init__(status, problem)
        self.status = status
        """403, or 400 for names that no channel can have."""
        self.problem = problem
        """What the client is told of its names."""

    def __str__(self) -> str:
        return self.problem or "the client may not read these channels"


class Query(Protocol):
    """A URL's query, as the frameworks parse it."""

    def get(self, key: str, /) -> Any:
        """Return one value, or None."""

    def getlist(self, key: str, /) -> Sequence[str]:
        """Return all values."""


@dataclass(frozen=True)
class Grant:
    """What the bearer of a signed token may read. The fronts sign its :meth:`claims`."""

    channels: tuple[str, ...]
    """Which channels."""
    user: str | None
    """Whom it was given to, if that was said."""
    expires: float
    """Until when, in seconds since 1970."""

    @classmethod
    def issue(cls, channels: Sequence[str], user: Any, ttl: float) -> Grant:
        """
        Return a grant that begins now.

        Whoever has its token may use it, and reconnect, until it expires; then its streams end.

        Args:
            channels: Which channels.
            user: Whose stream it will be, to end it or to count it: text, a number or a UUID. It is
                not compared with whoever is logged in.
            ttl: Seconds until it expires.

        Raises:
            ConfigurationError: If a channel, the user or the time is unusable.
        """
        problem = what_is_wrong_with(channels)
        if problem:
            raise ConfigurationError("channels", f"cannot be signed: {problem}")
        if not is_number(ttl) or not 0 < ttl <= 86_400:
            raise ConfigurationError("ttl", "must be more than 0 and at most 86,400 seconds")
        key = None if user is None else user_key(user)
        return cls(tuple(channels), key, time.time() + ttl)

    def lifetime(self, configured: float | None) -> float:
        """Return how many seconds a stream may last that is opened with this grant now."""
        # At least a moment, because clocks may differ.
        left = max(1.0, self.expires - time.time())
        return left if configured is None else min(left, configured)

    @classmethod
    def from_claims(cls, claims: Any) -> Grant | None:
        """Return the grant of claims whose signature was valid, or None if it has expired."""
        channels, user, expires = claims
        if time.time() > expires + CLOCK_SKEW:
            return None
        return cls(tuple(channels), user, expires)

    def claims(self) -> list[Any]:
        """Return what is to be signed: values that JSON can express."""
        return [list(self.channels), self.user, int(self.expires)]


def requested(
    query: Query, check_token: Callable[[str], Grant | None]
) -> tuple[tuple[str, ...], Grant | None]:
    """
    Return which channels a client asks for, and what a token that it sent grants.

    Without a token, the channels are what the client wrote in ``?channel=a&channel=b``: anything.

    Raises:
        AccessRefused: If the token is not valid.
    """
    token = query.get("token")
    if token is None:
        return tuple(query.getlist("channel")), None
    grant = check_token(token)
    if grant is None:
        raise AccessRefused(403)
    return grant.channels, grant


def check_fixed(query: Query, channels: Sequence[str]) -> None:
    """
    Refuse a client that asks an endpoint for other channels than those that it relays.

    It would get other events than it asked for, and nobody would notice.

    Raises:
        AccessRefused: If it names another.
    """
    for name in query.getlist("channel"):
        if name not in channels:
            fixed = ", ".join(channels)
            logger.warning("refused a client the channel %r: the endpoint relays %s", name, fixed)
            raise AccessRefused(400, "the channels of this endpoint are fixed: leave out ?channel=")


def load_hook(hook: Callable[..., Any] | str | None) -> Callable[..., Any] | None:
    """
    Return the function that the option ``authorize`` gives, or names by its dotted path.

    Raises:
        ConfigurationError: If there is no such function.
    """
    if not isinstance(hook, str):
        return hook
    module, _, name = hook.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise ConfigurationError("authorize", f"names {hook}, which cannot be imported") from exc
    if not callable(found):
        raise ConfigurationError("authorize", f"names {hook}, which is not a function")
    return found  # type: ignore[no-any-return]


def is_allowed(channels: Sequence[str], hook: Callable[[str], Any] | None) -> bool:
    """Return whether the hook allows a client all channels that it names; log what it may not."""
    for channel in channels:
        if hook is None or not is_yes(hook(channel), "authorize"):
            why = "" if hook is not None else ": no authorize function is set to allow it"
            logger.warning("refused a client the channel %r%s", channel, why)
            return False
    return True


def is_yes(answer: object, hook: str) -> bool:
    """
    Return whether a hook, by its name in the settings, has said yes.

    Only :obj:`True` is: a coroutine that nobody has awaited is true, too, and so is a response that
    says no.
    """
    if not (answer is None or isinstance(answer, bool)):
        kind = type(answer).__name__
        logger.error("%s must return True or False; %s counts as False", hook, kind)
    return answer is True


def what_is_wrong_with(channels: Sequence[str]) -> str:
    """Return why a client cannot name these channels; an empty text if it can."""
    if not 0 < len(channels) <= MAX_NAMED:
        return f"name 1 to {MAX_NAMED} channels, as in ?channel=a&channel=b"
    try:
        for channel in channels:
            check_channel(channel)
    except ConfigurationError as exc:
        return str(exc)
    return ""
