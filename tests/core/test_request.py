"""What a request says."""

import pytest

from sse_sync.request import is_event_source, last_event_id


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/event-stream", True),
        ("application/json, text/event-stream", True),
        ("text/html", False),
        ("*/*", False),
        (None, False),
    ],
)
def test_event_source(accept, expected):
    """An EventSource accepts event streams, and says so."""
    assert is_event_source({} if accept is None else {"HTTP_ACCEPT": accept}) is expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTP_LAST_EVENT_ID": "7"}, "7"),
        ({"HTTP_LAST_EVENT_ID": "é".encode().decode("latin-1")}, "é"),
        ({"HTTP_LAST_EVENT_ID": "\xff"}, None),
        ({"HTTP_LAST_EVENT_ID": "", "QUERY_STRING": "lastEventId=7"}, None),
        ({"QUERY_STRING": "lastEventId=6&lastEventId=7"}, "7"),
        ({"QUERY_STRING": "lastEventId=a%0Ab"}, None),
        ({"QUERY_STRING": "a=1"}, None),
    ],
)
def test_last_event_id(environ, expected):
    """It comes from the header or, without one, from the query; what no event had is ignored."""
    assert last_event_id(environ) == expected
