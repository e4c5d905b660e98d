"""How much of each channel is kept."""

import pytest

from sse_sync.brokers import retention as module
from sse_sync.brokers.retention import Kept, Retention

HOUR, MINUTE = 3600 * 1_000_000, 60 * 1_000_000


def test_defaults():
    """Without exceptions all channels are alike."""
    assert Retention().of("any") == Kept(1000, HOUR, HOUR, HOUR)
    assert Retention(5, 60).of("x") == Kept(5, MINUTE, MINUTE, MINUTE)
    assert Retention(5, 0.25).of("x").age == 250_000


@pytest.mark.parametrize(
    ("channel", "events"),
    [
        ("user-7", 2),
        ("user-", 2),
        ("room-a", 3),
        ("room-ab", 5),
        ("User-7", 5),
        ("news", 4),
        ("news/today", 5),
        ("[x]", 5),
    ],
)
def test_patterns(channel, events):
    """A shell-style pattern covers whole names, with upper and lower case told apart."""
    patterns = {"user-*": (2, 1), "room-?": (3, 1), "news": (4, 1)}
    assert Retention(5, 60, patterns).of(channel).events == events


def test_first_match_counts():
    """Of several patterns that match, the first one counts, however often it is asked."""
    retention = Retention(5, 60, {"user-7": (9, 1), "user-*": (2, 1), "*": (3, 1)})
    for _ in range(2):
        assert retention.of("user-7").events == 9
        assert retention.of("user-8").events == 2
        assert retention.of("room").events == 3


def test_memory_of_what_was_dropped():
    """That events were dropped is remembered for the usual time, or longer if they were kept so."""
    retention = Retention(5, 60, {"short": (1, 1), "long": (1, 3600)})
    assert retention.of("short") == Kept(1, 1_000_000, MINUTE, MINUTE)
    assert retention.of("long") == Kept(1, HOUR, HOUR, MINUTE)


def test_any_number_of_channels(monkeypatch):
    """However many channels are asked for, the answers stay right and are found by few look-ups."""
    compared = []

    def matches(channel, pattern):
        compared.append(channel)
        return channel.startswith(pattern)

    monkeypatch.setattr(module, "_REMEMBERED", 10)
    monkeypatch.setattr(module, "fnmatchcase", matches)
    retention = Retention(5, 60, {"user": (2, 1), "room": (3, 2)})
    for _ in range(2):
        for number in range(100):
            assert retention.of(f"user-{number}").events == 2
            assert retention.of(f"room-{number}").events == 3
    compared.clear()
    for _ in range(100):
        retention.of("room-99")
    assert compared == []
