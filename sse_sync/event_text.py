"""
Text that is an event stream already.

It is recognised by its type alone, never by what it contains: otherwise a text of a user's could
become an event of any kind.
"""

from __future__ import annotations

import re
import sys

from .exceptions import EventError
from .fields import checked_id, milliseconds, require_text, split_lines, utf8

__all__ = ["EventText", "is_ready_made"]

# "If the field value consists of only ASCII digits": otherwise clients ignore the field.
_is_retry = re.compile(r"[0-9]{1,10}").fullmatch

# The fields of an event. Clients ignore others, and a line without a colon is a name, too.
_FIELDS = frozenset(("data", "event", "id", "retry"))


class EventText:
    """
    Text that is an event stream already: complete events, to be sent as they are.

    For events that something else has made; those of datastar-py need no wrapper. Each line is a
    field, so never put unchecked text of users into it: use :class:`ServerSentEvent` for that.

    Args:
        text: One or several events, each with its lines and the blank line that ends it, such as
            ``"data: x\\n\\n"``.

    Raises:
        EventError: If there is no blank line at the end, a line is neither a comment nor ``data``,
            ``event``, ``id`` or ``retry``, or :class:`ServerSentEvent` would refuse an id, a
            reconnection time or a lone surrogate.
    """

    __slots__ = ("_wire",)

    def __init__(self, text: str) -> None:
        require_text("text", text)
        lines = split_lines(text)
        if not any(lines) or lines[-2:] != ["", ""]:
            raise EventError("text", r"must end with a blank line, as an event does: 'data: x\n\n'")
        for line in lines:
            if line:
                _check_line(line)
        self._wire = utf8(text)

    def encode(self) -> bytes:
        """Return the text as sent."""
        return self._wire

    def __bytes__(self) -> bytes:
        return self._wire

    def __repr__(self) -> str:
        return f"EventText({self._wire.decode()!r})"

    def __eq__(self, other: object) -> bool:
        return self._wire == other._wire if isinstance(other, EventText) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._wire)


def is_ready_made(value: object) -> bool:
    """
    Return whether a value is an event that another library has made as text.

    Args:
        value: Anything. The events of datastar-py are text of a type of their own.
    """
    # An application that has one has imported it.
    kind = getattr(sys.modules.get("datastar_py.sse"), "DatastarEvent", ())
    return isinstance(value, kind)


def _check_line(line: str) -> None:
    name, _, value = line.partition(":")
    value = value.removeprefix(" ")
    if name and name not in _FIELDS:
        raise EventError("text", f"has a line that is neither a field nor a comment: {line[:40]!r}")
    if name == "id":
        checked_id(value)
    elif name == "retry":
        milliseconds(int(value) if _is_retry(value) else value)
