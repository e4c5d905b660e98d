"""The event loop of async sources in a greenlet. In processes, because patching stays."""

import time

import pytest

from tests.processes.test_greenlets import run

COMMON = """
import asyncio
from sse_sync import EventStream
from sse_sync.settings import Options
from sse_sync.streams.async_source import run_coroutine

QUICK = Options().replace({"heartbeat": 0.2})

def in_greenlet(function):
    with gevent.Timeout(20):
        gevent.spawn(function).get()
"""

LOOPS = pytest.mark.parametrize("loop", ["libev-cext", "libuv-cffi"])
PATCHED = pytest.mark.parametrize("patched", [True, False])


def run_async(code, patched=True):
    """Run code in a fresh process."""
    lines = [line[8:] for line in code.splitlines()]
    return run(COMMON + "\n".join(lines), patched)


@LOOPS
@PATCHED
def test_what_sources_use(monkeypatch, loop, patched):
    """Times, sockets, names, threads and processes work, patched or not, on both of gevent's
    loops.
    """
    monkeypatch.setenv("GEVENT_LOOP", loop)
    run_async(
        """
        async def echo(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        async def everything():
            assert asyncio.get_running_loop() is runtime.current().event_loop()
            await asyncio.sleep(0.01)
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("localhost", port, family=2)
            writer.write(b"hello\\n")
            assert await reader.read() == b"hello\\n"
            writer.close()
            server.close()
            assert await asyncio.to_thread(time.sleep, 0.01) is None
            process = await asyncio.create_subprocess_exec("echo", "hi", stdout=-1)
            assert (await process.communicate())[0] == b"hi\\n"
            await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(100)))
            try:
                await asyncio.wait_for(asyncio.sleep(60), 0.01)
            except asyncio.TimeoutError:
                return "all done"

        def inside():
            assert run_coroutine(everything()) == "all done"
        in_greenlet(inside)
        """,
        patched,
    )


def test_others_see_no_running_loop():
    """While a source waits, in asyncio's ways or gevent's, other greenlets see no running loop."""
    run_async(
        """
        lock, event = threading.Lock(), threading.Event()
        seen, stop = set(), []

        def other():
            while not stop:
                seen.add(asyncio._get_running_loop())
                seen.add(sys.get_asyncgen_hooks().firstiter)
                gevent.sleep(0.001)

        async def waits():
            mine = asyncio.get_running_loop()
            for wait in (
                lambda: time.sleep(0.01),
                lambda: lock.acquire(timeout=0.01),
                lambda: event.wait(0.01),
                lambda: gevent.spawn(gevent.sleep, 0.01).join(),
                lambda: gevent.get_hub().threadpool.apply(len, ((),)),
            ):
                await asyncio.sleep(0.01)
                wait()
                assert asyncio.get_running_loop() is mine
                assert sys.get_asyncgen_hooks().firstiter is not None
            try:
                with gevent.Timeout(0.01):
                    gevent.sleep(60)
            except gevent.Timeout:
                assert asyncio.get_running_loop() is mine
            return "done"

        def inside():
            others = gevent.spawn(other)
            lock.acquire()
            assert run_coroutine(waits()) == "done"
            stop.append(True)
            others.join()
            assert seen == {None}, seen
        in_greenlet(inside)
        """
    )


def test_greenlets_of_a_source():
    """A source may run greenlets of its own, as SQLAlchemy's asyncio extension does."""
    run_async(
        """
        from greenlet import getcurrent, greenlet

        async def waits():
            inner = greenlet(lambda: getcurrent().parent.switch(asyncio.sleep(0.01, "slept")))
            slept = await inner.switch()
            return inner.switch(slept)

        def inside():
            for _ in range(2):
                assert run_coroutine(waits()) == "slept"
                assert asyncio._get_running_loop() is None
                assert sys.get_asyncgen_hooks().firstiter is None
                asyncio.run(asyncio.sleep(0))
        in_greenlet(inside)
        """
    )


def test_beside_other_loops():
    """A greenlet may run a loop of its own meanwhile, as an async view of Flask does."""
    run_async(
        """
        async def rounds(count):
            for _ in range(count):
                mine = asyncio.get_running_loop()
                await asyncio.sleep(0.002)
                assert asyncio.get_running_loop() is mine
            return mine

        def inside():
            other = gevent.spawn(asyncio.run, rounds(30))
            gevent.sleep(0.005)
            ours = {run_coroutine(rounds(5)) for _ in range(3)}
            assert ours == {runtime.current().event_loop()}
            assert other.get() not in ours
        in_greenlet(inside)
        """
    )


def test_busy_source_leaves_turns_to_others():
    """A task that never waits for long does not starve the other greenlets."""
    run_async(
        """
        turns = []

        def bystander():
            while True:
                turns.append(1)
                gevent.sleep(0)

        async def busy():
            until = time.monotonic() + 10
            while len(turns) < 5 and time.monotonic() < until:
                await asyncio.sleep(0)

        def inside():
            standing = gevent.spawn(bystander)
            run_coroutine(busy())
            standing.kill()
            assert len(turns) >= 5, len(turns)
        in_greenlet(inside)
        """
    )


def test_blocked_loop_costs_nothing():
    """While a source blocks the loop, what arrives for the others does not make the hub spin."""
    run_async(
        """
        async def blocks():
            ours, theirs = socket.socketpair()
            asyncio.get_running_loop().add_reader(ours.fileno(), lambda: None)
            await asyncio.sleep(0)
            theirs.send(b"x")
            before = time.process_time()
            time.sleep(0.3)
            asyncio.get_running_loop().remove_reader(ours.fileno())
            return time.process_time() - before

        def inside():
            assert run_coroutine(blocks()) < 0.15
        in_greenlet(inside)
        """
    )


def test_does_not_keep_the_program():
    """A program whose greenlets have ended ends, but not while a source waits."""
    run_async(
        """
        async def source():
            yield "a"
            await asyncio.sleep(0.05)
            yield "b"

        assert b"data: b\\n\\n" in list(EventStream(source()))
        gevent.wait()
        """
    )


@PATCHED
def test_exit_waits_for_no_helper(patched):
    """A process exits although a source has left a function that blocks in a thread."""
    began = time.monotonic()
    run_async(
        """
        async def source():
            yield "a"
            await asyncio.to_thread(time.sleep, 30)

        stream = EventStream(source(), {"SERVER_SOFTWARE": "test"}, options=QUICK)
        while next(stream) != b"data: a\\n\\n":
            pass
        assert next(stream) == b":\\n"
        stream.close()
        """,
        patched,
    )
    assert time.monotonic() - began < 20


def test_stream_and_disconnect():
    """Under gevent, a stream's source is cancelled as soon as the stream ends."""
    run_async(
        """
        seen = []

        async def source():
            try:
                for number in range(1000):
                    yield number
                await asyncio.sleep(600)
            finally:
                await asyncio.sleep(0)
                seen.append(True)

        def inside():
            stream = EventStream(source(), {"SERVER_SOFTWARE": "test"})
            chunks = [next(stream) for _ in range(1001)]
            assert chunks[-1] == b"data: 999\\n\\n"
            gevent.spawn_later(0.05, stream.end)
            assert b"stream-end" in next(stream)
            stream.close()
            while not seen:
                gevent.sleep(0.01)
        in_greenlet(inside)
        """
    )


def test_stopped():
    """A source that stops the loop ends no other, and leaves no error in the hub."""
    run_async(
        """
        async def stop():
            mine = asyncio.get_running_loop()
            waiting = asyncio.ensure_future(asyncio.sleep(0.01, "still here"))
            mine.stop()
            answer = await waiting
            assert asyncio.get_running_loop() is mine
            return answer

        def inside():
            errors = []
            gevent.get_hub().handle_error = lambda *error: errors.append(error)
            assert run_coroutine(stop()) == "still here"
            assert asyncio._get_running_loop() is None
            assert errors == []
        in_greenlet(inside)
        """
    )


def test_ended():
    """A loop that is ended is closed, and leaves no error in the hub."""
    run_async(
        """
        from sse_sync.runtime.event_loop import end_loop

        def inside():
            errors = []
            gevent.get_hub().handle_error = lambda *error: errors.append(error)
            loop = runtime.current().event_loop()
            end_loop(loop)
            while not loop.is_closed():
                gevent.sleep(0.01)
            assert errors == []
        in_greenlet(inside)
        """
    )


def test_from_another_thread():
    """What calls the loop from a native thread wakes it."""
    run_async(
        """
        async def waits():
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            wake = lambda: loop.call_soon_threadsafe(future.set_result, "woken")
            gevent.get_hub().threadpool.spawn(wake)
            return await asyncio.wait_for(future, 10)

        def inside():
            assert run_coroutine(waits()) == "woken"
        in_greenlet(inside)
        """
    )


def test_fork():
    """A child has a loop of its own, and finalizes none of its parent's sources."""
    run_async(
        """
        import gc, os
        seen = []

        async def source():
            try:
                yield "a"
                await asyncio.sleep(0.2)
            finally:
                seen.append(os.getpid())

        async def answer():
            await asyncio.sleep(0.3)
            return asyncio.get_running_loop()

        def inside():
            stream = EventStream(source(), {"SERVER_SOFTWARE": "test"})
            assert [next(stream), next(stream)][1] == b"data: a\\n\\n"
            stream._run.feed._tell(stream._run.feed._go_on)
            gevent.sleep(0.01)
            parents = runtime.current().event_loop()
            pid = os.fork()
            if not pid:
                ok = run_coroutine(answer()) is not parents
                gc.collect()
                os._exit(0 if ok and not seen else 1)
            with gevent.Timeout(10):
                while not (done := os.waitpid(pid, os.WNOHANG))[0]:
                    gevent.sleep(0.01)
            assert done[1] == 0
            assert seen == [os.getpid()]
            stream.close()
        in_greenlet(inside)
        """
    )
