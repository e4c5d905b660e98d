"""Text that is an event stream already."""

import pickle
import sys

import pytest
from datastar_py.sse import DatastarEvent
from hypothesis import given
from hypothesis import strategies as st

from sse_sync import EventError, EventStreamParser, EventText, ServerSentEvent
from sse_sync.event import encode
from sse_sync.event_text import is_ready_made
from tests.core.test_event import events


@pytest.mark.parametrize(
    "text",
    [
        "data: x\n\n",
        "data\n\n",
        "data:x\r\n\r\n",
        "data: a\rdata: b\r\r",
        ": why\nid: 1\nretry: 0\nevent: e\ndata: x\n\n",
        "id\n\n",
        "data: a\n\ndata: b\n\n",
        "data: a\u2028b\x85c\n\n",
    ],
)
def test_sent_as_it_is(text):
    """Complete events are sent byte for byte."""
    made = EventText(text)
    assert made.encode() == bytes(made) == encode(made) == text.encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"text must end with a blank line, as an event does: 'data: x\n\n'"),
        ("\n\n", r"text must end with a blank line, as an event does: 'data: x\n\n'"),
        ("data: x", r"text must end with a blank line, as an event does: 'data: x\n\n'"),
        ("data: x\r\n", r"text must end with a blank line, as an event does: 'data: x\n\n'"),
        (
            "data: x\n\ndata: y\n",
            r"text must end with a blank line, as an event does: 'data: x\n\n'",
        ),
        ("hello\n\n", "text has a line that is neither a field nor a comment: 'hello'"),
        ("Data: x\n\n", "text has a line that is neither a field nor a comment: 'Data: x'"),
        (
            "\ufeffdata: x\n\n",
            "text has a line that is neither a field nor a comment: '\\ufeffdata: x'",
        ),
        ("id: a\0b\n\n", "id must not contain NUL: clients would ignore it"),
        (
            "id:  a\n\n",
            "id must not begin or end with white space, which is lost when a client sends",
        ),
        ("retry: 1s\n\n", "retry must be a whole number of milliseconds or a timedelta"),
        ("retry: ²\n\n", "retry must be a whole number of milliseconds or a timedelta"),
        ("retry: 9999999999\n\n", "retry must not exceed 2,147,483,647 ms, about 25 days"),
        ("data: \ud800\n\n", "text contains the lone surrogate U+D800, which UTF-8 cannot encode"),
        (b"data: x\n\n", "text must be text, not bytes"),
    ],
)
def test_refused(text, message):
    """What clients would drop, or wait for the end of, is refused when it is created."""
    with pytest.raises(EventError) as caught:
        EventText(text)
    assert str(caught.value).startswith(message)


@given(st.lists(events.filter(lambda event: event.data is not None), min_size=1))
def test_whatever_we_send(sent):
    """What this package sends is an event stream."""
    text = b"".join(map(bytes, sent)).decode()
    assert len(EventStreamParser().feed(bytes(EventText(text)))) == len(sent)


def test_values():
    """Equal texts are equal, and survive a pickle."""
    made = EventText("data: x\n\n")
    assert made == EventText("data: x\n\n") == pickle.loads(pickle.dumps(made))
    assert made != EventText("data: y\n\n")
    assert made != "data: x\n\n"
    assert len({made, EventText("data: x\n\n")}) == 1
    assert repr(made) == r"EventText('data: x\n\n')"


def test_datastar():
    """The events of datastar-py are known by their type, if the application has imported it."""
    event = DatastarEvent("data: x\n\n")
    assert is_ready_made(event)
    assert encode(event) == b"data: x\n\n"
    for other in ("data: x\n\n", str(event), b"data: x\n\n", ServerSentEvent("x"), None):
        assert not is_ready_made(other)
    with pytest.raises(EventError, match="neither a field nor a comment: 'evil'"):
        encode(DatastarEvent("data: selector #a\nevil\n\n"))


def test_without_datastar(monkeypatch):
    """Where nobody has imported it, or it has no such type, there are no such events."""
    event = DatastarEvent("data: x\n\n")
    monkeypatch.delitem(sys.modules, "datastar_py.sse")
    assert not is_ready_made(event)
    monkeypatch.setitem(sys.modules, "datastar_py.sse", sys)
    assert not is_ready_made(event)


class Markup(str):
    """Text of a type of its own, as template engines have it."""

    __slots__ = ()


def test_text_of_another_type_is_text():
    """Only types that are known to be events are."""
    assert encode(Markup("event: x\n\n")) == b"data: event: x\ndata: \ndata: \n\n"
