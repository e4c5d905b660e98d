"""
What an option may be.

A check returns the value as it is used, or raises :exc:`ValueError` with what it must be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeGuard, TypeVar

from .fields import MAX_RETRY

__all__ = [
    "count",
    "flag",
    "histories",
    "hook",
    "is_number",
    "is_whole",
    "milliseconds",
    "or_none",
    "origins",
    "prefix",
    "seconds",
    "url",
]

Checked = TypeVar("Checked")


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is an :class:`int`, and neither True nor False."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value is an :class:`int` or a :class:`float`, and neither True nor False."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def or_none(
    check: Callable[[Any], Checked], none: str = "None for never"
) -> Callable[[Any], Checked | None]:
    """
    Return a check that lets :obj:`None` pass, too.

    Args:
        check: Checks everything else.
        none: What the value None means.
    """

    def checked(value: Any) -> Checked | None:
        try:
            return None if value is None else check(value)
        except ValueError as exc:
            raise ValueError(f"{exc}, or {none}") from None

    return checked


def count(value: Any) -> int:
    """Check a number of things."""
    if not is_whole(value) or value < 1:
        raise ValueError("a positive whole number")
    return value


def seconds(value: Any) -> float:
    """Check a duration, which may be a :class:`~datetime.timedelta`."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if not is_number(value) or not 0 < value < 1e9:
        raise ValueError("a positive number of seconds")
    return float(value)


def milliseconds(value: Any) -> int:
    """Check a reconnection time, which may be a :class:`~datetime.timedelta`."""
    if isinstance(value, timedelta):
        value = value // timedelta(milliseconds=1)
    if not is_whole(value) or not 0 <= value <= MAX_RETRY:
        raise ValueError(f"a whole number of milliseconds, 0 to {MAX_RETRY:,}")
    return value


def flag(value: Any) -> bool:
    """Check a yes or no."""
    if not isinstance(value, bool):
        raise ValueError("True or False")
    return value


def url(value: Any) -> str:
    """Check a URL, as far as any broker's has to be one."""
    if not isinstance(value, str) or "://" not in value:
        raise ValueError("a URL such as redis://localhost/0")
    return value


def histories(value: Any) -> Mapping[str, tuple[int, float]]:
    """Check how much is kept of which channels."""
    wanted = ValueError("a dictionary of channel patterns to (events, seconds)")
    if not isinstance(value, Mapping):
        raise wanted
    for pattern, kept in value.items():
        if not isinstance(pattern, str) or not isinstance(kept, (tuple, list)) or len(kept) != 2:
            raise wanted
    return {pattern: (count(events), seconds(age)) for pattern, (events, age) in value.items()}


def origins(value: Any) -> tuple[str, ...]:
    """Check the origins of other pages, of which one alone may be given as text."""
    if isinstance(value, str):
        value = [value]
    wanted = ValueError('a list of origins such as "https://app.example.com", or "*"')
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise wanted
    for origin in value:
        if origin != "*" and not (isinstance(origin, str) and _is_origin(origin)):
            raise wanted
    return tuple(value)


def hook(value: Any) -> Any:
    """Check a function of the application, which may be named by its dotted path."""
    if value is not None and not callable(value) and not isinstance(value, str):
        raise ValueError("a function, or the dotted path of one")
    return value


def prefix(value: Any) -> str:
    """Check what the names of a broker's keys begin with."""
    good = isinstance(value, str) and value.isprintable() and 0 < len(value) <= 100
    if not good or "{" in value or "}" in value:
        raise ValueError("1 to 100 printable characters, without braces")
    return str(value)


# As browsers write it: a scheme, a host in lower case and ASCII, and a port that is not the
# scheme's own.
_OWN_PORTS = r"(?!http://[^/]*:80\Z)(?!https://[^/]*:443\Z)"
_is_origin = re.compile(_OWN_PORTS + r"[a-z][a-z0-9+.-]*://(?:(?![/?#@*A-Z])[!-~])+\Z").match
