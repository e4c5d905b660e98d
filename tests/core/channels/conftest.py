"""A hub, and both ways to read its channels."""

import pytest

from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from tests.core.channels.reading import SERVED


@pytest.fixture
def make_hub():
    """Make hubs that are closed at the end of the test."""
    hubs = []

    def make(broker=None, **arguments):
        hubs.append(Hub(broker or MemoryBroker(), **arguments))
        return hubs[-1]

    yield make
    for hub in hubs:
        hub.close()


@pytest.fixture
def hub(make_hub):
    return make_hub()


@pytest.fixture(params=[{}, SERVED], ids=["inline", "beside"])
def environ(request, runtime):
    """In a test client, and on a server."""
    return request.param
