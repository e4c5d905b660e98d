"""The query of a URL with which a page opens a stream."""

import pytest

from sse_sync import BrokerUnavailable, ConfigurationError
from sse_sync.channels.links import stream_query
from tests.core.channels.reading import events, opened


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


@pytest.mark.parametrize("since", ["", "x", 7])
def test_what_is_no_position(hub, since):
    """A variable that the template lacks is no position, and must not pass for the present one."""
    with pytest.raises(ConfigurationError, match="since must be what position"):
        stream_query(hub, (), None, since)


def test_without_a_broker(hub, environ, monkeypatch):
    """The page has no position, and is not told to load anew before it can get one."""

    def position():
        raise BrokerUnavailable("test", "away")

    with monkeypatch.context() as patch:
        patch.setattr(hub, "position", position)
        (last,) = stream_query(hub, (), None, None).values()
        stream = opened(hub, environ=environ, last_event_id=last)
        assert events(stream, 1)[0].event == "stream-error"
        stream.close()
    stream = opened(hub, environ=environ, last_event_id=last)
    assert events(stream, 1)[0].event == "stream-reset"
    stream.close()
