"""
Who may read a channel that the client names.

"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from .brokers.base import check_channel
from .exceptions import ConfigurationError

__all__ = ["is_allowed", "load_hook", "what_is_wrong_with"]

logger = logging.getLogger("sse_sync")

# Channels that one request may name.
MAX_NAMED = 100


def load_hook(hook: Callable[..., Any] | str | None) -> Callable[..., Any] | None:
    """
    Return the function that an option gives, or names by its dotted path.

    Raises:
        ConfigurationError: If there is no such function.

    """
    if not isinstance(hook, str):
        return hook
    module, _, name = hook.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise ConfigurationError("authorize", f"names {hook}, which is not there") from exc
    if not callable(found):
        raise ConfigurationError("authorize", f"names {hook}, which is no function")
    return found  # type: ignore[no-any-return]


def is_allowed(channels: Sequence[str], hook: Callable[[str], Any] | None) -> bool:
    """
    Return whether a client may read all of some channels, and log what it may not.

    Args:
        channels: What the client names.
        hook: Takes a channel, and returns something true if the client may read it. Without one
            nothing is allowed.

    """
    for channel in channels:
        if hook is None or not hook(channel):
            why = "" if hook is not None else ": nothing is set that could allow it, see authorize"
            logger.warning("a client was refused the channel %r%s", channel, why)
            return False
    return True


def what_is_wrong_with(channels: Sequence[str]) -> str:
    """
    Return why the channels that a client names cannot be asked for; empty if they can.

    """
    if not 0 < len(channels) <= MAX_NAMED:
        return f"name 1 to {MAX_NAMED} channels, as in ?channel=a&channel=b"
    try:
        for channel in channels:
            check_channel(channel)
    except ConfigurationError as exc:
        return str(exc)
    return ""
