"""
Parse event streams, as a client does. For tests and tools.

WHATWG HTML, section 9.2.6 "Interpreting an event stream".
"""

from __future__ import annotations

import codecs
import re

from .event import ServerSentEvent
from .fields import what_is_wrong_with_id

__all__ = ["EventStreamParser"]

# Only the ends: a pattern for whole lines would retry at every start of an unfinished line.
_line_ends = re.compile(r"\r\n|\r|\n")


# "If the field value consists of only ASCII digits". The bound keeps a hostile stream from
# wasting time with a number of a million digits.
_is_retry = re.compile(r"[0-9]{1,18}").fullmatch


class EventStreamParser:
    """
    Read an event stream piece by piece.

    The pieces may end anywhere: inside a line, between CR and LF, inside a character.

    Args:
        comments: Whether comments are returned too, each as an event with nothing but
            :attr:`~ServerSentEvent.comment`.
    """

    def __init__(self, *, comments: bool = False) -> None:
        self.last_event_id = ""
        """Last event ID, which a client would send when it reconnects."""
        self.retry: int | None = None
        """Reconnection time in milliseconds; :obj:`None` before the stream has set one."""
        self._comments = comments
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._at_start = True
        self._after_cr = False
        self._line: list[str] = []
        self._data: list[str] = []
        self._event = ""
        self._id = ""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """
        Return the events that are complete with this piece of the stream.

        Data is text. The event type is :obj:`None` where a browser would dispatch ``message``. The
        id is the last event ID at that point, or :obj:`None` if there is none or if
        :class:`ServerSentEvent` would refuse it.

        Args:
            chunk: Bytes as received.
        """
        text = self._decode(chunk)
        if self._at_start and text:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        if self._after_cr and text:
            # CR ended the line already; an LF right after it belongs to the same line end.
            self._after_cr = False
            text = text.removeprefix("\n")

        events: list[ServerSentEvent] = []
        end = 0
        for match in _line_ends.finditer(text):
            line = text[end : match.start()]
            if self._line:
                line = "".join(self._line) + line
                self._line.clear()
            self._take_line(line, events)
            end = match.end()
        if end < len(text):
            self._line.append(text[end:])
        elif end and text[end - 1] == "\r":
            self._after_cr = True
        return events

    def _take_line(self, line: str, events: list[ServerSentEvent]) -> None:
        if not line:
            self._dispatch(events)
        elif line[0] == ":":
            if self._comments:
                events.append(ServerSentEvent(comment=line[1:].removeprefix(" ")))
        else:
            name, _, value = line.partition(":")
            self._take_field(name, value.removeprefix(" "))

    def _take_field(self, name: str, value: str) -> None:
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and _is_retry(value):
            self.retry = int(value)

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        self.last_event_id = self._id
        data, self._data = self._data, []
        event, self._event = self._event, ""
        if data:
            # Another server may send an id that ServerSentEvent refuses.
            known = self._id and not what_is_wrong_with_id(self._id)
            given = self._id if known else None
            events.append(ServerSentEvent("\n".join(data), event or None, given))
