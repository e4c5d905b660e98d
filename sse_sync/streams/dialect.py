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
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from .. import runtime
from ..closing import END_ID, CloseReason, End, spread
from ..event import ServerSentEvent, encode_retry
from ..feed import Encode
from ..runtime.background import BackgroundTask
from ..settings import Options
from .admission import Refusal

__all__ = ["Dialect", "ErrorEvents", "EventSourceDialect", "LastWords", "PlainDialect"]
__all__ += ["StreamFailure", "closing_soon", "dialect_of"]

logger = logging.getLogger("sse_sync")

# For people with curl; browsers do not show it.
_LIMITED = b": too many streams of this user or address\n"

# Of a failure only that of a job, whose stream has relayed all there is.
_MAY_BE_FINAL = (
    *(CloseReason.FINISHED, CloseReason.CLOSED, CloseReason.DISMISSED),
    *(CloseReason.FAILED, CloseReason.CANCELLED, CloseReason.LOST),
)

# Streams that wait for `error=` at the same time: it may be slow, and many may fail at once.
ASKED_AT_ONCE = 8

# Ends after which a client lacks events: it must not take what it has for the whole.
_FAILURES = (
    *(CloseReason.FAILED, CloseReason.OVERFLOWED, CloseReason.INTERRUPTED),
    *(CloseReason.CANCELLED, CloseReason.LOST),
)


class LastWords(NamedTuple):
    """How the body of a stream ends."""

    text: bytes
    """Its last bytes."""
    is_clean: bool
    """Whether it ends like a complete body; otherwise the connection is broken off."""


_BROKEN_OFF = LastWords(b"", is_clean=False)


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

    def asks(self, end: End) -> bool:
        """Return whether the last bytes of such an end are asked for, which may block."""

    def shared(self) -> Dialect:
        """Return what streams with the same words have in common. It can be a key."""

    def without_request(self, call: Caller) -> Dialect:
        """
        Return one that says the same, and keeps nothing of the request.

        Args:
            call: Calls a function of the application.
        """


@dataclass(frozen=True, slots=True)
class EventSourceDialect:
    """
    For an event source, which reconnects after every end but a final one. A final end is an event
    with the id :data:`.END_ID`; the request that brings it back is answered 204.
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
            event = ServerSentEvent(end.data, event="stream-end", id=END_ID)
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

    def asks(self, end: End) -> bool:
        return False

    def shared(self) -> EventSourceDialect:
        return self

    def without_request(self, call: Caller) -> EventSourceDialect:
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
    """
    Why a plain stream ends although its client has not received everything. Argument of ``error=``.
    """

    reason: CloseReason
    """``FAILED``; ``OVERFLOWED``, if the client was slower than the events of its channels;
    ``INTERRUPTED``, if events that it lacks are no longer kept; or of a job ``CANCELLED`` or
    ``LOST``."""
    exception: BaseException | None
    """What the generator, a snapshot, a filter or the broker raised, if one of them did."""
    message: str
    """Text for the client. It says more than "internal error" in debug mode only."""


ErrorEvents = Callable[[StreamFailure], Any]
"""Returns the last events of a plain stream, in the form its clients expect: what a generator could
yield, or a list of such values; :obj:`None` to break the connection off. It may be a generator
function. It is called once, when a stream ends in this way. If the stream has been handed off, that
is after its request, in an application context."""

Caller = Callable[[Callable[[], "bytes | None"]], "bytes | None"]
"""Calls a function of the application, and returns what it returns."""


@dataclass(frozen=True, slots=True)
class PlainDialect:
    """For clients other than an EventSource. Made by :func:`dialect_of`."""

    last_events: LastEvents | None
    """Asks the application what to say after a failure; without it the connection is broken
    off."""

    is_plain = True

    def opening(self) -> bytes:
        return b":\n"

    def closing(self, end: End, failure: BaseException | None = None) -> LastWords:
        if end.reason in _FAILURES:
            said = self.last_events and self.last_events.ask(end, failure)
            return LastWords(said or b"", is_clean=said is not None)
        is_whole = end.reason is CloseReason.FINISHED
        return LastWords(b"", is_clean=is_whole or (end.final and end.reason is CloseReason.CLOSED))

    def refusal(self, refusal: Refusal) -> LastWords:
        # Not empty, so that the headers leave: without them a proxy takes the server for broken.
        return LastWords(self.opening(), is_clean=False)

    def asks(self, end: End) -> bool:
        return self.last_events is not None and end.reason in _FAILURES

    def shared(self) -> PlainDialect:
        return PlainDialect(None)

    def without_request(self, call: Caller) -> PlainDialect:
        events = self.last_events
        return PlainDialect(None if events is None else replace(events, call=call))


@dataclass(frozen=True)
class LastEvents:
    """Ask the application for the last events of a stream."""

    error: ErrorEvents
    """Returns them."""
    encode: Encode
    """Encodes one."""
    debug: bool
    """Whether the client is shown what failed."""
    call: Caller
    """Calls the application."""

    def ask(self, end: End, failure: BaseException | None) -> bytes | None:
        """
        Return the last events; :obj:`None` if the application has none, or fails to say them.

        Args:
            end: Why and how the stream ends.
            failure: The exception that ended its source.
        """
        reason = end.reason
        message = "internal error" if reason is CloseReason.FAILED else reason.value
        if end.of_job and end.message:
            message = end.message
        elif self.debug and failure is not None:
            message = _describe(failure)
        try:
            return self.call(lambda: self._said(StreamFailure(reason, failure, message)))
        except BaseException as exc:
            # Not even timeouts and cancellations, which are no Exception, get through; nor does
            # sys.exit(), which from here would end the whole process under gevent.
            if runtime.is_exit(exc) and not isinstance(exc, SystemExit):
                raise
            logger.exception("error= raised an exception; breaking the connection off instead")
            return None

    def _said(self, failure: StreamFailure) -> bytes | None:
        said = self.error(failure)
        if said is None:
            return None
        events = said if isinstance(said, (list, tuple, Generator)) else [said]
        return b"".join([self.encode(event) for event in events])


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
        return PlainDialect(None)
    # In a copy, because the source may be running in the context itself.
    return PlainDialect(
        LastEvents(error, encode, options.debug, lambda ask: context.copy().run(ask))
    )


def closing_soon(dialect: Dialect, end: End, say: Callable[[LastWords], object]) -> None:
    """
    Find out on another thread or greenlet how a stream ends, because the application is asked. At
    most :data:`ASKED_AT_ONCE` streams ask at the same time.

    Args:
        dialect: The stream's dialect.
        end: Why and how it ends.
        say: Called there with how it ends.
    """
    _unasked.append((dialect, end, say))
    idle = next((task for task in _asking if task.is_idle), None)
    # If all seem to be busy, any of them may be about to stop.
    for task in _asking if idle is None else (idle,):
        task.wake()


def _ask() -> None:
    while True:
        try:
            dialect, end, say = _unasked.popleft()
        except IndexError:
            return  # Others ask at the same time.
        words = _BROKEN_OFF
        try:
            words = dialect.closing(end)
        finally:
            # Even after what is no Exception, such as gevent's Timeout: nobody asks again.
            say(words)


_unasked: deque[tuple[Dialect, End, Callable[[LastWords], object]]] = deque()
_asking = [BackgroundTask(_ask, "sse-sync last words") for _ in range(ASKED_AT_ONCE)]


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".encode(errors="replace").decode()
