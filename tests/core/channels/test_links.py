"""The query of a URL with which a page opens a stream."""

import pytest

from sse_sync.channels.links import stream_query


def test_position(hub):
    """It is that of the moment, or the one that is given."""
    position = hub.position()
    assert stream_query(hub, (), None, None) == {"lastEventId": str(position)}
    hub.publish("a", "x")
    assert stream_query(hub, (), None, position) == {"lastEventId": str(position)}


@pytest.mark.parametrize(
    ("channels", "token", "query"),
    [((), None, {}), (("a", "b"), None, {"channel": ["a", "b"]}), (("a",), "t", {"token": "t"})],
)
def test_channels(hub, channels, token, query):
    """A token names the channels, so that they need not be there as well."""
    assert stream_query(hub, channels, token, "p-1") == {**query, "lastEventId": "p-1"}
