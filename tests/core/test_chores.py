"""Work that nobody waits for."""

from sse_sync.chores import PAUSE, Chore


def test_work(runtime):
    """It is done when it is asked for, and again when it wants to be."""
    delays, done = [5.0, None, None], []

    def work():
        done.append(runtime.now)
        return delays.pop(0)

    chore = Chore(work, "test")
    assert done == []
    chore.wake()
    runtime.run_ready()
    assert done == [1000]
    runtime.advance(4)
    assert done == [1000]
    runtime.advance(2)
    assert done == [1000, 1005]
    # It had nothing to do any more, and ended; now it begins anew.
    chore.wake()
    runtime.advance(100)
    assert done == [1000, 1005, 1006]


def test_woken_early(runtime):
    """Who asks does not wait until it is due."""
    done = []

    def work():
        done.append(runtime.now)
        return 60.0 if len(done) < 2 else None

    chore = Chore(work, "test")
    chore.wake()
    runtime.advance(1)
    chore.wake()
    runtime.advance(1)
    assert done == [1000, 1001]


def test_woken_while_it_works(runtime):
    """What is asked for meanwhile is done afterwards."""
    done = []

    def work():
        done.append(runtime.now)
        if len(done) == 1:
            chore.wake()
        return

    chore = Chore(work, "test")
    chore.wake()
    runtime.run_ready()
    assert len(done) == 2


def test_failure(runtime, caplog):
    """An exception is logged, and the work tried again."""
    done = []

    def work():
        done.append(runtime.now)
        if len(done) == 1:
            raise ValueError("oops")

    chore = Chore(work, "the work")
    chore.wake()
    runtime.advance(PAUSE * 2)
    assert done == [1000, 1000 + PAUSE]
    assert "the work failed" in caplog.text


def test_no_more_threads(runtime, monkeypatch, caplog):
    """Whoever asks is not bothered, and the next one is served."""
    done = []
    chore = Chore(lambda: done.append(1), "the work")
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "spawn", lambda *args: 1 / 0)
        chore.wake()
    assert "the work could not be started" in caplog.text
    chore.wake()
    runtime.run_ready()
    assert done == [1]
