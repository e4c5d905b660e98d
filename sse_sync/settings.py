"""
Every option, declared once: its name, default, check and meaning.

Flask reads ``SSE_<NAME>`` from ``app.config``; Django reads ``<NAME>`` from the dictionary
``SSE_SYNC``; decorators and responses take the name in lower case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, TypedDict

from .exceptions import ConfigurationError
from .proxies import parse_proxies
from .validation import (
    count,
    flag,
    histories,
    hook,
    milliseconds,
    or_none,
    origins,
    prefix,
    seconds,
    url,
)

__all__ = ["OPTIONS", "ChannelOptions", "Option", "Options", "StreamOptions"]
__all__ += ["misspelt", "problems"]


@dataclass(frozen=True)
class Options:
    """How a stream behaves. Every field is described in :data:`OPTIONS`."""

    heartbeat: float | None = 15.0
    retry: int | None = 3_000
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
    max_jobs: int | None = 1_000
    max_jobs_per_user: int | None = None
    job_grace: float = 20.0

    def __post_init__(self) -> None:
        if self.cors_credentials and "*" in self.cors_origins:
            # Fetch standard, 3.2.5: browsers refuse it. Otherwise every site could read what
            # its visitor may read.
            raise ConfigurationError("cors_credentials", "needs a list of origins, not *")

    @classmethod
    def read(cls, given: Mapping[str, Any], prefix: str, *, debug: bool = False) -> Options:
        """
        Return the options that a framework's configuration holds.

        Args:
            given: The configuration; keys that do not start with the prefix are ignored.
            prefix: What the framework puts before an option's upper-case name.
            debug: The framework's debug mode, used if the configuration does not set one.

        Raises:
            ConfigurationError: If a value is unusable, an option was removed, or the broker's URL
                is set under flask-sse's key.
        """
        values: dict[str, Any] = {"debug": debug}
        for name, instead in _REMOVED.items():
            if prefix + name in given:
                raise ConfigurationError(prefix + name, instead)
        broker_url = prefix + "BROKER_URL"
        if prefix + "REDIS_URL" in given and broker_url not in given:
            # Where both are given, flask-sse is in use, too, as during a migration.
            raise ConfigurationError(
                prefix + "REDIS_URL", f"is flask-sse's key: set {broker_url} to the same URL"
            )
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


class StreamOptions(TypedDict, total=False):
    """Options that a single stream may override; :data:`OPTIONS` describes them."""

    heartbeat: float | timedelta | None
    retry: int | timedelta | None
    lifetime: float | timedelta | None
    write_timeout: float | timedelta | None
    reconnect: bool
    debug: bool
    retry_failed: int | timedelta
    retry_stopping: int | timedelta
    retry_full: int | timedelta
    cors_origins: str | Iterable[str]
    cors_credentials: bool
    max_streams_per_user: int | None
    max_streams_per_address: int | None


class ChannelOptions(TypedDict, total=False):
    """Options of the broker's channels, in addition to its URL; see :data:`OPTIONS`."""

    channel_prefix: str
    history: int
    history_age: float | timedelta
    channel_histories: Mapping[str, tuple[int, float | timedelta]]


@dataclass(frozen=True)
class Option:
    """One option."""

    name: str
    """Name in lower case."""
    check: Callable[[Any], Any]
    """Returns the value in the form that is used; raises :exc:`ValueError` with what it must be."""
    meaning: str
    """What it does, with its unit."""
    is_secret: bool = False
    """Whether the value may hold a password, so that errors do not show it."""

    @property
    def per_stream(self) -> bool:
        """Whether a single stream may override it."""
        return self.name in StreamOptions.__optional_keys__

    @property
    def default(self) -> Any:
        """The value if nothing is configured."""
        return getattr(_DEFAULTS, self.name)

    def checked(self, value: Any, key: str) -> Any:
        """
        Return a value in the form that is used.

        Raises:
            ConfigurationError: If it is unusable. The error shows the name that the user wrote.
        """
        try:
            return self.check(value)
        except ValueError as exc:
            shown = "" if self.is_secret else f", not {value!r}"
            raise ConfigurationError(key, f"must be {exc}{shown}") from None


def problems(given: Mapping[str, Any]) -> list[ConfigurationError]:
    """Return what is wrong with a dictionary that holds nothing but options."""
    found: list[ConfigurationError] = []
    names = [option.name.upper() for option in OPTIONS]
    for key, value in given.items():
        option = _by_name.get(str(key).lower()) if key in names else None
        if option is None:
            problem = _REMOVED.get(str(key)) or _unknown(str(key), names)
            found.append(ConfigurationError(str(key), problem))
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
    """Return an error for each key that looks like a misspelt option with this prefix."""
    names = [prefix + option.name.upper() for option in OPTIONS]
    return [
        ConfigurationError(key, _unknown(key, names))
        for key in given
        if key.startswith(prefix) and key not in names and get_close_matches(key, names, 1, 0.8)
    ]


OPTIONS: tuple[Option, ...] = (
    Option(
        "heartbeat",
        or_none(seconds),
        "Seconds of silence after which a comment is sent, so that proxies keep the connection"
        " open. None for never.",
    ),
    Option(
        "retry",
        or_none(milliseconds, "None to leave it to the client"),
        "Reconnection time in milliseconds, sent when a stream starts. None sends none; the browser"
        " then keeps an earlier stream's, or its own.",
    ),
    Option(
        "lifetime",
        or_none(seconds),
        "Seconds after which a stream ends so that its client reconnects, perhaps to another"
        " worker; each stream gets between 80 and 100 % of it. None for never.",
    ),
    Option(
        "write_timeout",
        or_none(seconds),
        "Seconds that a client may take to accept what was sent, before its connection is cut."
        " None for no limit.",
    ),
    Option(
        "reconnect",
        flag,
        "Whether a client should reconnect after a generator has finished. If not, it is told"
        " to stop: the last event is stream-end, and a reconnection is answered 204.",
    ),
    Option(
        "debug",
        flag,
        "Whether a stream-error event shows the exception. If it is not set, the framework's"
        " debug mode decides.",
    ),
    Option(
        "retry_failed",
        milliseconds,
        "Reconnection time in milliseconds after a generator raised an exception; each client"
        " gets between one and two times that.",
    ),
    Option(
        "retry_stopping",
        milliseconds,
        "Reconnection time in milliseconds when the server stops or reloads; each client gets"
        " between one and two times that.",
    ),
    Option(
        "retry_full",
        milliseconds,
        "Reconnection time in milliseconds for a client that is refused, because the process is"
        " full or a limit is reached; each client gets between one and two times that.",
    ),
    Option(
        "cors_origins",
        origins,
        "Other origins whose pages may read the stream, written as browsers send them:"
        " https://app.example.com. * allows all of them, without credentials.",
    ),
    Option(
        "cors_credentials",
        flag,
        "Whether pages of these origins may read the stream with their visitors' cookies.",
    ),
    Option(
        "max_streams",
        or_none(count, "None to ask the server"),
        "Streams that one process may hold. None for what the server's settings allow, less"
        " a reserve for ordinary requests.",
    ),
    Option(
        "broker_url",
        url,
        "What carries events between processes: redis://, rediss:// or unix://, as in redis-py;"
        " redis+cluster://host:port,host:port; redis+sentinel://host:port/name; memory:// serves"
        " a single process.",
        is_secret=True,
    ),
    Option(
        "channel_prefix",
        prefix,
        "Prefix of all keys and channels in Redis, so that several projects can share one Redis.",
    ),
    Option("history", count, "Events of each channel that are kept for clients that reconnect."),
    Option("history_age", seconds, "Seconds that an event is kept for clients that reconnect."),
    Option(
        "channel_histories",
        histories,
        "Other limits of the history for some channels: shell-style patterns of names, each with a"
        " number of events and of seconds. The first pattern that matches applies.",
    ),
    Option(
        "authorize",
        hook,
        "Function, or its dotted path, that decides whether the client may read a channel that it"
        " names itself. Without one, all such channels are refused.",
    ),
    Option(
        "max_streams_per_user",
        or_none(count, "None for no limit"),
        "Streams that one user may have open, in all processes together. None for no limit.",
    ),
    Option(
        "max_streams_per_address",
        or_none(count, "None for no limit"),
        "Streams that one address may have open, in all processes together; an IPv6 /64 network"
        " counts as one address. None for no limit.",
    ),
    Option(
        "trusted_proxies",
        parse_proxies,
        "Proxies whose X-Forwarded-For is trusted: addresses, networks such as 10.0.0.0/8, or"
        " unix for any proxy that connects through a unix socket.",
    ),
    Option(
        "max_jobs",
        or_none(count, "None for no limit"),
        "Jobs that one process may run at a time. None for no limit.",
    ),
    Option(
        "max_jobs_per_user",
        or_none(count, "None for no limit"),
        "Jobs of one user that may run at a time, in all processes together. None for no limit.",
    ),
    Option(
        "job_grace",
        seconds,
        "Seconds that a stopping worker lets its jobs go on before it interrupts them; at most"
        " until two seconds before gunicorn's graceful_timeout ends.",
    ),
)
"""All options, in the order of the documentation."""

_INSTEAD_OF_RECHECK = (
    "was removed: call reauthorize() when a permission changes, so that clients reconnect and are"
    " checked in a request, and set lifetime to catch changes for which nothing calls it"
)
_REMOVED = {"RECHECK": _INSTEAD_OF_RECHECK, "RECHECK_EVERY": _INSTEAD_OF_RECHECK}

_DEFAULTS = Options()
_by_name = {option.name: option for option in OPTIONS}
_stream_names = [option.name for option in OPTIONS if option.per_stream]


def _unknown(name: str, names: Iterable[str]) -> str:
    spelled = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), spelled, 1)
    known = ", ".join(sorted(spelled.values()))
    hint = f"did you mean {spelled[close[0]]}?" if close else f"known are {known}"
    return f"is not an option; {hint}"
