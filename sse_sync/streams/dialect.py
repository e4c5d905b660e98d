"""
What the library itself says in a stream: its first and last bytes, and whether it ends cleanly.

An event source understands our events. Every other client, such as that of a language model's API,
gets a *plain* stream: nothing but the application's own events and comments.

A body that ends cleanly means "finished" to whoever reads it with ``fetch()``. So where a client
has to come back, or lacks something, the connection is broken off, unless it is a browser's
EventSource, which comes back in any case, and shows a broken end as an error.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ..closing import END_ID, CloseReason, End, spread
from ..event import ServerSentEvent, encode_retry
from ..feed import Encode
from ..settings import Options
from .admission import Refusal

__all__ = ["Dialect", "ErrorEvents", "EventSourceDialect", "LastWords", "PlainDialect"]
__all__ += ["StreamFailure", "dialect_of"]

logger = logging.getLogger("sse_sync")

# For people with curl; browsers do not show it.
_LIMITED = b": too many streams of this user or address\n"

_MAY_BE_FINAL = (CloseReason.FINISHED, CloseReason.CLOSED, CloseReason.DISMISSED)

# Ends after which a client lacks events: it must not take what it has for the whole.
_FAILURES = (CloseReason.FAILED, CloseReason.OVERFLOWED, CloseReason.INTERRUPTED)


class LastWords(NamedTuple):
    """How the body of a stream ends."""

    text: bytes
    """Its last bytes."""
    is_clean: bool
    """Whether it ends like a complete body; otherwise the connection is broken off."""


class Dialect(Protocol):
    """What the library itself says in a stream."""

    is_plain: bool
    """Whether it says nothing that an API client could take for an event."""

    def opening(self) -> bytes:
        """Return the first bytes, with which the headers leave."""

    def closing(self, end: End, failure: BaseException | None = None) -> LastWords:
        """
        Return how a stream ends.

        Args:
            end: Why and how it ends.
            failure: The exception that ended its source.
        """

    def refusal(self, refusal: Refusal) -> LastWords:
        """
        Return the whole body for a client that cannot be served, though its status is 200 already.

        Args:
            refusal: Why not.
        """

    def without_request(self) -> Dialect:
        """Return an equal one that runs none of the application's code, and can be a key."""


@dataclass(frozen=True, slots=True)
class EventSourceDialect:
    """
    For an event source. It reconnects after every end but a final one, which is an event that makes
    it send :data:`.END_ID`, to be answered 204.
    """

    reconnects: bool
    """Whether it is a browser's EventSource, which reconnects after a clean end, too; to the
    person who looks at its console a broken one is an error."""
    retry: int | None
    retry_stopping: int
    retry_failed: int
    retry_full: int
    debug: bool

    is_plain = False

    @classmethod
    def of(cls, options: Options, *, reconnects: bool = False) -> EventSourceDialect:
        """Return that of a stream with these options."""
        return cls(
            reconnects,
            options.retry,
            options.retry_stopping,
            options.retry_failed,
            options.retry_full,
            options.debug,
        )

    def opening(self) -> bytes:
        # So that a client forgets an earlier stream's longer reconnection time.
        return b":\n" if self.retry is None else b":\n" + encode_retry(self.retry)

    def closing(self, end: End, failure: BaseException | None = None) -> LastWords:
        if end.final and end.reason in _MAY_BE_FINAL:
            # An event with data, because Firefox and WebKit do not commit the id of one without.
            event = ServerSentEvent(end.message, event="stream-end", id=END_ID)
            return LastWords(event.encode(), is_clean=True)
        return LastWords(self._returning(end, failure), is_clean=self.reconnects)

    def refusal(self, refusal: Refusal) -> LastWords:
        # The status is 200, because an EventSource never reconnects after a 503 (WHATWG HTML,
        # 9.2.2).
        if refusal is Refusal.STOPPING:
            return LastWords(encode_retry(spread(self.retry_stopping)), is_clean=self.reconnects)
        why = _LIMITED if refusal is Refusal.LIMITED else b""
        text = why + encode_retry(spread(self.retry_full))
        return LastWords(text, is_clean=self.reconnects)

    def without_request(self) -> EventSourceDialect:
        return self

    def _returning(self, end: End, failure: BaseException | None) -> bytes:
        # Reconnection times are spread, because an end may affect all clients at once.
        reason, retry = end.reason, None if self.retry is None else spread(self.retry)
        if reason is CloseReason.FAILED:
            text = _describe(failure) if self.debug and failure is not None else "internal error"
            retry = spread(self.retry_failed)
            return ServerSentEvent(text, event="stream-error", retry=retry).encode()
        if reason is CloseReason.DISMISSED:
            return ServerSentEvent(end.message, event="stream-disconnect", retry=retry).encode()
        if reason is CloseReason.SERVER_STOPPING:
            return encode_retry(spread(self.retry_stopping))
        if reason is CloseReason.INTERRUPTED and retry is not None:
            return encode_retry(retry)
        if reason is CloseReason.NO_ROOM:
            return encode_retry(spread(self.retry_full))
        return b""


@dataclass(frozen=True)
class StreamFailure:
    """Why a plain stream ends though its client lacks something. Argument of ``error=``."""

    reason: CloseReason
    """``FAILED``; ``OVERFLOWED``, if the client was slower than the events of its channels; or
    ``INTERRUPTED``, if events that it lacks are no longer kept."""
    exception: BaseException | None
    """What the generator raised, if it did."""
    message: str
    """Text for the client. It says more than "internal error" in debug mode only."""


ErrorEvents = Callable[[StreamFailure], Any]
"""Returns the last events of a plain stream, in the form its clients expect: what a generator could
yield, or a list of that; :obj:`None` to break the connection off. It may be a generator
function."""

_Say = Callable[[CloseReason, BaseException | None], "bytes | None"]


@dataclass(frozen=True, slots=True)
class PlainDialect:
    """For clients that are no EventSource. Made by :func:`dialect_of`."""

    say: _Say
    """Returns the last events after a failure; :obj:`None` to break the connection off."""

    is_plain = True

    def opening(self) -> bytes:
        return b":\n"

    def closing(self, end: End, failure: BaseException | None = None) -> LastWords:
        if end.reason in _FAILURES:
            said = self.say(end.reason, failure)
            return LastWords(said or b"", is_clean=said is not None)
        is_whole = end.reason is CloseReason.FINISHED
        return LastWords(b"", is_clean=is_whole or (end.final and end.reason is CloseReason.CLOSED))

    def refusal(self, refusal: Refusal) -> LastWords:
        return LastWords(b"", is_clean=False)

    def without_request(self) -> PlainDialect:
        if not isinstance(self.say, _Asking):
            return self
        return PlainDialect(_Prepared(tuple(self.say(reason, None) for reason in _FAILURES)))


@dataclass(frozen=True)
class _Asking:
    # Asks the application in the view's context.
    error: ErrorEvents
    encode: Encode
    context: contextvars.Context
    debug: bool

    def __call__(self, reason: CloseReason, failure: BaseException | None) -> bytes | None:
        message = "internal error" if reason is CloseReason.FAILED else reason.value
        if self.debug and failure is not None:
            message = _describe(failure)
        try:
            # A copy, because the source may be running in the context itself.
            return self.context.copy().run(self._ask, StreamFailure(reason, failure, message))
        except Exception:
            logger.exception("error= raised an exception; breaking the connection off instead")
            return None

    def _ask(self, failure: StreamFailure) -> bytes | None:
        said = self.error(failure)
        if said is None:
            return None
        events = said if isinstance(said, (list, tuple, Generator)) else [said]
        return b"".join([self.encode(event) for event in events])


@dataclass(frozen=True)
class _Prepared:
    # Thousands of connections with equal words share a fan-out.
    said: tuple[bytes | None, ...]

    def __call__(self, reason: CloseReason, failure: BaseException | None) -> bytes | None:
        return self.said[_FAILURES.index(reason)]


def dialect_of(
    options: Options,
    plain: bool,
    error: ErrorEvents | None,
    encode: Encode,
    context: contextvars.Context,
    *,
    reconnects: bool = False,
) -> Dialect:
    """
    Return the dialect of a stream.

    Args:
        options: How it behaves.
        plain: Whether its client is no EventSource.
        error: The application's own last events after a failure, for such a client.
        encode: Encodes one.
        context: The view's context variables.
        reconnects: Whether its client is a browser's EventSource.
    """
    if not plain:
        return EventSourceDialect.of(options, reconnects=reconnects)
    if error is None:
        return PlainDialect(_nothing)
    return PlainDialect(_Asking(error, encode, context, options.debug))


def _nothing(reason: CloseReason, failure: BaseException | None) -> None:
    return None


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".encode(errors="replace").decode()
