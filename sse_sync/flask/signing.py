"""Signed tokens that let clients read channels."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import flask
import itsdangerous

from ..channels.access import SALT, Grant

__all__ = ["check_token", "sign_channels"]

logger = logging.getLogger("sse_sync")


def sign_channels(*channels: str, user: Any, ttl: float) -> str:
    """Return a token, as :meth:`.SSE.sign_channels` describes it."""
    return str(_signer().dumps(Grant.issue(channels, user, ttl).claims()))


def check_token(token: str) -> Grant | None:
    """Return what a token grants, or :obj:`None` if it is not valid."""
    if not flask.current_app.secret_key:
        logger.error("refused a signed token: SECRET_KEY is not set, so no token can be checked")
        return None
    try:
        return Grant.from_claims(_signer().loads(token))
    except itsdangerous.BadData:
        return None


def _signer() -> itsdangerous.URLSafeSerializer:
    app = flask.current_app
    if not app.secret_key:
        raise RuntimeError("signing needs the application's secret key: set SECRET_KEY")
    # The last one signs (itsdangerous, "Key Rotation").
    keys = [*reversed(app.config.get("SECRET_KEY_FALLBACKS") or ()), app.secret_key]
    return itsdangerous.URLSafeSerializer(
        keys, salt=SALT, signer_kwargs={"digest_method": hashlib.sha256}
    )
