"""The event loop with a fake clock."""

import asyncio

import pytest

from sse_sync.fake_loop import FakeLoop


def run(runtime, coroutine):
    """Run a task until no time has to pass, and return it."""
    task = runtime.event_loop().create_task(coroutine)
    runtime.run_ready()
    return task


def test_time_flies(runtime):
    """A task sleeps without real time, and knows its loop only while it runs."""
    loops = []

    async def sleeper():
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(30)
        return runtime.now

    task = run(runtime, sleeper())
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    runtime.advance(29)
    assert not task.done()
    runtime.advance(1)
    assert task.result() == 1030
    assert loops == [runtime.event_loop()]
    assert isinstance(loops[0], FakeLoop)


def test_timeouts(runtime):
    """What is cancelled in time never happens; what is not is a timeout."""

    async def patient():
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, "in time")
        found = await asyncio.wait_for(future, 5)
        try:
            await asyncio.wait_for(asyncio.sleep(60), 5)
        except asyncio.TimeoutError:
            return found, runtime.now

    task = run(runtime, patient())
    runtime.advance(100)
    assert task.result() == ("in time", 1005)


def test_failing_callback(runtime):
    """A callback that fails is a failure of the test."""

    def fail():
        raise ZeroDivisionError

    runtime.event_loop().call_soon_threadsafe(fail)
    with pytest.raises(AssertionError, match="Exception in callback"):
        runtime.run_ready()
