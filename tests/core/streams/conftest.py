"""Fixtures of the streams' tests."""

import pytest

from tests.core.streams.served import SERVED, Client


@pytest.fixture(params=[{}, SERVED], ids=["inline", "beside"])
def environ(request, runtime):
    """With a server, and without one."""
    return request.param


@pytest.fixture
def client(runtime, monkeypatch):
    """The client of every stream that opens from now on."""
    client = Client()
    monkeypatch.setattr("sse_sync.streams.stream.find_client_socket", lambda environ: client)
    monkeypatch.setattr(runtime.reactor, "watch", client.watch)
    return client
