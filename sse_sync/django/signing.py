"""Signed tokens that let clients read channels."""

from __future__ import annotations

from typing import Any

from django.core import signing

from ..channels.access import SALT, Grant

__all__ = ["check_token", "sign_channels"]


def sign_channels(*channels: str, user: Any = None, ttl: float = 300.0) -> str:
    """
    Return a token that lets a client read some channels. See :meth:`.Grant.issue`.

    For clients that can send neither cookies nor headers: ``/events/?token=…`` at a
    :class:`RequestedChannelView`. It is signed with the project's secret key;
    ``SECRET_KEY_FALLBACKS`` are accepted.
    """
    return signing.dumps(Grant.issue(channels, user, ttl).claims(), salt=SALT)


def check_token(token: str) -> Grant | None:
    """Return what a token of :func:`sign_channels` grants, or :obj:`None` if it is not valid."""
    try:
        return Grant.from_claims(signing.loads(token, salt=SALT))
    except signing.BadSignature:
        return None
