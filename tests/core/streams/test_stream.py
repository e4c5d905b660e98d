"""Streams: bytes, ends and reasons, with a fake clock."""

import contextvars
import gc
import logging
import weakref
from functools import partial

import pytest

from sse_sync import (
    END_ID,
    CloseReason,
    EventStream,
    EventStreamParser,
    ServerSentEvent,
    SourceError,
    statistics,
)
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.channels.subscription import Subscription
from sse_sync.closing import End
from sse_sync.event import encode
from sse_sync.settings import Options
from sse_sync.streams import registry
from sse_sync.streams.drain import INTERVAL, on_worker_stop
from sse_sync.streams.hooks import Hooks
from tests.core.environs import REQUEST, class_named
from tests.core.streams.served import END, PREAMBLE, SERVED, retry_in, served, slow_to_clean_up

A2WSGI = {"asgi.scope": {}, "wsgi.input": class_named("a2wsgi.wsgi.Body")}
ASGIREF = {"wsgi.input": class_named("tempfile.SpooledTemporaryFile")}


def go_on(stream, runtime):
    """Let the source run to its next event or its next wait, as if the last one was sent."""
    stream._run.feed._holding = False
    stream._run.feed._taken.set()
    runtime.run_ready()


def test_bytes(environ):
    """The preamble, the events, the end."""
    source = iter(["a", {"b": 1}, ServerSentEvent("c", id=1)])
    stream = served(source, environ)
    assert list(stream) == [
        PREAMBLE,
        b"data: a\n\n",
        b'data: {"b": 1}\n\n',
        b"id: 1\ndata: c\n\n",
        END,
    ]
    stream.close()
    assert statistics().closed == {CloseReason.FINISHED: 1}


def test_preamble_has_the_reconnection_time(environ):
    """The first bytes reset the reconnection time."""
    stream = served([], environ, retry=7)
    assert next(stream) == b":\nretry: 7\n"
    stream.close()


def test_nothing_starts_before_iteration(runtime):
    """A stream that is closed before it starts does not run its source."""
    seen = []

    def source():
        seen.append("ran")
        yield "a"

    stream = served(source(), on_close=seen.append, after=lambda error: seen.append("after"))
    stream.close()
    stream.close()
    assert seen == ["after"]
    assert list(stream) == []
    assert statistics().opened == 0


def test_source_starts_after_the_preamble(environ, runtime):
    """The first bytes do not wait for the source."""
    seen = []

    def source():
        seen.append("ran")
        yield "a"

    stream = served(source(), environ)
    next(stream)
    assert seen == []
    next(stream)
    assert seen == ["ran"]
    stream.close()


def test_one_event_at_a_time(environ, runtime):
    """A source continues only after its event was taken and the next is wanted."""
    seen = []

    def source():
        for number in range(3):
            seen.append(number)
            yield number

    stream = served(source(), environ)
    next(stream)
    next(stream)
    runtime.run_ready()
    assert seen == [0]
    next(stream)
    runtime.run_ready()
    assert seen == [0, 1]
    stream.close()
    runtime.run_ready()
    assert seen == [0, 1]


def test_reconnect(environ):
    """A stream with reconnect=True ends without an event."""
    assert list(served(["a"], environ, reconnect=True)) == [PREAMBLE, b"data: a\n\n"]


@pytest.mark.parametrize(
    "source",
    ["text", b"bytes", {"a": 1}, 5, None, len, object()],
    ids=lambda source: type(source).__name__,
)
def test_not_a_source(source):
    """A value that is not a source is refused at once."""
    with pytest.raises(SourceError, match="is not a source of events"):
        EventStream(source)


def test_interrupted_once(runtime):
    """A finally that blocks is not interrupted again."""
    seen = []
    stream = served(slow_to_clean_up(runtime, 10, seen))
    next(stream)
    next(stream)
    go_on(stream, runtime)
    stream.end_with(End(CloseReason.CLIENT_GONE))
    stream.end_with(End(CloseReason.SERVER_STOPPING))
    stream.close()
    runtime.run_ready()
    stream.end_with(End(CloseReason.CLIENT_GONE))
    runtime.advance(20)
    assert seen == ["cleaned up"]


def test_end_while_the_source_is_being_closed(runtime):
    """A finally that runs because of close() is never interrupted."""
    seen = []

    def source():
        try:
            yield "a"
        finally:
            runtime.sleep(10)
            seen.append("cleaned up")

    stream = served(source())
    next(stream)
    next(stream)
    stream.end_with(End(CloseReason.CLIENT_GONE))
    runtime.run_ready()
    stream.end_with(End(CloseReason.CLIENT_GONE))
    stream.close()
    runtime.advance(20)
    assert seen == ["cleaned up"]


@pytest.mark.parametrize("debug", [False, True])
def test_failure(environ, caplog, debug):
    """An exception is logged in full; the client sees it in debug mode only."""

    def source():
        yield "a"
        raise ZeroDivisionError("the\nsecret")

    seen = []
    stream = served(
        source(), environ, debug=debug, retry_failed=1000, on_close=seen.append, after=seen.append
    )
    *_, last = list(stream)
    stream.close()
    parser = EventStreamParser()
    (event,) = parser.feed(last)
    assert event.event == "stream-error"
    assert event.data == ("ZeroDivisionError: the\nsecret" if debug else "internal error")
    assert event.id is None
    assert 1000 <= parser.retry <= 2000
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "the\nsecret" in record.exc_text or "the\nsecret" in str(record.exc_info[1])
    assert seen[0] is CloseReason.FAILED
    assert isinstance(seen[1], ZeroDivisionError)


def test_unsendable_is_raised_at_its_yield(environ, caplog):
    """If a value cannot be sent, the traceback shows the line that yielded it."""
    seen = []

    def source():
        try:
            yield object()
        except ValueError as exc:
            seen.append(str(exc))
            yield "recovered"

    chunks = list(served(source(), environ))
    assert chunks == [PREAMBLE, b"data: recovered\n\n", END]
    assert "data is of the type object, which cannot be sent" in seen[0]
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_unsendable_again_and_again(environ, runtime):
    """A source that swallows the error and repeats the mistake is ended."""
    seen = []

    def source():
        while True:
            try:
                yield object()
            except ValueError:
                seen.append("swallowed")

    *_, last = list(served(source(), environ))
    assert b"stream-error" in last
    assert seen == ["swallowed"]


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit])
def test_exit_in_a_source(runtime, caplog, error):
    """sys.exit() in a source ends its stream, and nothing else."""

    def source():
        yield "a"
        raise error(3)

    stream = served(source())
    try:
        *_, last = list(stream)
    finally:
        stream.close()
    assert b"stream-error" in last
    assert statistics().closed == {CloseReason.FAILED: 1}


def test_record_of_a_failure_keeps_no_request(environ, runtime, caplog):
    """A stored log record does not keep the view's context alive."""

    class Request:
        """An object with weak references."""

    variable = contextvars.ContextVar("request")
    request = Request()
    context = contextvars.copy_context()
    context.run(variable.set, request)
    kept = weakref.ref(request)

    def source():
        yield "a"
        raise ZeroDivisionError

    stream = served(source(), environ, context=context)
    list(stream)
    stream.close()
    runtime.run_ready()
    assert [record for record in caplog.records if record.exc_info]
    del request, context, stream
    gc.collect()
    assert kept() is None


def test_burst_of_arrivals(runtime):
    """The limit holds when streams arrive while others are being opened."""
    options, opened = Options(max_streams=3), []

    def arrive():
        stream = EventStream(
            iter(["a"]), dict(SERVED), options=options, hooks=Hooks(before=lambda: runtime.sleep(1))
        )
        opened.append(next(stream))

    for number in range(10):
        runtime.spawn(arrive, str(number))
    runtime.advance(10)
    assert opened.count(PREAMBLE) == 3
    assert (statistics().open, statistics().refused) == (3, 7)


def test_source_that_cannot_be_started(runtime, caplog):
    """If no thread can start, the client is told to reconnect, and nothing is left."""

    def no_threads(function, name):
        raise RuntimeError("can't start new thread")

    runtime.spawn = no_threads
    seen = []
    stream = served(["a"], on_close=seen.append, after=seen.append)
    *_, last = list(stream)
    stream.close()
    assert b"stream-error" in last
    assert seen[0] is CloseReason.FAILED
    assert isinstance(seen[1], RuntimeError)
    assert (statistics().open, statistics().lingering) == (0, 0)


def test_reactor_that_cannot_be_started(runtime):
    """A stream that cannot be opened is not counted as open."""

    def no_threads(when, callback):
        raise RuntimeError("can't start new thread")

    runtime.reactor.call_at = no_threads
    stream = served(["a"])
    with pytest.raises(RuntimeError):
        next(stream)
    stream.close()
    assert (statistics().open, statistics().closed) == (0, {CloseReason.FAILED: 1})


def test_source_of_a_client_that_left_at_once(runtime):
    """A source is not started if its client has left."""
    seen = []

    def source():
        seen.append("ran")
        yield "a"

    stream = served(source())
    next(stream)
    stream.end_with(End(CloseReason.CLIENT_GONE))
    assert list(stream) == []
    stream.close()
    runtime.run_ready()
    assert seen == []


def test_nothing_waits_for_the_garbage_collector(environ, runtime):
    """A finished stream releases its request at once, despite the reference cycle."""

    class Request:
        """An object with weak references."""

    variable = contextvars.ContextVar("request")
    request = Request()
    context = contextvars.copy_context()
    context.run(variable.set, request)
    request.stream = served(
        ["a"], environ, context=context, after=lambda error, request=request: None
    )
    list(request.stream)
    request.stream.close()
    runtime.run_ready()
    kept = weakref.ref(request)
    gc.collect()
    gc.disable()
    try:
        del request, context
        assert kept() is None
    finally:
        gc.enable()


def test_unsendable_from_an_iterator(environ, caplog):
    """With a plain iterator, which has no throw(), the error ends the stream."""
    *_, last = list(served(iter(["a", object()]), environ))
    assert b"stream-error" in last


def test_stopping(runtime):
    """A stopping server gives each client its own reconnection time, and nothing is lost."""
    retries = set()
    for _ in range(20):
        stream = served(iter(range(100)), retry_stopping=1000)
        next(stream)
        next(stream)
        go_on(stream, runtime)
        registry.registry().end_all(CloseReason.SERVER_STOPPING)
        rest = b"".join(stream)
        assert rest.startswith(b"data: 1\n\nretry: ")
        retries.add(retry_in(rest))
        stream.close()
    assert all(1000 <= retry <= 2000 for retry in retries)
    assert len(retries) > 5
    assert statistics().closed == {CloseReason.SERVER_STOPPING: 20}


def test_sweep_notices_a_stopping_server(runtime):
    """Streams end by themselves when the server stops."""
    alive = [True]
    on_worker_stop(lambda: not alive[0])

    def source():
        runtime.sleep(1)
        alive[0] = False
        runtime.sleep(1000)
        yield "never"

    list(served(source()))
    assert runtime.now <= 1001 + INTERVAL + 0.001


@pytest.mark.parametrize(("reconnect", "last"), [(False, END), (True, PREAMBLE)])
def test_end_by_the_application(runtime, reconnect, last):
    """An application ends a stream from elsewhere, for good or not."""
    seen = []

    def source():
        runtime.sleep(1000)
        yield "never"

    stream = served(source(), on_close=seen.append)

    def end(now):
        stream.end(reconnect=reconnect)
        stream.end()

    runtime.reactor.call_at(runtime.now + 1, end)
    assert list(stream)[-1] == last
    stream.close()
    assert seen == [CloseReason.CLOSED]


def test_end_inline():
    """In a test client, ending a stream closes its source in the same thread."""
    seen = []

    def source():
        try:
            yield "a"
            yield "b"
        finally:
            seen.append("finally")

    stream = served(source(), {})
    next(stream)
    next(stream)
    stream.end()
    assert list(stream) == [END]
    assert seen == ["finally"]


def test_first_reason_counts(runtime):
    """The first reason for an end counts."""
    stream = served(["a"])
    next(stream)
    stream.end()
    stream.end_with(End(CloseReason.CLIENT_GONE))
    stream.close()
    assert statistics().closed == {CloseReason.CLOSED: 1}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BrokenPipeError, CloseReason.CLIENT_GONE),
        (SystemExit, CloseReason.SERVER_STOPPING),
        (GeneratorExit, CloseReason.CLIENT_GONE),
        (None, CloseReason.CLIENT_GONE),
    ],
)
def test_reason_of_a_server_that_gives_up(environ, runtime, error, reason):
    """The exception with which a server closes a stream gives the reason."""
    stream = served(iter(range(10)), environ)
    next(stream)
    next(stream)
    try:
        if error is not None:
            raise error
    except BaseException:
        stream.close()
    else:
        stream.close()
    assert statistics().closed == {reason: 1}


def test_full(runtime):
    """At the process's limit, an event source gets 200 and a long, spread reconnection time."""
    first = served(["a"])
    next(first)
    options = Options(max_streams=1, retry_full=1000)
    seen = []
    second = EventStream(iter([]), dict(SERVED), options=options, hooks=Hooks(after=seen.append))
    (chunk,) = list(second)
    assert chunk.startswith(b"retry: ")
    assert 1000 <= retry_in(chunk) <= 2000
    second.close()
    assert seen == [None]
    assert (statistics().refused, statistics().open) == (1, 1)
    first.close()
    runtime.run_ready()
    third = EventStream(iter([]), dict(SERVED), options=options)
    assert next(third) == PREAMBLE
    third.close()


def test_cleanup_that_fails(environ, runtime, caplog):
    """An exception in the source's own cleanup is logged."""

    def source():
        try:
            yield "a"
        finally:
            raise ValueError("cleanup")

    stream = served(source(), environ)
    next(stream)
    next(stream)
    stream.close()
    runtime.run_ready()
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "failed while its stream was ending" in record.getMessage()


def test_dumps(environ):
    """JSON is written by the given function."""
    encode_odd = partial(encode, dumps=lambda value: f"<{value}>")
    assert b"data: <1>\n\n" in list(served([1], environ, encode=encode_odd))
    assert b'data: {"a": 1}\n\n' in list(served([{"a": 1}], environ))


def test_end_id_is_what_the_end_carries():
    """The last event carries the end marker."""
    (event,) = EventStreamParser().feed(END)
    assert event == ServerSentEvent("", event="stream-end", id=END_ID)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (End(CloseReason.CLOSED), End(CloseReason.DISMISSED, True, "banned"), b""),
        (End(CloseReason.DISMISSED, False, "go"), End(CloseReason.CLOSED, True), b"data: go\n"),
        (End(CloseReason.DISMISSED, True, "banned"), End(CloseReason.CLOSED), b"data: banned\n"),
    ],
)
def test_first_end_counts(runtime, first, second, expected):
    """Two requests to end a stream never combine into an end that nobody asked for."""
    stream = served(iter(range(100)))
    next(stream)
    stream.end_with(first)
    stream.end_with(second)
    rest = b"".join(stream)
    assert expected in rest
    assert (END_ID.encode() in rest) == first.final
    assert (b"banned" in rest) == (first.message == "banned")
    stream.close()
    assert statistics().closed == {first.reason: 1}


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("lifetime", [None, 10], ids=["finished", "lifetime over"])
def test_server_that_may_not_close(runtime, closes, lifetime):
    """Where the server may leave a finished response unclosed, the stream closes itself."""
    # a2wsgi closes what it has iterated, asgiref does not.
    environ = {**REQUEST, **(A2WSGI if closes else ASGIREF)}
    reasons = []

    def source():
        yield "a"
        if lifetime is not None:
            runtime.sleep(60)

    stream = served(source(), environ, lifetime=lifetime, on_close=reasons.append)
    assert list(stream)[1] == b"data: a\n\n"
    expected = [CloseReason.FINISHED if lifetime is None else CloseReason.LIFETIME_OVER]
    assert reasons == ([] if closes else expected)
    stream.close()
    assert reasons == expected
    assert statistics().open == 0


def test_stream_that_is_never_iterated():
    """A stream that never starts does not keep its request until the garbage collector runs."""
    stream = EventStream(["a"])
    kept = weakref.ref(stream)
    gc.collect()
    gc.disable()
    try:
        del stream
        assert kept() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("plain", [True, False])
def test_end_of_a_stream_that_lacks_events(runtime, plain):
    """What did not fit is not there, so the end is none that the client takes for the whole."""
    with Hub(MemoryBroker(), clock=lambda: runtime.now) as hub:
        wanted = Subscription(hub, ("a",), snapshot=lambda: ["state"], max_events=5)
        stream = EventStream(wanted, dict(SERVED), plain=plain)
        body = next(stream) + next(stream)
        for number in range(28):
            hub.publish("a", str(number))
        stream.end()
        body += b"".join(stream)
        assert stream._end.reason is CloseReason.OVERFLOWED
        stream.close()
        assert b"\ndata: 4\n" in body
        assert b"\ndata: 5\n" not in body
        assert not body.endswith(END)


@pytest.mark.parametrize("plain", [True, False])
def test_end_after_publishing(runtime, plain):
    """What was published before end() belongs to the body, which says that it is whole."""
    with Hub(MemoryBroker(), clock=lambda: runtime.now) as hub:
        wanted = Subscription(hub, ("a",), snapshot=lambda: ["state"])
        stream = EventStream(wanted, dict(SERVED), plain=plain)
        body = next(stream) + next(stream)
        for number in range(200):
            hub.publish("a", f"{number:04}" * 100)
        stream.end()
        body += b"".join(stream)
        stream.close()
        assert b"0199" * 100 in body
        assert body.count(b"\ndata: 0") == 200
        assert body.endswith(b"\n\n" if plain else END)
