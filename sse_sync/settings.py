"""
Every option once: name, default, what it may be, what it means.

Flask reads ``SSE_<NAME>`` from ``app.config``; Django reads ``<NAME>`` from the dictionary
``SSE_SYNC``; decorators and responses take the name in lower case.

"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from .event import MAX_RETRY
from .exceptions import ConfigurationError
from .proxies import parse_proxies

__all__ = ["OPTIONS", "Option", "Options", "misspelt", "problems", "stream_options"]


@dataclass(frozen=True)
class Options:
    """
    How a stream behaves. Every field is described in :data:`OPTIONS`.

    """

    heartbeat: float | None = 15.0
    retry: int = 3_000
    lifetime: float | None = None
    write_timeout: float | None = 30.0
    reconnect: bool = False
    debug: bool = False
    retry_failed: int = 10_000
    retry_stopping: int = 2_000
    retry_full: int = 30_000
    cors_origins: tuple[str, ...] = ()
    cors_credentials: bool = False
    max_streams: int | None = None
    broker_url: str = "memory://"
    channel_prefix: str = "sse"
    history: int = 1_000
    history_age: float = 3_600.0
    channel_histories: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    authorize: Callable[..., Any] | str | None = None
    max_streams_per_user: int | None = None
    max_streams_per_address: int | None = None
    trusted_proxies: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.cors_credentials and "*" in self.cors_origins:
            # Fetch standard, 3.2.5: a browser would refuse it; and every site could read
            # what a visitor may.
            raise ConfigurationError("cors_credentials", "needs a list of origins, not *")

    @classmethod
    def read(cls, given: Mapping[str, Any], prefix: str, **defaults: Any) -> Options:
        """
        Return the options that a framework's configuration holds.

        Args:
            given: The configuration; what does not start with the prefix is ignored.
            prefix: What the framework puts before an option's upper-case name.
            defaults: Values for options the configuration leaves out.

        Raises:
            ConfigurationError: If a value is unusable.

        """
        values = dict(defaults)
        for option in OPTIONS:
            key = prefix + option.name.upper()
            if key in given:
                values[option.name] = option.checked(given[key], key)
        return cls(**values)

    def replace(self, changes: Mapping[str, Any]) -> Options:
        """
        Return these options with some of them changed.

        Args:
            changes: New values by lower-case name.

        Raises:
            ConfigurationError: If a name is unknown or a value is unusable.

        """
        if not changes:
            return self
        values = dict(vars(self))
        for name, value in changes.items():
            option = _by_name.get(name)
            if option is None or not option.per_stream:
                raise ConfigurationError(name, _unknown(name, _stream_names))
            values[name] = option.checked(value, name)
        return Options(**values)


def stream_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return those of a response's arguments that are options of its stream.

    Args:
        arguments: Keyword arguments of a front's response class.

    """
    return {k: v for k, v in arguments.items() if k not in ("headers", "on_close", "user")}


@dataclass(frozen=True)
class Option:
    """
    One option.

    """

    name: str
    """Name in lower case."""
    check: Callable[[Any], Any]
    """Returns the value as it is used; raises :exc:`ValueError` with what it must be."""
    meaning: str
    """What it does, with its unit."""
    per_stream: bool = True
    """Whether one stream may differ from the others."""
    is_secret: bool = False
    """Whether the value may hold a password, so that errors do not show it."""

    @property
    def default(self) -> Any:
        """Value where nothing is configured."""
        return getattr(_DEFAULTS, self.name)

    def checked(self, value: Any, key: str) -> Any:
        """
        Return the value as it is used.

        Args:
            value: What was given.
            key: How the user spells the option.

        Raises:
            ConfigurationError: If the value is unusable.

        """
        try:
            return self.check(value)
        except ValueError as exc:
            shown = "" if self.is_secret else f", not {value!r}"
            raise ConfigurationError(key, f"must be {exc}{shown}") from None


def problems(given: Mapping[str, Any]) -> list[ConfigurationError]:
    """
    Return what is wrong with a dictionary that holds nothing but options.

    Args:
        given: Values by upper-case name.

    """
    found: list[ConfigurationError] = []
    names = [option.name.upper() for option in OPTIONS]
    for key, value in given.items():
        option = _by_name.get(str(key).lower()) if key in names else None
        if option is None:
            found.append(ConfigurationError(str(key), _unknown(str(key), names)))
            continue
        try:
            option.checked(value, key)
        except ConfigurationError as exc:
            found.append(exc)
    if not found:
        try:
            Options.read(given, "")
        except ConfigurationError as exc:
            found.append(exc)
    return found


def misspelt(given: Mapping[str, Any], prefix: str) -> list[ConfigurationError]:
    """
    Return the keys of a configuration that look like options, and are none.

    Args:
        given: A configuration that holds other things, too.
        prefix: What the framework puts before an option's upper-case name.

    """
    names = [prefix + option.name.upper() for option in OPTIONS]
    return [
        ConfigurationError(key, _unknown(key, names))
        for key in given
        if key.startswith(prefix) and key not in names and get_close_matches(key, names, 1, 0.8)
    ]


def _seconds(value: Any) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        raise ValueError("a positive number of seconds")
    return float(value)


def _seconds_or_none(value: Any) -> float | None:
    try:
        return None if value is None else _seconds(value)
    except ValueError as exc:
        raise ValueError(f"{exc}, or None for never") from None


def _milliseconds(value: Any) -> int:
    if isinstance(value, timedelta):
        value = value // timedelta(milliseconds=1)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_RETRY:
        raise ValueError(f"a whole number of milliseconds, 0 to {MAX_RETRY:,}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("True or False")
    return value


def _count_or_none(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("a positive whole number, or None to ask the server")
    return value


def _limit_or_none(value: Any) -> int | None:
    try:
        return None if value is None else _count(value)
    except ValueError as exc:
        raise ValueError(f"{exc}, or None for no limit") from None


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("a positive whole number")
    return value


def _url(value: Any) -> str:
    if not isinstance(value, str) or "://" not in value:
        raise ValueError("a URL such as redis://localhost/0")
    return value


def _histories(value: Any) -> Mapping[str, tuple[int, float]]:
    wanted = ValueError("a dictionary of channel patterns to (events, seconds)")
    if not isinstance(value, Mapping):
        raise wanted
    for pattern, kept in value.items():
        if not isinstance(pattern, str) or not isinstance(kept, (tuple, list)) or len(kept) != 2:
            raise wanted
    return {pattern: (_count(events), _seconds(age)) for pattern, (events, age) in value.items()}


def _origins(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    wanted = ValueError('a list of origins such as "https://app.example.com", or "*"')
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise wanted
    for origin in value:
        if origin != "*" and not (isinstance(origin, str) and _is_origin(origin)):
            raise wanted
    return tuple(value)


# As browsers write it: a scheme, a host in lower case and ASCII, and a port that is not the
# scheme's own.
_OWN_PORTS = r"(?!http://[^/]*:80\Z)(?!https://[^/]*:443\Z)"
_is_origin = re.compile(_OWN_PORTS + r"[a-z][a-z0-9+.-]*://(?:(?![/?#@*A-Z])[!-~])+\Z").match


def _hook(value: Any) -> Any:
    if value is not None and not callable(value) and not isinstance(value, str):
        raise ValueError("a function, or the dotted path of one")
    return value


def _prefix(value: Any) -> str:
    good = isinstance(value, str) and value.isprintable() and 0 < len(value) <= 100
    if not good or "{" in value or "}" in value:
        raise ValueError("1 to 100 printable characters, without braces")
    return str(value)


OPTIONS: tuple[Option, ...] = (
    Option(
        "heartbeat",
        _seconds_or_none,
        "Seconds without anything sent after which a comment is sent, so that proxies keep the"
        " connection. None for never.",
    ),
    Option(
        "retry",
        _milliseconds,
        "Reconnection time in milliseconds that every stream begins with.",
    ),
    Option(
        "lifetime",
        _seconds_or_none,
        "Seconds after which a stream ends so that its client reconnects, perhaps elsewhere;"
        " each stream draws between 80 and 100 % of it. None for never.",
    ),
    Option(
        "write_timeout",
        _seconds_or_none,
        "Seconds a client may take to accept what was sent before its connection is cut."
        " None for never.",
    ),
    Option(
        "reconnect",
        _flag,
        "Whether a client shall come back when a generator has finished. Otherwise it is told"
        " to stop: the last event is stream-end, and a reconnection is answered 204.",
    ),
    Option(
        "debug",
        _flag,
        "Whether a stream-error event shows the exception. The framework's own debug mode where"
        " it is not set.",
    ),
    Option(
        "retry_failed",
        _milliseconds,
        "Reconnection time in milliseconds after an exception in a generator; each client"
        " draws between one and two times that.",
    ),
    Option(
        "retry_stopping",
        _milliseconds,
        "Reconnection time in milliseconds when the server stops or reloads; each client draws"
        " between one and two times that.",
    ),
    Option(
        "retry_full",
        _milliseconds,
        "Reconnection time in milliseconds when the process holds as many streams as it can;"
        " each client draws between one and two times that.",
    ),
    Option(
        "cors_origins",
        _origins,
        "Other origins whose pages may read the stream, as browsers write them:"
        " https://app.example.com. * lets all of them, without credentials.",
    ),
    Option(
        "cors_credentials",
        _flag,
        "Whether pages of these origins may read it with their visitors' cookies.",
    ),
    Option(
        "max_streams",
        _count_or_none,
        "Streams that one process may hold. None takes what the server's settings allow, less"
        " a reserve for ordinary requests.",
        per_stream=False,
    ),
    Option(
        "broker_url",
        _url,
        "What carries events between processes: redis://, rediss:// or unix:// as redis-py reads"
        " them; redis+cluster://host:port,host:port; redis+sentinel://host:port/name; memory://"
        " serves a single one.",
        per_stream=False,
        is_secret=True,
    ),
    Option(
        "channel_prefix",
        _prefix,
        "What all keys and channels in Redis begin with, so that projects can share one.",
        per_stream=False,
    ),
    Option(
        "history",
        _count,
        "Events of each channel that are kept for clients that come back.",
        per_stream=False,
    ),
    Option(
        "history_age",
        _seconds,
        "Seconds that an event is kept for clients that come back.",
        per_stream=False,
    ),
    Option(
        "channel_histories",
        _histories,
        "Channels of which more or less is kept: shell-style patterns of names, each with how many"
        " events and how many seconds. The first that fits counts.",
        per_stream=False,
    ),
    Option(
        "authorize",
        _hook,
        "Function, or its dotted path, that is asked whether the client may read a channel that it"
        " names itself. Without one such channels are refused.",
        per_stream=False,
    ),
    Option(
        "max_streams_per_user",
        _limit_or_none,
        "Streams that one user may have open, in all processes. None for any number.",
    ),
    Option(
        "max_streams_per_address",
        _limit_or_none,
        "Streams that one address may have open, in all processes; an IPv6 network of 64 bits"
        " counts as one. None for any number.",
    ),
    Option(
        "trusted_proxies",
        parse_proxies,
        "Proxies whose X-Forwarded-For is believed: addresses, networks such as 10.0.0.0/8, or"
        " unix for whoever connects through a unix socket.",
        per_stream=False,
    ),
)
"""All options, in the order of the documentation."""

_DEFAULTS = Options()
_by_name = {option.name: option for option in OPTIONS}
_stream_names = [option.name for option in OPTIONS if option.per_stream]


def _unknown(name: str, names: Iterable[str]) -> str:
    spelled = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), spelled, 1)
    known = ", ".join(sorted(spelled.values()))
    hint = f"did you mean {spelled[close[0]]}?" if close else f"known are {known}"
    return f"is not an option; {hint}"
