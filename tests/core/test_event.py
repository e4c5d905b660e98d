"""Events: always valid."""

import copy
import dataclasses
import datetime
import enum
import io
import json
import pickle
import re

import httpx
import httpx_sse
import pytest
import sseclient
from datastar_py import ServerSentEventGenerator
from hypothesis import given
from hypothesis import strategies as st

from sse_sync import EventError, EventStreamParser, EventText, ServerSentEvent, comment
from sse_sync.event import encode, encode_retry, text_of
from sse_sync.fields import what_is_wrong_with_id

text = st.text(st.characters(exclude_categories=["Cs"]))
single_line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))
controls = "".join(map(chr, [*range(32), 127]))
ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=controls)).filter(
    lambda text: not what_is_wrong_with_id(text)
)
DATASTAR = ServerSentEventGenerator.patch_signals({"n": 1})
CONTROLS = "contain control characters: servers refuse clients that send it back"
SPACES = "begin or end with white space, which is lost when a client sends it back"
LONG = "be longer than 1,024 bytes: servers refuse clients that send it back"
events = st.builds(
    ServerSentEvent,
    data=text,
    event=st.none() | single_line,
    id=st.none() | ids,
    retry=st.none() | st.integers(0, 2**31 - 1),
    comment=st.none() | text,
)


@pytest.mark.parametrize(
    ("event", "wire"),
    [
        (ServerSentEvent("hello"), b"data: hello\n\n"),
        (ServerSentEvent(""), b"data: \n\n"),
        (ServerSentEvent(" two spaces"), b"data:  two spaces\n\n"),
        (ServerSentEvent("a\nb"), b"data: a\ndata: b\n\n"),
        (ServerSentEvent("a\r\nb\rc\n"), b"data: a\ndata: b\ndata: c\ndata: \n\n"),
        (ServerSentEvent("a\u2028b\x0bc\x85d"), "data: a\u2028b\x0bc\x85d\n\n".encode()),
        (ServerSentEvent("\0"), b"data: \0\n\n"),
        (ServerSentEvent({"a": [1, None]}), b'data: {"a": [1, null]}\n\n'),
        (ServerSentEvent(0), b"data: 0\n\n"),
        (ServerSentEvent(False), b"data: false\n\n"),
        (ServerSentEvent("x", event="e"), b"event: e\ndata: x\n\n"),
        (ServerSentEvent("x", event=""), b"event: \ndata: x\n\n"),
        (ServerSentEvent("x", id="1"), b"id: 1\ndata: x\n\n"),
        (ServerSentEvent("x", id=0), b"id: 0\ndata: x\n\n"),
        (ServerSentEvent("x", id=""), b"id: \ndata: x\n\n"),
        (ServerSentEvent(id="1"), b"id: 1\n\n"),
        (ServerSentEvent(id="1", retry=5), b"id: 1\nretry: 5\n\n"),
        (ServerSentEvent(retry=0), b"retry: 0\n"),
        (ServerSentEvent(retry=datetime.timedelta(seconds=1.5)), b"retry: 1500\n"),
        (ServerSentEvent(comment="hi"), b": hi\n"),
        (ServerSentEvent(comment="a\ndata: b"), b": a\n: data: b\n"),
        (comment(), b":\n"),
        (
            ServerSentEvent("x", "e", "1", 5, "c"),
            b": c\nevent: e\nid: 1\nretry: 5\ndata: x\n\n",
        ),
    ],
)
def test_wire(event, wire):
    """An event is written as the standard reads it."""
    assert event.encode() == bytes(event) == wire


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data": "x", "event": "a\nb"}, "event must not contain a line break"),
        ({"data": "x", "event": "a\rb"}, "event must not contain a line break"),
        ({"data": "x", "id": "a\nb"}, "id must not contain a line break"),
        ({"data": "x", "id": "a\rb"}, "id must not contain a line break"),
        ({"data": "x", "id": "a\0b"}, "id must not contain NUL: clients would ignore it"),
        ({"data": "x", "id": "a\x01b"}, f"id must not {CONTROLS}"),
        ({"data": "x", "id": "a\x7f"}, f"id must not {CONTROLS}"),
        ({"data": "x", "id": " a"}, f"id must not {SPACES}"),
        ({"data": "x", "id": "a\t"}, f"id must not {SPACES}"),
        ({"data": "x", "id": "voilà"}, f"id must not {SPACES}"),
        ({"data": "x", "id": 10**1500}, "id is too large a number"),
        ({"data": "x", "id": "é" * 513}, f"id must not {LONG}"),
        ({"data": "x", "retry": 2**31}, "retry must not exceed 2,147,483,647 ms, about 25 days"),
        ({"data": "x", "id": 1.5}, "id must be text, not float"),
        ({"data": "x", "id": True}, "id must be text, not bool"),
        ({"data": "x", "event": 3}, "event must be text, not int"),
        ({"data": "x", "comment": b"c"}, "comment must be text, not bytes"),
        (
            {"event": "ping"},
            "event needs data, because browsers drop an event without: pass data=''",
        ),
        ({"retry": -1}, "retry must not be negative"),
        ({"retry": 1.5}, "retry must be a whole number of milliseconds or a timedelta"),
        ({"retry": True}, "retry must be a whole number of milliseconds or a timedelta"),
        ({"retry": datetime.timedelta(seconds=-1)}, "retry must not be negative"),
        ({}, "data is missing, as is every other field: give one"),
        (
            {"data": "a\ud800"},
            "text contains the lone surrogate U+D800, which UTF-8 cannot encode",
        ),
        (
            {"data": {}, "id": "\udcff"},
            "text contains the lone surrogate U+DCFF, which UTF-8 cannot encode",
        ),
    ],
)
def test_refused(fields, message):
    """An invalid event is refused when it is created, with the reason."""
    with pytest.raises(EventError) as caught:
        ServerSentEvent(**fields)
    assert str(caught.value) == message
    assert isinstance(caught.value, ValueError)


MAKE_TEXT = "make text of it, or a dictionary, a list or a dataclass of what JSON knows"


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (object(), f"data is of the type object, which cannot be sent: {MAKE_TEXT}"),
        (b"x", "data is bytes, but an event stream is text: decode it first"),
        (ServerSentEvent([1j]), "data[0] is of the type complex, which cannot be sent: make"),
        ("\ud800", "text contains the lone surrogate U+D800"),
        ([b"x"], f"data[0] is of the type bytes, which cannot be sent: {MAKE_TEXT}"),
        ({"a": [1, {"b": {1j}}]}, "data['a'][1]['b'][0] is of the type complex, which"),
        ({"a": ServerSentEvent}, "data['a'] is the class ServerSentEvent: create an object"),
        ({("a",): 1}, "data cannot be sent as JSON: keys must be str, int, float, bool or None"),
        ({"a": {("a",): 1}}, "data['a'] cannot be sent as JSON: keys must be str, int, float,"),
        (ServerSentEvent, "data is the class ServerSentEvent: create an object"),
        ((n for n in "a"), "data is of the type generator, which cannot be sent: make text of"),
    ],
)
def test_unsendable(item, message):
    """An unsendable value is refused with advice."""
    with pytest.raises(EventError, match="^" + re.escape(message)):
        encode(item)


def test_recursive_data():
    """Data that contains itself is refused."""
    data = []
    data.append(data)
    with pytest.raises(EventError, match="Circular"):
        encode(data)


@pytest.mark.parametrize(
    ("item", "wire"),
    [
        ("text", b"data: text\n\n"),
        ({"n": 1}, b'data: {"n": 1}\n\n'),
        (None, b"data: null\n\n"),
        (ServerSentEvent("x", id=3), b"id: 3\ndata: x\n\n"),
        (EventText("data: x\n\n"), b"data: x\n\n"),
        ("data: x\n\n", b"data: data: x\ndata: \ndata: \n\n"),
        (DATASTAR, b'event: datastar-patch-signals\ndata: signals {"n":1}\n\n'),
    ],
)
def test_encode(item, wire):
    """Text becomes data whatever it says, an event is used as it is, anything else is JSON."""
    assert encode(item) == wire


class Kind(str, enum.Enum):
    CREATED = "created"


class Number(int, enum.Enum):
    SEVEN = 7


def test_enumerations_of_text_and_numbers():
    """They are what they are equal to, in every field."""
    event = ServerSentEvent(Kind.CREATED, Kind.CREATED, Kind.CREATED, Number.SEVEN)
    assert event.encode() == b"event: created\nid: created\nretry: 7\ndata: created\n\n"
    assert event.id == "created"
    assert encode(Kind.CREATED) == b"data: created\n\n"
    assert ServerSentEvent("x", id=Number.SEVEN).id == "7"


def test_models():
    """What is no JSON itself becomes JSON, in an event and without one."""

    @dataclasses.dataclass
    class Point:
        x: int
        on: datetime.date

    point = Point(1, datetime.date(2026, 1, 2))
    wire = b'data: {"x": 1, "on": "2026-01-02"}\n\n'
    assert encode(point) == ServerSentEvent(point).encode() == wire
    assert text_of([point], json.dumps) == '[{"x": 1, "on": "2026-01-02"}]'
    with pytest.raises(EventError, match=r"^data is the class Point: create an object$"):
        encode(Point)


@pytest.mark.parametrize("data", [ServerSentEvent("x"), EventText("data: x\n\n"), DATASTAR])
def test_no_event_in_an_event(data):
    """An event is neither the data of another nor published as one."""
    message = "data is already an event: pass its data, and its type as event="
    for refuse in (ServerSentEvent, lambda data: text_of(data, json.dumps)):
        with pytest.raises(EventError) as caught:
            refuse(data)
        assert str(caught.value) == message


def test_dumps():
    """JSON is written by the given function."""
    assert ServerSentEvent({1}).encode(lambda value: f"<{value}>") == b"data: <{1}>\n\n"
    assert encode({2}, str) == b"data: {2}\n\n"


def test_encode_retry():
    """A reconnection time alone is a block of its own."""
    assert encode_retry(1500) == b"retry: 1500\n"


def test_immutable():
    """An event cannot be changed, so it stays valid."""
    event = ServerSentEvent("x")
    with pytest.raises(AttributeError, match="make another with the id you want"):
        event.id = "a\nb"
    with pytest.raises(AttributeError):
        del event.data
    assert event.encode() == b"data: x\n\n"


def test_equality():
    """Events are equal if all fields are."""
    assert ServerSentEvent("x", id="1") == ServerSentEvent("x", id=1)
    assert ServerSentEvent("x") != ServerSentEvent("y")
    assert ServerSentEvent("x") != ServerSentEvent("x", id="1")
    assert ServerSentEvent("x") != "x"
    assert len({ServerSentEvent("x"), ServerSentEvent("x")}) == 1
    assert ServerSentEvent([1]) in {ServerSentEvent([1])}


def test_repr():
    """repr() shows the fields that are set."""
    assert repr(ServerSentEvent("x", id="1")) == "ServerSentEvent(data='x', id='1')"
    assert repr(comment("hi")) == "ServerSentEvent(comment='hi')"


@given(events)
def test_copies(event):
    """An event survives pickle and copy, as task queues use them."""
    assert pickle.loads(pickle.dumps(event)) == copy.copy(event) == event


@given(st.lists(events))
def test_round_trip(sent):
    """What is encoded is what the parser of this package reads."""
    parser = EventStreamParser()
    received = parser.feed(b"".join(bytes(event) for event in sent))
    assert len(received) == len(sent)
    last_id = ""
    for got, event in zip(received, sent, strict=True):
        last_id = event.id if event.id is not None else last_id
        assert got.data == event.data.replace("\r\n", "\n").replace("\r", "\n")
        assert got.event == (event.event or None)
        assert got.id == (last_id or None)


# Two other clients. Both split lines as str.splitlines() does, against the
# standard, so they cannot take the characters it splits at; otherwise they read UTF-8.
elsewhere = st.text(
    st.characters(
        exclude_categories=["Cs"], exclude_characters="\0\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
    )
)
named = st.text(st.characters(categories=["L", "N", "P"]), min_size=1).filter(
    lambda text: not what_is_wrong_with_id(text)
)
portable_events = st.builds(
    ServerSentEvent, data=elsewhere, event=named, id=named, comment=st.none() | elsewhere
)


@given(st.lists(portable_events, min_size=1))
def test_httpx_sse(sent):
    """httpx-sse reads the same events."""
    wire = b": preamble\n\n" + b"".join(bytes(event) for event in sent)
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=wire)
    received = list(httpx_sse.EventSource(response).iter_sse())
    assert [(e.data, e.event, e.id) for e in received] == [(e.data, e.event, e.id) for e in sent]


@given(st.lists(portable_events.filter(lambda event: event.data), min_size=1))
def test_sseclient_py(sent):
    """sseclient-py reads the same events; it drops those with empty data."""
    client = sseclient.SSEClient(io.BytesIO(b"".join(bytes(event) for event in sent)))
    assert [(e.data, e.event, e.id) for e in client.events()] == [
        (e.data, e.event, e.id) for e in sent
    ]
