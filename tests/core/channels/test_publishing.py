"""What may be published, and what is refused."""

import pytest

from sse_sync import ConfigurationError, EventError
from tests.core.channels.reading import data, events, opened


def test_unsendable(hub):
    """Data that cannot be sent is refused when published."""
    with pytest.raises(EventError, match="cannot be sent"):
        hub.publish("a", object())
    with pytest.raises(EventError, match="line break"):
        hub.publish("a", "x", event="a\nb")
    with pytest.raises(EventError, match="event must be text, not list"):
        hub.publish("a", "x", event=["a"])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"retry_for": -1}, "retry_for must be 0 to 60 seconds"),
        ({"retry_for": 61}, "retry_for must be 0 to 60 seconds"),
        ({"retry_for": "5"}, "retry_for must be 0 to 60 seconds"),
        ({"retry_for": True}, "retry_for must be 0 to 60 seconds"),
        ({"token": ""}, "token must be text of 1 to 200 characters"),
        ({"token": 7}, "token must be text"),
    ],
)
def test_bad_arguments_of_publish(hub, arguments, problem):
    with pytest.raises(ConfigurationError, match=problem):
        hub.publish("a", "x", **arguments)
    with pytest.raises(ConfigurationError, match="channel must have 1 to 200 printable"):
        hub.publish("a\n", "x")


def test_event_that_is_too_large(hub, environ):
    """A mebibyte of data is refused with advice, and nothing else is affected."""
    stream = opened(hub, environ=environ)
    events(stream, 1)
    with pytest.raises(EventError, match=r"data makes an event of 1,048,584 bytes, more than"):
        hub.publish("a", "x" * (1 << 20))
    hub.publish("a", "x" * ((1 << 20) - 8))
    assert [len(text) for text in data(stream, 1)] == [(1 << 20) - 8]
    stream.close()


def test_type_of_an_event_source_itself(hub, caplog, monkeypatch):
    """It is published, and the log says once what a page will make of it."""
    monkeypatch.setattr("sse_sync.event._warned", set())
    for _ in range(2):
        hub.publish("a", "x", event="open")
    hub.publish("a", "x", event="opened")
    assert caplog.text.count("'open' was sent: an EventSource fires events of that type") == 1
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("channel", "problem"),
    [
        (["a", "b"], "must be text, not list ['a', 'b']: pass several channels one by one"),
        ({"a": 1}, "must be text, not dict {'a': 1}: the channel comes first"),
        (7, "must be text, not int 7"),
        ("", "must have 1 to 200 printable characters, not ''"),
    ],
)
def test_what_is_no_channel(hub, channel, problem):
    """The error shows what was given, and what to write instead."""
    with pytest.raises(ConfigurationError) as caught:
        hub.publish(channel, "x")
    assert str(caught.value).startswith(f"channel {problem}")


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("a",), {}),
        (("x",), {"channel": "a"}),
        (("a", "x", "created"), {}),
        ((), {"data": "x"}),
        ((), {"channel": "a"}),
        (({"message": "x"},), {"type": "greeting"}),  # flask-sse's
        (({"message": "x"},), {"type": "greeting", "channel": "a"}),
        ((), {"channel": "a", "type": "greeting"}),
    ],
)
def test_channel_or_data_is_missing(hub, args, kwargs):
    """The error says what publish takes, and in which order, as flask-sse's is another."""
    with pytest.raises(TypeError) as caught:
        hub.publish(*args, **kwargs)
    instead = ", and event= instead of type=" if "type" in kwargs else ""
    assert str(caught.value) == (
        f"publish() takes the channel first and then the data{instead}:"
        " publish('news', {'id': 7}, event='created')"
    )


def test_channel_and_data_by_name(hub):
    """Both may be given by their names."""
    hub.publish("a", data="x")
    hub.publish(data="x", channel="a", event="created")
    assert hub.statistics().published == 2


def test_unknown_keywords_of_publish(hub):
    """They are refused by name; flask-sse's spelling of the event type is explained."""
    for publish in (hub.publish, hub.publish_to_user):
        with pytest.raises(TypeError, match="unexpected keyword argument 'evnt'"):
            publish("a", "x", evnt="created")
        with pytest.raises(TypeError, match="'type': write event= instead"):
            publish("a", "x", type="created")
        with pytest.raises(TypeError, match="'id': the broker gives each event its id"):
            publish("a", "x", id="7")
        with pytest.raises(TypeError, match="'retry': it is an option of the stream"):
            publish("a", "x", retry=5)
        with pytest.raises(TypeError, match="'token_age'"):
            publish("a", "x", token_age=5)
