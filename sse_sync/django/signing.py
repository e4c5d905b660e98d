"""Tokens with which a client may read channels."""

from __future__ import annotations

from typing import Any

from django.core import signing

from ..channels.access import SALT, Grant

__all__ = ["check_token", "sign_channels"]


def sign_channels(*channels: str, user: Any = None, ttl: float = 300.0) -> str:
    """
    Return a token with which a client may read some channels, for clients that can send neither
    cookies nor headers: ``/events/?token=…`` at a :class:`RequestedChannelView`.

    It is signed with the project's secret key; ``SECRET_KEY_FALLBACKS`` are accepted. Whoever has
    it may use it, also to come back, until it expires; a stream that was opened with it ends then.

    Args:
        channels: Which channels.
        user: Whom it is given to: whose stream it will be, to end it or to count it. It is not
            compared with whoever is logged in.
        ttl: For how many seconds.

    Raises:
        ConfigurationError: If a channel or the time is unusable.

    """
    return signing.dumps(Grant.issue(channels, user, ttl).claims(), salt=SALT)


def check_token(token: str) -> Grant | None:
    """Return what a token of :func:`sign_channels` grants, or :obj:`None` if it is not valid."""
    try:
        return Grant.from_claims(signing.loads(token, salt=SALT))
    except signing.BadSignature:
        return None
