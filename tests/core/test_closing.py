"""Why a stream ends."""

import pytest

from sse_sync import CloseReason
from sse_sync.closing import End, reason_of_close, spread
from sse_sync.fields import MAX_RETRY

REASONS = list(CloseReason)


@pytest.mark.parametrize("reason", REASONS)
def test_urgent(reason):
    """Only a stopping server and a dismissed client do not wait for who does not read."""
    urgent = {CloseReason.SERVER_STOPPING, CloseReason.DISMISSED}
    assert End(reason).is_urgent == (reason in urgent)


def test_spread():
    """A time is spread up to its double, and never exceeds what a client takes."""
    times = {spread(1000) for _ in range(200)}
    assert 1000 <= min(times) < 1200
    assert 1800 < max(times) <= 2000
    assert spread(0) == 0
    assert spread(MAX_RETRY) == MAX_RETRY


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (None, CloseReason.CLIENT_GONE),
        (BrokenPipeError, CloseReason.CLIENT_GONE),
        (TimeoutError, CloseReason.CLIENT_GONE),
        (GeneratorExit, CloseReason.CLIENT_GONE),
        (SystemExit, CloseReason.SERVER_STOPPING),
        (KeyboardInterrupt, CloseReason.SERVER_STOPPING),
    ],
)
def test_reason_of_close(error, reason):
    """The exception that a server is handling when it closes a stream gives the reason."""
    try:
        if error is not None:
            raise error
        told = reason_of_close()
    except BaseException:
        told = reason_of_close()
    assert told is reason


def test_end_is_a_value():
    """Equal ends are equal, and none can be changed once it was given."""
    end = End(CloseReason.CLOSED, True, "bye")
    assert end == End(CloseReason.CLOSED, final=True, message="bye")
    assert {end} == {End(CloseReason.CLOSED, True, "bye")}
    with pytest.raises(AttributeError):
        end.final = False
