"""
Every error the package raises on purpose.

* :exc:`SSEError`

  * :exc:`BrokerError`: the broker, which carries events between processes, does not work

    * :exc:`BrokerUnavailable`: it cannot be reached; try again later
    * :exc:`BrokerClosed`: this process has closed it

  * :exc:`EventError`: an event that cannot be sent
  * :exc:`SourceError`: an object from which no events can be read
  * :exc:`ConfigurationError`: an option with an unusable name or value
  * :exc:`UnsupportedServerError`: a server on which streams cannot work
  * :exc:`JobRefused`: a job that cannot be started now
  * :exc:`JobOver`: a job that takes no more output

Constructors take the data; ``str()`` makes the sentence.
"""

from __future__ import annotations

__all__ = [
    "BrokerClosed",
    "BrokerError",
    "BrokerUnavailable",
    "ConfigurationError",
    "EventError",
    "JobOver",
    "JobRefused",
    "SSEError",
    "SourceError",
    "UnsupportedServerError",
]


class SSEError(Exception):
    """Root of the package's errors."""


class BrokerError(SSEError):
    """Root of the brokers' errors."""


class BrokerUnavailable(BrokerError):
    """
    Raised when a broker cannot be reached or refuses to work.

    If publishing raises it, the event may have been stored anyway, because the answer may have
    been lost.
    """

    def __init__(self, broker: str, problem: str) -> None:
        super().__init__(broker, problem)
        self.broker = broker
        """The broker's URL, without its password."""
        self.problem = problem
        """What is wrong."""

    def __str__(self) -> str:
        return f"{self.broker} is unavailable: {self.problem}"


class BrokerClosed(BrokerError):
    """Raised when a broker is used after this process has closed it."""

    def __str__(self) -> str:
        return "the broker is closed"


class EventError(SSEError, ValueError):
    """Raised when a value cannot be part of an event."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        """Name of the field: ``data``, perhaps with a place in it, such as ``data['user'][0]``,
        ``event``, ``id``, ``retry`` or ``comment``."""
        self.problem = problem
        """What is wrong with it, and what to do instead."""

    def __str__(self) -> str:
        return f"{self.field} {self.problem}"


class SourceError(SSEError, TypeError):
    """Raised when a view returns something from which no events can be read."""

    def __init__(self, source: object, advice: str) -> None:
        super().__init__(source, advice)
        self.kind = type(source).__name__
        """Name of its type."""
        self.name: str | None = getattr(source, "__qualname__", None)
        """Name of the function or generator that it is."""
        self.advice = advice
        """What to return instead."""

    def __str__(self) -> str:
        what = f"{self.kind!r} object" if self.name is None else f"{self.kind} {self.name!r}"
        return f"{what} is not a source of events: {self.advice}"


class ConfigurationError(SSEError, ValueError):
    """Raised when an option has an unknown name or an unusable value."""

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(option, problem)
        self.option = option
        """Name of the option, as the framework spells it."""
        self.problem = problem
        """What is wrong with it."""

    def __str__(self) -> str:
        return f"{self.option} {self.problem}"


class UnsupportedServerError(SSEError, RuntimeError):
    """Raised when the server that runs the application cannot hold a stream open."""

    def __init__(self, server: str, advice: str) -> None:
        super().__init__(server, advice)
        self.server = server
        """Name of the server or interface, such as ``ASGI``."""
        self.advice = advice
        """What to do instead."""

    def __str__(self) -> str:
        return f"event streams cannot be served on {self.server}: {self.advice}"


class JobRefused(SSEError):
    """Raised when a job cannot be started, because too many are running."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        """What is wrong."""

    def __str__(self) -> str:
        return f"the job was not started: {self.problem}"


class JobOver(SSEError):
    """Raised when a job takes no more output: it has ended, or another process goes on with it."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(key, problem)
        self.key = key
        """The job's key."""
        self.problem = problem
        """Why."""

    def __str__(self) -> str:
        return f"the job {self.key!r} takes no more output: {self.problem}"
