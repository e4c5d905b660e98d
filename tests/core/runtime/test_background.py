"""Work that nobody waits for."""

from sse_sync.runtime.background import PAUSE, BackgroundTask
from sse_sync.testing import FakeRuntime


def test_work(runtime):
    """It is done when it is asked for, and again when it wants to be."""
    delays, done = [5.0, None, None], []

    def work():
        done.append(runtime.now)
        return delays.pop(0)

    task = BackgroundTask(work, "test")
    assert done == []
    task.wake()
    runtime.run_ready()
    assert done == [1000]
    runtime.advance(4)
    assert done == [1000]
    runtime.advance(2)
    assert done == [1000, 1005]
    # It had nothing to do any more, and ended; now it begins anew.
    task.wake()
    runtime.advance(100)
    assert done == [1000, 1005, 1006]


def test_woken_early(runtime):
    """Who asks does not wait until it is due."""
    done = []

    def work():
        done.append(runtime.now)
        return 60.0 if len(done) < 2 else None

    task = BackgroundTask(work, "test")
    task.wake()
    runtime.advance(1)
    task.wake()
    runtime.advance(1)
    assert done == [1000, 1001]


def test_woken_while_it_works(runtime):
    """What is asked for meanwhile is done afterwards."""
    done = []

    def work():
        done.append(runtime.now)
        if len(done) == 1:
            task.wake()
        return

    task = BackgroundTask(work, "test")
    task.wake()
    runtime.run_ready()
    assert len(done) == 2


def test_failure(runtime, caplog):
    """An exception is logged, and the work tried again."""
    done = []

    def work():
        done.append(runtime.now)
        if len(done) == 1:
            raise ValueError("oops")

    task = BackgroundTask(work, "the work")
    task.wake()
    runtime.advance(PAUSE * 2)
    assert done == [1000, 1000 + PAUSE]
    assert "the work failed" in caplog.text


def test_no_more_threads(runtime, monkeypatch, caplog):
    """Whoever asks is not bothered, and the next one is served."""
    done = []
    task = BackgroundTask(lambda: done.append(1), "the work")
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "spawn", lambda *args: 1 / 0)
        task.wake()
    assert "the work could not be started" in caplog.text
    task.wake()
    runtime.run_ready()
    assert done == [1]


class Timeout(BaseException):
    """Like gevent's, which is no Exception."""


def test_failure_that_is_no_exception(runtime, caplog):
    """It is logged, and the work tried again, as after any other."""
    done = []

    def work():
        done.append(runtime.now)
        if len(done) == 1:
            raise Timeout

    task = BackgroundTask(work, "the work")
    task.wake()
    runtime.advance(PAUSE * 2)
    assert done == [1000, 1000 + PAUSE]
    assert "the work failed" in caplog.text


def test_killed(runtime, monkeypatch):
    """Whoever asks next starts it again."""
    monkeypatch.setattr("threading.excepthook", lambda args: None)
    done = []

    def work():
        done.append(1)
        if len(done) == 1:
            raise runtime.Interrupt

    task = BackgroundTask(work, "the work")
    for _ in range(2):
        task.wake()
        runtime.run_ready()
    assert len(done) == 2


def test_home(runtime, monkeypatch):
    """It is done where the streams are, whoever asks."""
    done = []
    task = BackgroundTask(lambda: done.append(1), "the work")
    task.live_in(runtime)
    monkeypatch.setattr("sse_sync.runtime.current", lambda: FakeRuntime())
    task.wake()
    monkeypatch.setattr("sse_sync.runtime.current", lambda: runtime)
    runtime.run_ready()
    assert done == [1]
