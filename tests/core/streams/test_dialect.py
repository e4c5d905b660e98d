"""What the library itself says in a stream, to an event source and to others."""

import asyncio
import contextvars
import json
import sys
import threading

import pytest

from sse_sync import END_ID, CloseReason, EventStreamParser
from sse_sync.closing import End
from sse_sync.event import encode
from sse_sync.settings import Options
from sse_sync.streams.admission import Refusal
from sse_sync.streams.dialect import (
    ASKED_AT_ONCE,
    EventSourceDialect,
    LastWords,
    StreamFailure,
    closing_soon,
    dialect_of,
)

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
# How a job ends is told for good: its stream has relayed all there is.
OF_JOBS = {CloseReason.FAILED, CloseReason.CANCELLED, CloseReason.LOST}
FINAL = {CloseReason.FINISHED, CloseReason.CLOSED, CloseReason.DISMISSED} | OF_JOBS


def read(end, options=OPTIONS, failure=None):
    """Return what a client makes of a stream's last bytes."""
    parser = EventStreamParser()
    events = parser.feed(EventSourceDialect.of(options).closing(end, failure).text)
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
    """Only an end that is meant leaves the end marker, so nobody is stopped by anything else."""
    events, parser = read(End(reason, final=True, message="bye"))
    if reason in FINAL:
        assert [(e.event, e.data, e.id) for e in events] == [("stream-end", "bye", END_ID)]
        assert parser.retry is None
    else:
        assert [e.event for e in events] == [e.event for e in read(End(reason))[0]]
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
@pytest.mark.parametrize("final", [False, True])
def test_who_comes_back_is_broken_off(reason, final):
    """A clean end means "finished" to who reads with fetch(); an EventSource comes back anyway."""
    end = End(reason, final)
    assert EventSourceDialect.of(OPTIONS).closing(end).is_clean == (final and reason in FINAL)
    assert EventSourceDialect.of(OPTIONS, reconnects=True).closing(end).is_clean


def test_no_reconnection_time():
    """With None the library sends none of its own accord, and the client keeps what it has."""
    silent = EventSourceDialect.of(OPTIONS.replace({"retry": None}))
    assert silent.opening() == b":\n"
    assert silent.closing(End(CloseReason.INTERRUPTED)).text == b""
    dismissed = silent.closing(End(CloseReason.DISMISSED)).text
    assert dismissed == b"event: stream-disconnect\ndata: \n\n"
    assert EventSourceDialect.of(OPTIONS).opening() == b":\nretry: 1000\n"


@pytest.mark.parametrize("refusal", Refusal)
def test_refused_event_source(refusal):
    """It is told when to come back, and why where a person may look."""
    words = EventSourceDialect.of(OPTIONS).refusal(refusal)
    parser = EventStreamParser()
    assert parser.feed(words.text) == []
    low = 20_000 if refusal is Refusal.STOPPING else 4_000_000
    assert low <= parser.retry <= 2 * low
    assert (b"too many streams of this user" in words.text) == (refusal is Refusal.LIMITED)
    assert not words.is_clean
    assert EventSourceDialect.of(OPTIONS, reconnects=True).refusal(refusal).is_clean


FAILURES = {CloseReason.OVERFLOWED, CloseReason.INTERRUPTED} | OF_JOBS
LEGACY = contextvars.ContextVar("LEGACY", default=False)


def plain(error=None, context=None, **options):
    context = context or contextvars.copy_context()
    return dialect_of(OPTIONS.replace(options), True, error, encode, context)


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("final", [False, True])
def test_plain_stream_says_nothing(reason, final):
    """Whole is what finished, or what the application ended for good; the rest is broken off."""
    whole = reason is CloseReason.FINISHED or (final and reason is CloseReason.CLOSED)
    dialect = plain()
    assert dialect.closing(End(reason, final, "message")) == LastWords(b"", is_clean=whole)
    assert dialect.opening() == b":\n"
    assert {dialect.refusal(refusal) for refusal in Refusal} == {LastWords(b":\n", is_clean=False)}


@pytest.mark.parametrize("reason", REASONS)
def test_application_says_what_failed(reason):
    """It is asked only where its client lacks something, and its event makes a clean end."""
    asked = []

    def error(failure):
        asked.append(failure)
        return {"error": {"message": failure.message}}

    words = plain(error).closing(End(reason, final=True))
    if reason in FAILURES:
        told = "internal error" if reason is CloseReason.FAILED else reason.value
        assert asked == [StreamFailure(reason, None, told)]
        text = json.dumps({"error": {"message": told}})
        assert words == LastWords(f"data: {text}\n\n".encode(), is_clean=True)
    else:
        assert asked == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[DONE]", LastWords(b"data: [DONE]\n\n", is_clean=True)),
        (["a", "[DONE]"], LastWords(b"data: a\n\ndata: [DONE]\n\n", is_clean=True)),
        ((x for x in "ab"), LastWords(b"data: a\n\ndata: b\n\n", is_clean=True)),
        ([], LastWords(b"", is_clean=True)),
        (None, LastWords(b"", is_clean=False)),
    ],
)
def test_what_the_application_may_say(said, expected):
    """One event, several, or none, after which the connection is broken off."""
    assert plain(lambda failure: said).closing(End(CloseReason.FAILED)) == expected


def test_application_sees_the_exception():
    """The exception is for its log; the message is safe for the client outside debug mode."""
    seen = []
    failure = ValueError("secret")
    plain(seen.append).closing(End(CloseReason.FAILED), failure)
    plain(seen.append, debug=True).closing(End(CloseReason.FAILED), failure)
    assert [each.exception for each in seen] == [failure, failure]
    assert [each.message for each in seen] == ["internal error", "ValueError: secret"]


@pytest.mark.parametrize("broken", [lambda failure: 1 / 0, lambda failure: b"bytes"])
def test_application_that_fails_to_say_it(caplog, broken):
    """Its failure is logged, and the client still learns that it lacks something."""
    assert plain(broken).closing(End(CloseReason.FAILED)) == LastWords(b"", is_clean=False)
    assert "error= raised an exception" in caplog.text


def test_application_that_exits_while_it_says_it(caplog):
    """As in a generator, sys.exit() must not end the process; under gevent it would."""
    words = plain(lambda failure: sys.exit(3)).closing(End(CloseReason.FAILED))
    assert words == LastWords(b"", is_clean=False)
    assert "error= raised an exception" in caplog.text


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
def test_process_that_ends_while_the_application_is_asked(kind):
    """Whoever ends the process or the stream is not held up."""

    def ended(failure):
        raise kind

    with pytest.raises(kind):
        plain(ended).closing(End(CloseReason.FAILED))


def test_application_is_asked_in_the_context_of_its_view():
    """Even while the generator runs in it."""
    context = contextvars.copy_context()
    context.run(LEGACY.set, True)
    dialect = plain(lambda failure: str(LEGACY.get()), context)
    words = context.run(dialect.closing, End(CloseReason.OVERFLOWED))
    assert words.text == b"data: True\n\n"


def test_without_request():
    """A handed-off stream keeps nothing of its request, and asks only when something failed."""
    asked, called = [], []

    def error(failure):
        asked.append(failure.reason)
        return failure.message

    def call(ask):
        called.append(True)
        return ask()

    dialect = plain(error).without_request(call)
    assert asked == []
    assert [dialect.asks(End(reason)) for reason in REASONS] == [r in FAILURES for r in REASONS]
    assert dialect.closing(End(CloseReason.OVERFLOWED)).text == b"data: overflowed\n\n"
    assert (asked, called) == ([CloseReason.OVERFLOWED], [True])
    silent = plain().without_request(call)
    assert not any(silent.asks(End(reason)) for reason in REASONS)
    assert not silent.closing(End(CloseReason.FAILED)).is_clean


def test_shared():
    """What the application says is each stream's own, so that all may share a fan-out."""
    assert plain().shared() == plain(lambda failure: None).shared()
    event_source = EventSourceDialect.of(OPTIONS)
    assert event_source.shared() == event_source.without_request(lambda ask: ask())
    assert event_source.shared() != plain().shared()
    assert not event_source.asks(End(CloseReason.FAILED))


def test_closing_soon():
    """The application is asked elsewhere, and whoever wants to know is called."""
    told, done = [], threading.Event()

    def say(words):
        told.append((words, threading.current_thread()))
        done.set()

    closing_soon(plain(lambda failure: "x"), End(CloseReason.FAILED), say)
    assert done.wait(10)
    ((words, thread),) = told
    assert words == LastWords(b"data: x\n\n", is_clean=True)
    assert thread is not threading.current_thread()


def test_closing_soon_when_error_is_interrupted(caplog):
    """A stream that nobody answered would wait for ever: it is broken off, and the others go on."""
    told, said = [], threading.Semaphore(0)

    def interrupted(failure):
        raise asyncio.CancelledError  # No Exception, and no exit; as gevent's Timeout.

    def say(words):
        told.append(words)
        said.release()

    closing_soon(plain(interrupted), End(CloseReason.FAILED), say)
    assert said.acquire(timeout=10)
    assert told.pop() == LastWords(b"", is_clean=False)
    closing_soon(plain(lambda failure: "x"), End(CloseReason.FAILED), say)
    assert said.acquire(timeout=10)
    assert told.pop() == LastWords(b"data: x\n\n", is_clean=True)


def test_closing_soon_beside_applications_that_are_slow():
    """Some are asked at once, so that one that is slow does not hold up the others."""
    running, peak, told = [], [], []
    began, said, goes_on = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    def waits(failure):
        running.append(failure)
        peak.append(len(running))
        began.release()
        assert goes_on.wait(10)
        running.pop()
        return "slow"

    def say(words):
        told.append(words.text)
        said.release()

    def ask(error):
        closing_soon(plain(error), End(CloseReason.FAILED), say)

    for _ in range(ASKED_AT_ONCE - 1):
        ask(waits)
    ask(lambda failure: "quick")
    assert said.acquire(timeout=10)
    assert told == [b"data: quick\n\n"]
    for _ in range(2):
        ask(waits)
    for _ in range(ASKED_AT_ONCE):
        assert began.acquire(timeout=10)
    goes_on.set()
    for _ in range(ASKED_AT_ONCE + 1):
        assert said.acquire(timeout=10)
    assert max(peak) == ASKED_AT_ONCE
