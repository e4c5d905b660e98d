"""The event loop of async sources, in a thread."""

import asyncio
import threading

import pytest

from sse_sync import runtime
from sse_sync.runtime.event_loop import end_loop
from sse_sync.runtime.threads import ThreadRuntime
from tests.core.children import in_child
from tests.waiting import wait_for

DEADLINE = 10


@pytest.fixture
def world():
    """A runtime of threads whose event loop ends with the test."""
    world = ThreadRuntime()
    yield world
    end(world.event_loop())
    world.reactor.abandon()


def end(loop):
    """End a loop, which closes it."""
    end_loop(loop)
    wait_for(loop.is_closed, "the end of the loop")


def run(loop, make):
    """Return the result of a coroutine."""
    return asyncio.run_coroutine_threadsafe(make(), loop).result(DEADLINE)


def test_one_loop(world):
    """There is one loop, in a thread that does not keep the process alive."""
    loops = []
    threads = [threading.Thread(target=lambda: loops.append(world.event_loop())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert set(loops) == {world.event_loop()}

    async def where():
        return threading.current_thread()

    thread = run(world.event_loop(), where)
    assert (thread.name, thread.daemon) == ("sse-sync event loop", True)


def test_what_sources_use(world):
    """Names are resolved, functions run in threads, sockets and times are noticed."""
    loop = world.event_loop()

    async def everything():
        async def echo(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("localhost", port, family=2)
        writer.write(b"hello\n")
        said = await reader.read()
        writer.close()
        server.close()
        await asyncio.sleep(0.001)
        return said, await asyncio.to_thread(threading.current_thread)

    said, thread = run(loop, everything)
    assert said == b"hello\n"
    assert thread is not threading.current_thread()


def test_no_more_threads(monkeypatch):
    """A loop whose thread cannot start is closed, and the next attempt makes another."""
    made, world = [], ThreadRuntime()
    new = asyncio.new_event_loop
    monkeypatch.setattr(asyncio, "new_event_loop", lambda: made.append(new()) or made[-1])

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            world.event_loop()
    assert made[0].is_closed()
    end(world.event_loop())
    world.reactor.abandon()


@pytest.mark.parametrize("exit", [SystemExit, KeyboardInterrupt])
def test_outlives_an_exit(world, caplog, exit):
    """A task that wants to end the process does not end the loop of all the others."""
    loop = world.event_loop()

    tasks = []

    async def leave():
        raise exit

    async def stay():
        return "still here"

    loop.call_soon_threadsafe(lambda: tasks.append(loop.create_task(leave())))
    assert run(loop, stay) == "still here"
    assert "a task tried to end the event loop" in caplog.text
    # Otherwise asyncio logs, in some later test, that nobody asked for it.
    assert isinstance(tasks[0].exception(), exit)


def test_outlives_a_stop(world, caplog):
    """A source that stops the loop, as a script would, does not stop it for all the others."""
    loop = world.event_loop()

    async def other():
        await asyncio.sleep(0.01)
        return "still here"

    async def stop():
        waiting = asyncio.ensure_future(other())
        asyncio.get_running_loop().stop()
        return await waiting

    assert run(loop, stop) == "still here"
    assert "stop() was called on the event loop of all async sources" in caplog.text


def test_fork(world, monkeypatch):
    """A child has a loop of its own, and finalizes none of its parent's tasks."""
    monkeypatch.setattr("sse_sync.runtime._threads", world)
    loop, finalized = world.event_loop(), []

    async def source():
        try:
            yield "a"
            await asyncio.sleep(600)
        finally:
            finalized.append(True)

    async def begin():
        return [item async for item in source()]

    task = asyncio.run_coroutine_threadsafe(begin(), loop)

    def child():
        ours = runtime.current().event_loop()

        async def answer():
            return "ours" if asyncio.get_running_loop() is ours else "another"

        return f"{run(ours, answer)} {ours is loop} {finalized}"

    assert in_child(child) == "ours False []"
    task.cancel()
    wait_for(lambda: finalized, "the end of the task")
