"""Why a stream ends, and its last bytes."""

import pytest

from sse_sync import END_ID, CloseReason, EventStreamParser
from sse_sync.closing import End, closing_bytes, reason_of_close, spread
from sse_sync.event import MAX_RETRY
from sse_sync.settings import Options

OPTIONS = Options(retry=1000, retry_stopping=20_000, retry_failed=300_000, retry_full=4_000_000)
REASONS = list(CloseReason)
# How a client is told to come back: by which reconnection time, and with which event.
TOLD = {
    CloseReason.FAILED: (300_000, "stream-error"),
    CloseReason.SERVER_STOPPING: (20_000, None),
    CloseReason.NO_ROOM: (4_000_000, None),
    CloseReason.DISMISSED: (1000, "stream-disconnect"),
    CloseReason.INTERRUPTED: (1000, None),
}
FINAL = {CloseReason.FINISHED, CloseReason.CLOSED, CloseReason.DISMISSED}


def read(end, options=OPTIONS, failure=None):
    """Return what a client makes of a stream's last bytes."""
    parser = EventStreamParser()
    events = parser.feed(closing_bytes(end, options, failure))
    return events, parser


@pytest.mark.parametrize("reason", REASONS)
def test_client_that_comes_back(reason):
    """The reconnection time depends on the reason, and is spread; only some reasons are told."""
    retry, kind = TOLD.get(reason, (None, None))
    events, parser = read(End(reason))
    assert [event.event for event in events] == ([] if kind is None else [kind])
    assert parser.last_event_id == ""
    if retry is None:
        assert parser.retry is None
    else:
        times = {read(End(reason))[1].retry for _ in range(50)}
        assert all(retry <= time <= 2 * retry for time in times)
        assert len(times) > 25


@pytest.mark.parametrize("reason", REASONS)
def test_client_that_is_told_to_stop(reason):
    """Only an end that is meant leaves the end marker, so nobody is stopped by a failure."""
    events, parser = read(End(reason, final=True, message="bye"))
    if reason in FINAL:
        assert [(e.event, e.data, e.id) for e in events] == [("stream-end", "bye", END_ID)]
        assert parser.retry is None
    else:
        assert (
            closing_bytes(End(reason), OPTIONS)[:6]
            == closing_bytes(End(reason, final=True), OPTIONS)[:6]
        )
        assert parser.last_event_id == ""


def test_message_of_a_dismissal():
    """The page of somebody who may come back is told why, too."""
    ((event,), _) = read(End(CloseReason.DISMISSED, message="line one\nline two"))
    assert (event.event, event.data, event.id) == ("stream-disconnect", "line one\nline two", None)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (ValueError("a\nsecret"), "ValueError: a\nsecret"),
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError("\ud800"), "ValueError: ?"),
    ],
)
def test_failure(failure, told):
    """What failed is shown in debug mode only."""
    ((event,), _) = read(End(CloseReason.FAILED), OPTIONS.replace({"debug": True}), failure)
    assert event.data == told
    ((event,), _) = read(End(CloseReason.FAILED), OPTIONS, failure)
    assert event.data == "internal error"


def test_nothing_to_show_in_debug_mode():
    """A failure whose exception is not known shows no name of a type that nobody raised."""
    ((event,), _) = read(End(CloseReason.FAILED), OPTIONS.replace({"debug": True}))
    assert event.data == "internal error"


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
