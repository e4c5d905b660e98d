"""
The fields of an event: what each may contain.

WHATWG HTML, section 9.2.6 "Interpreting an event stream".
"""

from __future__ import annotations

import re
from datetime import timedelta

from .exceptions import EventError

__all__ = [
    *("MAX_RETRY", "checked_id", "milliseconds", "require_text", "split_lines", "utf8"),
    "what_is_wrong_with_id",
]

# The standard ends a line at CRLF, CR or LF and nowhere else. str.splitlines() would also
# split at U+2028, U+0085, \x0b, \x0c and more, and so change the data.
split_lines = re.compile(r"\r\n|\r|\n").split

# RFC 9110, 5.5: characters that a header's value must not contain.
_in_no_header = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search

# Bytes of an event ID. It is a position, not a payload; servers refuse headers of 8 to 64 KiB.
MAX_ID = 1024

# Milliseconds, nearly 25 days. Firefox counts modulo 2 ** 32.
MAX_RETRY = 2**31 - 1


def what_is_wrong_with_id(value: str) -> str:
    """
    Return why no client could send an event ID back; an empty text if it could.

    A client sends it in the ``Last-Event-ID`` header. Servers answer 400 or 431 to a header that
    has control characters or is too long, after which an EventSource never reconnects; white
    space at the ends of a header is dropped (RFC 9110, 5.5).

    Args:
        value: The ID.
    """
    if "\n" in value or "\r" in value:
        return "must not contain a line break"
    if "\0" in value:
        # "If the field value does not contain U+0000 NULL": otherwise clients ignore the field.
        return "must not contain NUL: clients would ignore it"
    if _in_no_header(value):
        return "must not contain control characters: servers refuse clients that send it back"
    # Some servers decode the bytes as latin-1, which has more white space.
    raw = value.encode(errors="replace").decode("latin-1")
    if raw != raw.strip():
        return "must not begin or end with white space, which is lost when a client sends it back"
    if len(raw) > MAX_ID:
        return f"must not be longer than {MAX_ID:,} bytes: servers refuse clients that send it back"
    return ""


def utf8(text: str) -> bytes:
    """
    Return text as bytes.

    Raises:
        EventError: If it contains a lone surrogate.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        code = ord(text[exc.start])
        raise EventError(
            "text", f"contains the lone surrogate U+{code:04X}, which UTF-8 cannot encode"
        ) from exc


def require_text(field: str, value: object) -> None:
    """
    Refuse what is no text.

    Raises:
        EventError: If it is none.
    """
    if not isinstance(value, str):
        raise EventError(field, f"must be text, not {type(value).__name__}")


def checked_id(value: object) -> str:
    """
    Return an event ID as text.

    Args:
        value: Text, or a number.

    Raises:
        EventError: If it is neither, or no client could send it back.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value.bit_length() > 1024:
            raise EventError("id", "is too large a number")
        return str(int(value))
    require_text("id", value)
    assert isinstance(value, str)
    problem = what_is_wrong_with_id(value)
    if problem:
        raise EventError("id", problem)
    return str.__str__(value)  # What an Enum is; its str() is its name.


def milliseconds(value: object) -> int:
    """
    Return a reconnection time in milliseconds.

    Args:
        value: Milliseconds, or a :class:`~datetime.timedelta`.

    Raises:
        EventError: If it is not a whole number from 0 to :data:`MAX_RETRY`.
    """
    if isinstance(value, timedelta):
        value = value // timedelta(milliseconds=1)
    if isinstance(value, bool) or not isinstance(value, int):
        raise EventError("retry", "must be a whole number of milliseconds or a timedelta")
    if value < 0:
        raise EventError("retry", "must not be negative")
    if value > MAX_RETRY:
        raise EventError("retry", f"must not exceed {MAX_RETRY:,} ms, about 25 days")
    return int(value)
