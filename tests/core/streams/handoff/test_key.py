"""Which streams share a fan-out."""

import contextvars

import pytest

from sse_sync import Overflow
from sse_sync.event import encode
from sse_sync.settings import Options
from sse_sync.streams.dialect import dialect_of
from sse_sync.streams.handoff.key import FanoutKey
from tests.core.channels.reading import subscribed


def key(hub, channels=("a", "b"), *, options=(), chunked=True, plain=False, **arguments):
    options = Options().replace(dict(options))
    wanted = subscribed(hub, *channels, **arguments)
    dialect = dialect_of(options, plain, None, encode, contextvars.copy_context())
    return FanoutKey.of(wanted, options, dialect, chunked=chunked)


def test_alike(hub):
    """Streams of equal channels and options share one, whoever they belong to."""
    one, other = key(hub), key(hub, tuple("ab"), last_event_id="x-1")
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    "difference",
    [
        {"channels": ("a",)},
        {"channels": ("b", "a")},
        {"chunked": False},
        {"max_events": 7},
        {"max_bytes": 700},
        {"overflow": Overflow.LATEST},
        {"tell_degraded": True},
        {"match": {"tenant": 1}},
        {"until": "done"},
        {"snapshot": list},
        {"options": {"heartbeat": 7.0}},
        {"options": {"heartbeat": None}},
        {"options": {"write_timeout": 7.0}},
        {"options": {"retry": 7}},
        {"options": {"retry_stopping": 7}},
        {"options": {"retry_failed": 7}},
        {"options": {"debug": True}},
        {"plain": True},
    ],
    ids=str,
)
def test_different(hub, difference):
    """Whatever changes what is written, or when, needs a fan-out of its own."""
    assert key(hub, **difference) != key(hub)


@pytest.mark.parametrize(
    "options", [{"lifetime": 7.0}, {"reconnect": True}, {"cors_origins": "*"}], ids=str
)
def test_what_makes_no_difference(hub, options):
    """What concerns one stream alone, or only its beginning, does not keep it from sharing."""
    assert key(hub, options=options) == key(hub)


def test_how_a_stream_finishes(hub):
    """Whether clients come back matters only if an event can finish their streams."""
    assert key(hub, until="done", options={"reconnect": True}) != key(hub, until="done")
    assert key(hub, until=["done", "failed"]) == key(hub, until=["failed", "done", "done"])


@pytest.mark.parametrize(
    "selected", [{"replay": 5}, {"sender": "ann"}, {"not_before": "a-1"}, {"since": "a-1"}]
)
def test_where_a_client_started(hub, selected):
    """It does not matter later."""
    assert key(hub, **selected) == key(hub)


def test_snapshots(hub):
    """Which function tells the state does not matter, as only a request calls it."""
    assert key(hub, snapshot=list) == key(hub, snapshot=tuple)
