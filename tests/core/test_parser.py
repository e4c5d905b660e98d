"""The parser: every rule of the standard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_sync import EventStreamParser, ServerSentEvent, comment

LONG = "x" * 2000


def parse(text):
    parser = EventStreamParser()
    events = parser.feed(text.encode())
    return [event.data for event in events], events, parser


# The cases of the Web Platform Tests, eventsource/, by the name of their file. Their server adds
# a line end to each message, unless told not to.
@pytest.mark.parametrize(
    ("stream", "data"),
    [
        pytest.param(
            "data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\n"
            "data\n\ndata:end\n\n",
            ["msg\nmsg", "", "end"],
            id="event-data",
        ),
        pytest.param("\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3\n\n", ["1", "3"], id="format-bom"),
        pytest.param("\ufeff\ufeffdata:1\n\ndata:2\n\ndata:3\n\n", ["2", "3"], id="format-bom-2"),
        pytest.param(
            f"data:1\r:\0\n:\r\ndata:2\n:{LONG}\rdata:3\n:data:fail\r:{LONG}\ndata:4\n\n",
            ["1\n2\n3\n4"],
            id="format-comments",
        ),
        pytest.param(
            "retry:1000\ndata:test1\n\nid:test\ndata:test2",
            ["test1"],
            id="format-data-before-final-empty-line",
        ),
        pytest.param(
            "data:\n\ndata\ndata\n\ndata:test\n\n", ["", "\n", "test"], id="format-field-data"
        ),
        pytest.param("event: \ndata:data\n\n", ["data"], id="format-field-event-empty"),
        pytest.param(
            "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\r"
            "data:\r\n data:32\ndata:4\n\n",
            ["\0\n 2\n1\n3\n\n4"],
            id="format-field-parsing",
        ),
        pytest.param(
            "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
            ["test\n\ntest"],
            id="format-field-unknown",
        ),
        pytest.param(
            "data:\ttest\rdata: \ndata:test\n\n", ["\ttest\n\ntest"], id="format-leading-space"
        ),
        pytest.param(
            "data:test\r\ndata\ndata:test\r\n\r\n", ["test\n\ntest"], id="format-newlines"
        ),
        pytest.param("data:\0\n\n\n\n", ["\0"], id="format-null-character"),
        pytest.param("data:ok…\n\n", ["ok…"], id="format-utf-8"),
    ],
)
def test_web_platform_format(stream, data):
    """Data is what the Web Platform Tests expect."""
    assert parse(stream)[0] == data


def test_web_platform_data_before_final_empty_line():
    """format-data-before-final-empty-line: the unfinished event changes no id."""
    _, events, parser = parse("retry:1000\ndata:test1\n\nid:test\ndata:test2")
    assert (events[0].id, parser.last_event_id, parser.retry) == (None, "", 1000)


def test_web_platform_field_event():
    """format-field-event: an event type holds for one event."""
    _, events, _ = parse("event:test\ndata:x\n\ndata:x\n\n")
    assert [event.event for event in events] == ["test", None]


def test_web_platform_field_event_name():
    """submissions/MOSQUITO/field-name-event: the last type counts."""
    _, events, _ = parse("event:message\nevent:eventtypetest\ndata:x\n\n")
    assert events[0].event == "eventtypetest"


def test_web_platform_field_id():
    """format-field-id: any character goes."""
    _, events, parser = parse("id: …\nretry: 200\ndata: hello\n\n")
    assert (events[0].id, parser.last_event_id, parser.retry) == ("…", "…", 200)


def test_web_platform_field_id_2():
    """format-field-id-2: the id holds until it is changed."""
    _, events, parser = parse("id: …\nretry: 200\ndata: hello\n\ndata: hello\n\nid\n\ndata:x\n\n")
    assert [event.id for event in events] == ["…", "…", None]
    assert parser.last_event_id == ""


def test_web_platform_field_id_3():
    """format-field-id-3: an id without data counts, and an empty one resets."""
    _, events, parser = parse("id: 1\n\ndata: a\n\nid: 2\ndata: b\n\nid:\ndata: c\n\n")
    assert [event.id for event in events] == ["1", "2", None]
    assert parser.last_event_id == ""


@pytest.mark.parametrize("value", ["\0\0", "x\0", "\0x", "x\0x", " \0"])
def test_web_platform_field_id_null(value):
    """format-field-id-null: an id with NUL is ignored."""
    _, events, parser = parse(f"id: kept\n\nid: {value}\ndata: hello\n\n")
    assert (events[0].id, parser.last_event_id) == ("kept", "kept")


@pytest.mark.parametrize(
    ("stream", "retry"),
    [
        pytest.param("retry:03000\ndata:x\n\n", 3000, id="format-field-retry"),
        pytest.param("retry:3000\nretry:1000x\ndata:x\n\n", 3000, id="format-field-retry-bogus"),
        pytest.param("retry\ndata:test\n\n", None, id="format-field-retry-empty"),
        pytest.param("retry:-1\n\n", None, id="negative"),
        pytest.param("retry:\N{ARABIC-INDIC DIGIT ONE}\n\n", None, id="digits of another script"),
        pytest.param("retry:" + "9" * 100_000 + "\n\n", None, id="absurd"),
        pytest.param("retry:7", None, id="unfinished line"),
        pytest.param("retry:7\n", 7, id="counts without an empty line"),
    ],
)
def test_web_platform_field_retry(stream, retry):
    """The reconnection time is made of ASCII digits only."""
    assert parse(stream)[2].retry == retry


def test_cr_ends_a_line_at_once():
    """An event that ends with CR is complete without waiting for what follows."""
    parser = EventStreamParser()
    assert [event.data for event in parser.feed(b"data: a\r\r")] == ["a"]
    assert parser.feed(b"\n") == []
    assert [event.data for event in parser.feed(b"data: b\n\n")] == ["b"]


def test_comments():
    """Comments are returned on request, in order."""
    parser = EventStreamParser(comments=True)
    assert parser.feed(b":\n\n: hi\ndata: x\n\n:  two\n") == [
        comment(),
        comment("hi"),
        ServerSentEvent("x"),
        comment(" two"),
    ]


def test_invalid_utf_8():
    """Bytes that are not UTF-8 become U+FFFD, as in the standard."""
    parser = EventStreamParser()
    assert parser.feed(b"data: \xff\xc3\n\n")[0].data == "\ufffd\ufffd"


def test_long_lines():
    """A line of megabytes in many pieces takes linear time."""
    parser = EventStreamParser()
    assert parser.feed(b"data: ") == []
    for _ in range(1000):
        assert parser.feed(b"x" * 4000) == []  # Quadratic time would be minutes.
    (event,) = parser.feed(b"\n\n")
    assert len(event.data) == 4_000_000


fields = st.sampled_from(
    ["data: x", "data:", "data", ": c", "event: e", "id: 1", "id", "retry: 5", "…: ", "\ufeff", ""]
)
ends = st.sampled_from(["\n", "\r", "\r\n"])


@given(st.lists(st.tuples(fields, ends)), st.data())
def test_any_pieces(lines, data):
    """A stream parses the same however it is cut."""
    stream = "".join(line + end for line, end in lines).encode()
    whole = EventStreamParser(comments=True)
    expected = whole.feed(stream)
    pieces = EventStreamParser(comments=True)
    got = []
    rest = stream
    while rest:
        size = data.draw(st.integers(1, min(5, len(rest))))
        got += pieces.feed(rest[:size])
        rest = rest[size:]
    assert got == expected
    assert (pieces.last_event_id, pieces.retry) == (whole.last_event_id, whole.retry)
