"""Background tasks."""

from sse_sync.runtime.background import PAUSE, BackgroundTask
from sse_sync.testing import FakeRuntime


def test_work(runtime):
    """It runs when requested, and again when it asks to."""
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
    """A request does not wait until the work is due."""
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
    """A request during the work is served afterwards."""
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
    """An exception is logged, and the work is retried."""
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
    """The caller gets no error, and the next call works."""
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
    """It is logged, and the work is retried, as after any exception."""
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
    """The next call starts it again."""
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
    """It runs in the streams' runtime, whoever calls."""
    done = []
    task = BackgroundTask(lambda: done.append(1), "the work")
    task.live_in(runtime)
    monkeypatch.setattr("sse_sync.runtime.current", lambda: FakeRuntime())
    task.wake()
    monkeypatch.setattr("sse_sync.runtime.current", lambda: runtime)
    runtime.run_ready()
    assert done == [1]
