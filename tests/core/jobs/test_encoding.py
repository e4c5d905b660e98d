"""What a job may yield."""

import pytest

from sse_sync.event import ServerSentEvent, comment, encode
from sse_sync.event_text import EventText
from sse_sync.exceptions import EventError
from sse_sync.jobs.encoding import checked


@pytest.mark.parametrize(
    "item",
    [
        *("a", "", "id: 7\ndata: x", {"id": 7}, ServerSentEvent("a", event="b", comment="id: 7")),
        EventText("event: b\ndata: id: 7\n\n"),
        "x" * (1 << 20 >> 1),
    ],
)
def test_events(item):
    """Whatever has data and no id passes unchanged."""
    assert checked(encode)(item) == encode(item)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (ServerSentEvent("a", id="7"), "id cannot be given"),
        (ServerSentEvent("a", id=""), "id cannot be given"),
        (ServerSentEvent("a", id=0), "id cannot be given"),
        (EventText("data: a\nid: 7\n\n"), "id cannot be given"),
        (EventText("id\ndata: a\n\n"), "id cannot be given"),
        (comment("still there"), "data is missing"),
        (ServerSentEvent(retry=7), "data is missing"),
        ("x" * (1 << 20), "makes an event of 1,048,584 bytes"),
        (b"a", "is bytes"),
    ],
)
def test_refused(item, problem):
    """An id of the application's would replace the position; what has no data is no event."""
    with pytest.raises(EventError, match=problem):
        checked(encode)(item)
