"""
Events as bytes. An event is valid, or it cannot be created.

The rules are those of the WHATWG HTML standard, section 9.2.5 "Parsing an event stream"
and section 9.2.6 "Interpreting an event stream".
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any, NoReturn

from .event_text import EventText, is_ready_made
from .exceptions import EventError
from .fields import checked_id, milliseconds, require_text, split_lines, utf8
from .jsonable import Dumps, find_unwritable, to_json

__all__ = ["OWN_TYPES", "ServerSentEvent", "comment", "encode", "encode_retry", "text_of"]
__all__ += ["warn_of_type"]

logger = logging.getLogger("sse_sync")


OWN_TYPES = frozenset(("error", "open"))
"""Types of the events that an EventSource fires itself (WHATWG HTML, 9.2.3)."""

_warned: set[str] = set()


class ServerSentEvent:
    """
    One event, or a comment, of an event stream.

    An instance is immutable and always valid: errors are raised here, not while a stream is
    being sent. Zero and the empty string are values; only :obj:`None` means
    that a field is absent.

    Args:
        data: Text, which may have several lines; anything else is sent as JSON, models of pydantic,
            msgspec and attrs included. With :obj:`None`, a browser dispatches no event and only
            takes the id and the reconnection time.
        event: Event type; without one, a browser dispatches a ``message`` event.
        id: Event ID, which a browser sends back as last event ID when it reconnects. An empty
            one makes the browser forget the last. A number is turned into text.
        retry: Reconnection time, in milliseconds or as a :class:`~datetime.timedelta`.
        comment: Text that clients ignore, sent before the event.

    Raises:
        EventError: If ``event`` contains CR or LF or comes without data, ``id`` contains CR,
            LF, NUL or another control character except the tab, begins or ends with white space or
            is longer than 1,024 bytes, ``retry`` is not a whole number from 0 to 2,147,483,647, any
            text contains a lone surrogate, the data is an event already, or all fields are absent.
    """

    __slots__ = ("_head", "_wire", "comment", "data", "event", "id", "retry")

    data: Any
    """Text, a value that is sent as JSON, or :obj:`None`."""
    event: str | None
    """Event type."""
    id: str | None
    """Event ID."""
    retry: int | None
    """Reconnection time in milliseconds."""
    comment: str | None
    """Text that clients ignore."""
    _head: str
    _wire: bytes | None

    def __init__(
        self,
        data: Any = None,
        event: str | None = None,
        id: str | int | None = None,
        retry: int | timedelta | None = None,
        comment: str | None = None,
    ) -> None:
        head = ""
        if comment is not None:
            require_text("comment", comment)
            head = "".join(f": {line}\n" if line else ":\n" for line in split_lines(comment))
        if event is not None:
            require_text("event", event)
            if "\n" in event or "\r" in event:
                raise EventError("event", "must not contain a line break")
            if data is None:
                raise EventError(
                    "event", "needs data, because browsers drop an event without: pass data=''"
                )
            head += f"event: {str.__str__(event)}\n"  # What an Enum is, not its name.
        if id is not None:
            id = checked_id(id)
            head += f"id: {id}\n"
        if retry is not None:
            retry = milliseconds(retry)
            head += f"retry: {retry}\n"
        if data is None and not head:
            raise EventError("data", "is missing, as is every other field: give one")
        if type(data) is not str:
            _refuse_event(data)

        put = object.__setattr__
        put(self, "data", data)
        put(self, "event", event)
        put(self, "id", id)
        put(self, "retry", retry)
        put(self, "comment", comment)
        put(self, "_head", head)
        if data is None:
            # An id is taken at the blank line; a comment and a reconnection time at their own. A
            # blank line after those alone is an event without data to many clients that are no
            # browsers, such as those of openai, anthropic and httpx-sse.
            put(self, "_wire", utf8(head if id is None else head + "\n"))
        elif isinstance(data, str):
            put(self, "_wire", utf8(head + _data_lines(data)))
        else:
            put(self, "_wire", None)
            utf8(head)

    def encode(self, dumps: Dumps = json.dumps) -> bytes:
        """
        Return the event as sent, with the blank line that ends it.

        Args:
            dumps: Makes JSON of data that is not text.

        Raises:
            EventError: If the data is neither text nor something that ``dumps`` can write.
        """
        if self._wire is not None:
            return self._wire
        return utf8(self._head + _data_lines(_json(self.data, dumps)))

    def __bytes__(self) -> bytes:
        return self.encode()

    def __repr__(self) -> str:
        names = ("data", "event", "id", "retry", "comment")
        fields = ((name, getattr(self, name)) for name in names)
        given = ", ".join(f"{name}={value!r}" for name, value in fields if value is not None)
        return f"ServerSentEvent({given})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ServerSentEvent):
            return NotImplemented
        return self._head == other._head and bool(self.data == other.data)

    def __hash__(self) -> int:
        # Data may be unhashable, but equal events always have equal heads.
        return hash(self._head)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an event is immutable: make another with the {name} you want")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("an event is immutable")

    def __reduce__(self) -> tuple[Any, ...]:
        return ServerSentEvent, (self.data, self.event, self.id, self.retry, self.comment)


def comment(text: str = "") -> ServerSentEvent:
    """
    Return a comment, which keeps a connection alive and which every client ignores.

    Args:
        text: The comment; several lines become several comments.

    Raises:
        EventError: If the text contains a lone surrogate.
    """
    return ServerSentEvent(comment=text)


def encode(item: object, dumps: Dumps = json.dumps) -> bytes:
    """
    Return what a generator yielded as bytes of an event stream.

    Text becomes data, an event is used as it is, and anything else becomes JSON data. An event is
    recognised by its type alone: text that looks like one is text.

    Args:
        item: What was yielded.
        dumps: Makes JSON of what is neither text nor an event.

    Raises:
        EventError: If the item cannot be sent.
    """
    if type(item) is str:
        return utf8(_data_lines(item))
    if isinstance(item, ServerSentEvent):
        return item.encode(dumps)
    if isinstance(item, EventText):
        return item.encode()
    if isinstance(item, str):
        return EventText(item).encode() if is_ready_made(item) else utf8(_data_lines(item))
    return utf8(_data_lines(_json(item, dumps)))


def text_of(data: object, dumps: Dumps) -> str:
    """
    Return data as text, to publish it.

    Args:
        data: Text, or a value to be sent as JSON.
        dumps: Makes JSON of it.

    Raises:
        EventError: If it cannot be sent.
    """
    _refuse_event(data)
    return data if isinstance(data, str) else _json(data, dumps)


def warn_of_type(event: str) -> None:
    """
    Log once that an event source cannot tell an event from one of its own.

    It is no error: events of such types may be meant for clients that are no EventSource.

    Args:
        event: The event type, one of :data:`OWN_TYPES`.
    """
    if event not in _warned:
        _warned.add(event)
        logger.warning(
            "an event of the type %r was sent: an EventSource fires events of that type itself, and"
            " its on%s handler cannot tell them apart. Choose another name; a stream for other"
            " clients is plain=True",
            event,
            event,
        )


def encode_retry(milliseconds: int) -> bytes:
    """
    Return the line that sets a client's reconnection time. It takes effect without a blank line
    (WHATWG HTML, 9.2.6), and becomes part of the next event's block.

    Args:
        milliseconds: Reconnection time.
    """
    return b"retry: %d\n" % milliseconds


def _data_lines(text: str) -> str:
    # One line is by far the most common case, and two scans are cheaper than a split.
    if "\n" not in text and "\r" not in text:
        return "data: " + text + "\n\n"  # No f-string: the format of an Enum is its name.
    return "".join(f"data: {line}\n" for line in split_lines(text)) + "\n"


def _json(value: object, dumps: Dumps) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise EventError("data", "is bytes, but an event stream is text: decode it first")
    try:
        return to_json(value, dumps)
    except (TypeError, ValueError) as exc:
        where, culprit = find_unwritable(value, dumps)
        raise EventError(f"data{where}", _what_is_wrong_with(culprit, exc)) from exc


def _what_is_wrong_with(value: object, error: Exception) -> str:
    if isinstance(value, type):
        return f"is the class {value.__name__}: create an object"
    if isinstance(value, (dict, list, tuple)) or not isinstance(error, TypeError):
        return f"cannot be sent as JSON: {error}"  # A key, or a cycle.
    return (
        f"is of the type {type(value).__name__}, which cannot be sent: make text of it, or a"
        " dictionary, a list or a dataclass of what JSON knows"
    )


def _refuse_event(data: object) -> None:
    if isinstance(data, (ServerSentEvent, EventText)) or is_ready_made(data):
        raise EventError("data", "is already an event: pass its data, and its type as event=")
