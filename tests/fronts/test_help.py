"""What ``help()`` says of keywords that are declared elsewhere."""

import re

import pytest

import sse_sync.django
import sse_sync.flask
from sse_sync import Hub, connect
from sse_sync.channels.app import ResponseOptions, SubscribeOptions
from sse_sync.channels.publishing import PublishOptions
from sse_sync.settings import ChannelOptions

# Those of a response are described at its class.
RELAY = SubscribeOptions.__optional_keys__ - ResponseOptions.__optional_keys__ | {"user"}


@pytest.mark.parametrize(
    ("described", "keywords"),
    [
        (Hub.publish, PublishOptions.__optional_keys__),
        (sse_sync.flask.SSE.publish, PublishOptions.__optional_keys__),
        (sse_sync.django.publish, PublishOptions.__optional_keys__),
        (sse_sync.flask.SSE.subscribe, RELAY),
        (sse_sync.django.subscribe, RELAY),
        (sse_sync.flask.EventSourceResponse, ResponseOptions.__optional_keys__),
        (sse_sync.django.EventSourceResponse, ResponseOptions.__optional_keys__),
        (connect, ChannelOptions.__optional_keys__),
    ],
    ids=lambda value: getattr(value, "__module__", ""),
)
def test_keywords_are_named(described, keywords):
    """Every keyword of the options is named in the docstring of what takes them."""
    named = re.findall(r"``(\w+)``|^ +(\w+): ", described.__doc__, re.M)
    assert keywords - {name for pair in named for name in pair} == set()
