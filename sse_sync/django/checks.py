"""System checks for the dictionary ``SSE_SYNC``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from ..channels.access import load_hook
from ..exceptions import ConfigurationError
from ..settings import OPTIONS, problems

__all__ = ["check_authorize", "check_settings"]


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the settings, and what to change."""
    given = getattr(settings, "SSE_SYNC", {})
    if not isinstance(given, Mapping):
        return [
            Error(
                f"SSE_SYNC must be a dictionary, not {type(given).__name__}.",
                hint='Write SSE_SYNC = {"HEARTBEAT": 15}, for example.',
                id="sse_sync.E001",
            )
        ]
    found: list[CheckMessage] = [
        Error(_sentence(f"SSE_SYNC: {problem}"), id="sse_sync.E002") for problem in problems(given)
    ]
    found += _outside(given)
    if "sse_sync.django" not in settings.INSTALLED_APPS and given:
        found.append(
            CheckWarning(
                "SSE_SYNC is set, but sse_sync.django is not installed.",
                hint='Add "sse_sync.django" to INSTALLED_APPS.',
                id="sse_sync.W001",
            )
        )
    return found


def _outside(given: Mapping[str, Any]) -> list[CheckMessage]:
    # As Flask's keys are called, and flask-sse's.
    keys = {f"SSE_{option.name.upper()}": option.name.upper() for option in OPTIONS}
    keys["SSE_REDIS_URL"] = "BROKER_URL"
    return [
        _not_read(name, key)
        for name, key in keys.items()
        if hasattr(settings, name) and key not in given
    ]


def _not_read(name: str, key: str) -> CheckMessage:
    text = f"{name} is not read: write SSE_SYNC = {{{key!r}: ...}} instead."
    if name in ("SSE_BROKER_URL", "SSE_REDIS_URL"):
        return Error(text, id="sse_sync.E004")
    return CheckWarning(text, id="sse_sync.W002")  # It may be the project's own.


def check_authorize(**kwargs: Any) -> list[CheckMessage]:
    """Import ``AUTHORIZE``, and return what is wrong with it."""
    given = getattr(settings, "SSE_SYNC", {})
    try:
        load_hook(given.get("AUTHORIZE") if isinstance(given, Mapping) else None)
    except ConfigurationError as exc:
        return [Error(f"SSE_SYNC: {exc}.", id="sse_sync.E003")]
    return []


def _sentence(text: str) -> str:
    return text if text.endswith("?") else text + "."
