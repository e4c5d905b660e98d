"""Asynchronous sources: bytes, turns, ends and errors, on an event loop with a fake clock."""

import asyncio
import contextlib
import contextvars
import gc
import logging
import threading
import weakref

import pytest

from sse_sync import CloseReason, EventError, EventStream, statistics
from sse_sync.event import encode
from sse_sync.runtime.event_loop import end_loop
from sse_sync.streams.async_source import AsyncFeed, run_coroutine
from tests.core.examples import TURNS
from tests.core.streams.served import END, HEARTBEAT, PREAMBLE, SERVED, served
from tests.waiting import wait_for


class Seen(list):
    """What a source has noted."""

    def source(self, *items, wait=0.0):
        """Yield some items, and note each turn and the end."""

        async def source():
            try:
                for item in items:
                    self.append(item)
                    yield item
                await asyncio.sleep(wait)
            except BaseException as exc:
                self.append(type(exc).__name__)
                raise
            finally:
                self.append("finally")

        return source()


@pytest.fixture
def seen():
    """Notes of a source."""
    return Seen()


def errors(caplog):
    """Return the errors that were logged."""
    return [record for record in caplog.records if record.levelno == logging.ERROR]


def test_bytes(environ, seen):
    """The preamble, the events, the end."""
    stream = served(seen.source("a", {"b": 1}), environ)
    assert list(stream) == [PREAMBLE, b"data: a\n\n", b'data: {"b": 1}\n\n', END]
    stream.close()
    assert seen == ["a", {"b": 1}, "finally"]
    assert statistics().closed == {CloseReason.FINISHED: 1}


def test_one_event_at_a_time(environ, runtime, seen):
    """A source continues only after its event was sent and the next is wanted."""
    stream = served(seen.source(0, 1, 2), environ)
    next(stream)
    assert seen == []
    next(stream)
    runtime.run_ready()
    assert seen == [0]
    next(stream)
    runtime.run_ready()
    assert seen == [0, 1]
    stream.close()
    runtime.run_ready()
    assert seen == [0, 1, "GeneratorExit", "finally"]


def test_heartbeats_while_it_awaits(runtime, seen):
    """Heartbeats are sent while the source waits, and time passes for both."""
    stream = served(seen.source("a", wait=40), SERVED, heartbeat=15)
    assert list(stream) == [PREAMBLE, b"data: a\n\n", HEARTBEAT, HEARTBEAT, END]
    stream.close()


def test_disconnect_cancels_once(runtime, client, seen):
    """A source that awaits is cancelled when its client leaves, and its cleanup is left alone."""

    async def source():
        try:
            yield "a"
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            await asyncio.sleep(5)
            seen.append("cleaned up")

    ended = []
    stream = served(source(), SERVED, heartbeat=10, after=ended.append)
    assert [next(stream), next(stream), next(stream)] == [PREAMBLE, b"data: a\n\n", HEARTBEAT]
    client.hang_up()
    assert list(stream) == []
    stream.close()
    stream.end()
    runtime.run_ready()
    assert (seen, ended, statistics().lingering) == (["cancelled"], [], 1)
    runtime.advance(5)
    assert (seen, ended, statistics().lingering) == (["cancelled", "cleaned up"], [None], 0)


def test_cancelled_by_itself_while_its_client_reads(runtime):
    """A source with a time limit around its yields learns of it there, and no event is lost."""

    async def source():
        task = asyncio.current_task()
        asyncio.get_running_loop().call_later(1, task.cancel)
        try:
            yield "a"
            yield "b"
        except asyncio.CancelledError:
            yield "out of time"

    stream = served(source(), SERVED)
    assert [next(stream), next(stream)] == [PREAMBLE, b"data: a\n\n"]
    runtime.advance(2)
    assert list(stream) == [b"data: out of time\n\n", END]
    stream.close()


def test_no_cancellation_while_it_is_closed(runtime, client, seen):
    """Where a source waits for its client it is closed, and that is not interrupted."""

    async def source():
        try:
            yield "a"
        finally:
            await asyncio.sleep(5)
            seen.append("cleaned up")

    stream = served(source(), SERVED)
    assert [next(stream), next(stream)] == [PREAMBLE, b"data: a\n\n"]
    client.hang_up()
    stream.close()
    runtime.advance(1)
    assert seen == []
    runtime.advance(4)
    assert seen == ["cleaned up"]


def test_refuses_to_die(runtime, client, caplog):
    """A source that goes on after its cancellation is closed; one that blocks is reported."""
    caplog.set_level("INFO", "sse_sync")

    async def source():
        yield "a"
        for _ in range(2):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                pass  # As a careless "except:" does.
        yield "b"

    stream = served(source(), SERVED, heartbeat=10)
    assert [next(stream), next(stream), next(stream)] == [PREAMBLE, b"data: a\n\n", HEARTBEAT]
    client.hang_up()
    stream.close()
    runtime.advance(10)
    assert statistics().lingering == 1
    assert "a source is still blocked after its stream ended: test_refuses_to_die" in caplog.text
    assert f"at {__file__}:" in caplog.text
    runtime.advance(100)
    assert statistics().lingering == 0
    assert "a source that outlived its stream has ended" in caplog.text


def test_closed_before_it_starts(runtime, seen):
    """A source whose stream ends before its first step runs none of its code."""
    stream = served(seen.source("a"), SERVED, after=seen.append)
    next(stream)
    stream.close()
    runtime.run_ready()
    assert seen == [None]


def test_cancelled_before_its_first_step(runtime, seen):
    """A source that ends while its task is being started is over, too."""
    ended = []
    feed = AsyncFeed(
        seen.source("a"),
        encode,
        runtime=runtime,
        context=contextvars.copy_context(),
        signal=runtime.signal(),
        ended=lambda: ended.append(True),
    )
    feed.start()
    feed._begin()
    feed.stop()
    feed.stop()
    runtime.run_ready()
    assert feed.done
    assert ended[:1] == [True]
    assert seen == []


def test_failure(environ, caplog):
    """An exception ends the stream, and is logged with the line that raised it."""

    async def broken():
        yield "a"
        raise ZeroDivisionError("the secret")

    stream = served(broken(), environ)
    chunks = list(stream)
    stream.close()
    assert chunks[:2] == [PREAMBLE, b"data: a\n\n"]
    assert b"event: stream-error\n" in chunks[2]
    assert b"secret" not in chunks[2]
    (record,) = errors(caplog)
    assert record.getMessage().endswith("broken raised an exception; ending its stream")
    traceback = record.exc_info[2]
    assert (traceback.tb_frame.f_code.co_name, traceback.tb_next) == ("broken", None)


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
def test_exits_are_failures(environ, caplog, error):
    """What would end a thread or a task ends one stream only."""

    async def source():
        yield "a"
        raise error

    stream = served(source(), environ)
    assert b"event: stream-error\n" in list(stream)[-1]
    stream.close()
    assert len(errors(caplog)) == 1
    assert list(served(Seen().source("b"), environ))[1] == b"data: b\n\n"


def test_failure_while_ending(runtime, client, caplog):
    """An exception of the cleanup is logged, with what was going on."""

    async def source():
        try:
            yield "a"
        finally:
            raise ZeroDivisionError

    stream = served(source(), SERVED)
    next(stream), next(stream)
    client.hang_up()
    stream.close()
    runtime.run_ready()
    assert "source failed while its stream was ending" in caplog.text.replace(
        f"{test_failure_while_ending.__name__}.<locals>.", ""
    )


def test_bad_item(environ, caplog):
    """An item that cannot be an event is an error at its yield, where it may be handled."""

    async def source():
        try:
            yield object()
        except EventError:
            yield "instead"
        yield object()

    stream = served(source(), environ)
    chunks = list(stream)
    stream.close()
    assert chunks[1] == b"data: instead\n\n"
    assert b"event: stream-error\n" in chunks[2]
    assert errors(caplog)[0].exc_info[2].tb_frame.f_code.co_name == "source"


class Iterator:
    """An asynchronous iterator that is no generator, as an API client returns."""

    def __init__(self, *items):
        self.items = list(items)
        self.closed = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.items:
            raise StopAsyncIteration
        return self.items.pop(0)

    async def close(self):
        self.closed += 1


def test_iterator(environ, caplog):
    """An iterator need not be a generator, and is closed."""
    iterator = Iterator("a", object())
    stream = served(iterator, environ)
    chunks = list(stream)
    stream.close()
    assert chunks[1] == b"data: a\n\n"
    assert b"event: stream-error\n" in chunks[2]
    assert isinstance(errors(caplog)[0].exc_info[1], EventError)
    assert iterator.closed == 1


def test_unopened_iterator_is_closed(runtime):
    """An API client's stream that is never read does not keep its connection."""
    iterator = Iterator("a")
    EventStream(iterator, dict(SERVED)).close()
    runtime.run_ready()
    assert iterator.closed == 1


def test_closing_an_unopened_iterator_is_not_given_up(runtime):
    """The garbage collector does not end the closing of an iterator that takes a while."""
    waiting, closed = [], []

    class Slow(Iterator):
        """Waits for what nothing else refers to."""

        async def close(self):
            future = asyncio.get_running_loop().create_future()
            waiting.append(weakref.ref(future))
            await future
            closed.append(True)

    EventStream(Slow(), dict(SERVED)).close()
    runtime.run_ready()
    gc.collect()
    waiting[0]().set_result(None)
    runtime.run_ready()
    assert closed == [True]


def test_context(environ, seen):
    """The source has the view's context variables from its first line to its cleanup."""
    who = contextvars.ContextVar("who")

    async def source():
        try:
            yield who.get()
            who.set("changed")
            yield who.get()
        finally:
            seen.append(who.get())

    who.set("me")
    stream = served(source(), environ)
    who.set("another")
    assert list(stream)[1:3] == [b"data: me\n\n", b"data: changed\n\n"]
    stream.close()
    assert seen == ["changed"]


def test_encoding_in_the_context(environ):
    """Items are encoded with the view's context variables, too."""
    who = contextvars.ContextVar("who")
    who.set("me")
    stream = served(Seen().source("a"), environ, encode=lambda item: who.get().encode())
    who.set("another")
    assert list(stream)[1] == b"me"
    stream.close()


def test_one_task(environ):
    """A source is one task from its first step to its cleanup: a timeout may enclose a yield."""
    tasks = []

    async def source():
        try:
            tasks.append(asyncio.current_task())
            yield "a"
            tasks.append(asyncio.current_task())
            await asyncio.sleep(0)
        finally:
            tasks.append(asyncio.current_task())

    list(served(source(), environ))
    assert len(tasks) == 3
    assert len(set(tasks)) == 1
    assert tasks[0].get_name().endswith("source")


def test_ended_by_itself_in_a_test_client(runtime, seen):
    """A source that ends its own stream, in a test client, does not wait for itself."""
    streams = []

    async def source():
        yield "a"
        streams[0].end()
        yield "b"
        seen.append("too far")

    streams.append(served(source(), {}))
    assert b"data: a\n\n" in list(streams[0])
    streams[0].close()
    assert seen == []


def test_test_client_waits_for_the_cleanup(runtime, seen):
    """When a test has closed a stream, the source's cleanup has run."""
    stream = served(seen.source("a", wait=600), {}, after=seen.append)
    assert [next(stream), next(stream)] == [PREAMBLE, b"data: a\n\n"]
    stream.close()
    assert seen == ["a", "GeneratorExit", "finally", None]


def test_no_thread_for_the_end(runtime, monkeypatch, seen):
    """Without a thread for the end of a source, the loop does it."""
    stream = served(seen.source("a"), SERVED, after=seen.append)
    chunks = [next(stream)]

    def refuse(function, name):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(runtime, "spawn", refuse)
    chunks += list(stream)
    stream.close()
    assert chunks[-1] == END
    assert seen == ["a", "finally", None]


@pytest.mark.parametrize("how", ["finished", "failed", "left"])
def test_nothing_is_kept(environ, runtime, caplog, how):
    """Nothing of a request is kept, and only an exception waits for the garbage collector."""

    class Request:
        """An object with weak references."""

    request, variable = Request(), contextvars.ContextVar("request")
    context = contextvars.copy_context()
    context.run(variable.set, request)

    async def source():
        yield "a"
        if how == "failed":
            raise ZeroDivisionError
        await asyncio.sleep(600 if how == "left" else 0)

    def after(error, request=request):
        """Keep the request in a cycle, as a front does."""

    request.stream = served(source(), environ, context=context, after=after)
    assert [next(request.stream), next(request.stream)] == [PREAMBLE, b"data: a\n\n"]
    if how != "left":
        list(request.stream)
    request.stream.close()
    runtime.run_ready()
    kept = weakref.ref(request)
    caplog.clear()
    gc.collect()
    gc.disable()
    try:
        del request, context, after
        if how == "failed":
            gc.collect()
        assert kept() is None
    finally:
        gc.enable()


def test_run_coroutine(runtime):
    """A coroutine runs with the caller's context variables; its result or exception is returned."""
    who = contextvars.ContextVar("who")
    who.set("me")

    async def view():
        await asyncio.sleep(1)
        return who.get()

    async def broken():
        raise ZeroDivisionError

    assert run_coroutine(view()) == "me"
    with pytest.raises(ZeroDivisionError):
        run_coroutine(broken())


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_coroutine_sets(runtime, fails):
    """The caller gets the context variables that a coroutine has set, even if it fails."""
    who, unset = contextvars.ContextVar("who"), contextvars.ContextVar("unset")
    who.set("me")
    token = unset.set("me")

    async def view():
        await asyncio.sleep(1)
        who.set("another")
        if fails:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) if fails else contextlib.nullcontext():
        run_coroutine(view())
    assert (who.get(), unset.get()) == ("another", "me")
    unset.reset(token)


def test_abandoned_coroutine(runtime, seen):
    """A coroutine whose caller is killed is cancelled."""

    async def view():
        try:
            await asyncio.sleep(600)
        finally:
            seen.append("cancelled")

    task = runtime.spawn(lambda: run_coroutine(view()), "request")
    runtime.run_ready()
    task.interrupt(lambda: True)
    runtime.run_ready()
    assert seen == ["cancelled"]


def test_coroutine_abandoned_before_its_first_step(runtime, seen):
    """A coroutine that never runs is closed, so that Python does not warn of it."""

    async def view():
        seen.append("ran")

    tasks = []

    def request():
        tasks[0].interrupt(lambda: True)
        run_coroutine(view())

    tasks.append(runtime.spawn(request, "request"))
    runtime.run_ready()
    gc.collect()
    assert seen == []


def test_many_turns_between_threads(threads):
    """Many hand-overs between the loop's thread and a stream lose and repeat nothing."""
    ended = threading.Event()

    async def source():
        for number in range(TURNS):
            yield number

    feed = AsyncFeed(
        source(),
        encode,
        runtime=threads,
        context=contextvars.copy_context(),
        signal=threads.signal(),
        ended=ended.set,
    )
    feed.start()
    got = []
    while not feed.done:
        chunk = feed.take()
        if chunk is not None:
            got.append(chunk)
        elif not feed.done:
            feed.wait()
    assert got == [encode(number) for number in range(TURNS)]
    assert ended.is_set()
    loop = threads.event_loop()
    end_loop(loop)
    wait_for(loop.is_closed, "the end of the loop")
