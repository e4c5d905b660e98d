"""Pumps in real threads: strict alternation under load."""

import contextvars
import threading

from sse_sync.event import encode
from sse_sync.runtime.threads import ThreadRuntime
from sse_sync.streams.pump import Pump
from tests.core.examples import TURNS

DEADLINE = 10


def test_every_event_once_and_in_order():
    """Many hand-overs between two threads lose and repeat nothing."""
    runtime, ended = ThreadRuntime(), threading.Event()
    pump = Pump(
        iter(range(TURNS)),
        encode,
        runtime=runtime,
        context=contextvars.copy_context(),
        signal=runtime.signal(),
        ended=ended.set,
    )
    pump.start()
    got = []
    while not pump.done:
        chunk = pump.take()
        if chunk is not None:
            got.append(chunk)
        elif not pump.done:
            pump.wait()
    assert got == [encode(number) for number in range(TURNS)]
    assert ended.is_set()
    assert pump.error is None


def test_stop_from_another_thread():
    """A pump that is stopped between two events closes its source at once."""
    runtime, ended, closed = ThreadRuntime(), threading.Event(), []

    def source():
        try:
            while True:
                yield "x"
        finally:
            closed.append(threading.current_thread())

    pump = Pump(
        source(),
        encode,
        runtime=runtime,
        context=contextvars.copy_context(),
        signal=runtime.signal(),
        ended=ended.set,
    )
    pump.start()
    pump.wait()
    assert pump.take() == b"data: x\n\n"
    pump.stop()
    pump.stop()
    assert ended.wait(DEADLINE)
    assert closed != [threading.current_thread()]
