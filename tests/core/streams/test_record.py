"""What the log says of a stream that has ended."""

import logging

import pytest

from sse_sync import CloseReason
from sse_sync.streams.record import StreamRecord, log_end, path_of
from tests.core.streams.served import served


@pytest.fixture(autouse=True)
def level(caplog):
    """The log has what it has with a level of INFO."""
    caplog.set_level(logging.INFO, "sse_sync")


def wsgi(path):
    """Return a path as a server puts it into the environ: bytes taken for latin-1."""
    return path.encode().decode("latin-1")


def test_log_keeps_no_request(runtime, caplog):
    """The record of a stream's end holds plain values only."""
    stream = served(["a"])
    list(stream)
    stream.close()
    (record,) = caplog.records
    assert record.getMessage() == (
        "event stream /events ended: finished, after 0.0 s, 1 events, 66 bytes"
    )
    assert all(type(value) in (str, int, float) for value in record.args)


def test_figures(runtime, caplog):
    """The log tells how long a stream lasted and what it sent, heartbeats included as bytes."""

    def source():
        runtime.sleep(20)
        yield "a"
        yield "b"

    stream = served(source(), heartbeat=15, reconnect=True)
    size = sum(len(chunk) for chunk in stream)
    stream.close()
    assert caplog.messages == [
        f"event stream /events ended: finished, after 20.0 s, 2 events, {size} bytes"
    ]


def test_record_of_a_new_stream():
    """Nothing has been sent yet."""
    record = StreamRecord("/events")
    assert (record.path, record.opened_at, record.events, record.bytes) == ("/events", 0.0, 0, 0)


@pytest.mark.parametrize("reason", list(CloseReason))
def test_reason(caplog, reason):
    """The reason is in words."""
    log_end("/", reason, 1.25, 3, 40)
    assert caplog.messages == [f"event stream / ended: {reason}, after 1.2 s, 3 events, 40 bytes"]


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/chat/rooms-1/~me:x@y;v=1,2", "/chat/rooms-1/~me:x@y;v=1,2"),
        ("/a b", "/a%20b"),
        ("/50%", "/50%25"),
        ("/who?", "/who%3F"),
        ('/"x"', "/%22x%22"),
        (wsgi("/caf\u00e9/\u65e5"), "/caf%C3%A9/%E6%97%A5"),
        ("/x\nsse_sync ERROR all is lost", "/x%0Asse_sync%20ERROR%20all%20is%20lost"),
        ("/x\r\n", "/x%0D%0A"),
        ("/\x1b[2Jgone", "/%1B%5B2Jgone"),
        ("/\x7f\x85\x9b31m", "/%7F%85%9B31m"),
        (wsgi("/\u2028next"), "/%E2%80%A8next"),
        ("/not latin-1: \u65e5", "/not%20latin-1:%20%3F"),
        ("", ""),
    ],
)
def test_paths(path, logged):
    """A path is logged as it stood in the request, however it was decoded."""
    assert path_of(path) == logged


def test_no_line_is_forged(runtime, caplog):
    """A path with line breaks and escape sequences is one printable line of the log."""
    stream = served(["a"], {"SERVER_SOFTWARE": "test", "PATH_INFO": "/x\n\x1b[31mERROR\r\x00"})
    list(stream)
    stream.close()
    (line,) = caplog.messages
    assert line.startswith("event stream /x%0A%1B%5B31mERROR%0D%00 ended: finished")
    assert line.isprintable()


def test_nothing_is_formatted_in_vain(caplog):
    """Where the level is above INFO, nothing is logged."""
    caplog.set_level(logging.WARNING, "sse_sync")
    log_end("/", CloseReason.FINISHED, 0.0, 0, 0)
    assert caplog.messages == []
