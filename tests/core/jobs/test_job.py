"""A job's handle and status."""

from sse_sync.brokers.jobs import Outcome
from sse_sync.jobs.job import Job
from tests.core.jobs.conftest import NAME, Steps


def test_status(jobs, start, ended):
    """A handle tells how its job is, also once that is no longer kept."""
    steps = Steps("a", "bb")
    job = Job(jobs, start(steps(), meta=["x"]), is_new=True)
    assert (job.key, job.is_new, job.status().state, job.status().is_running) == (
        *("report", True, "running"),
        True,
    )
    steps.go_on(3)
    ended()
    status = job.status()
    assert (status.state, status.events, status.user, status.meta) == ("finished", 2, None, ["x"])
    assert status.bytes == len("data: a\n\ndata: bb\n\n")
    assert status.started <= status.ended
    jobs.start(NAME, iter("c"), lambda item: b"data: c\n\n", {"restart": True})
    assert job.status() == status
    ended()


def test_cancel(jobs, start, ended):
    """A handle can end its job."""
    steps = Steps("a")
    job = Job(jobs, start(steps()))
    assert job.cancel("enough")
    steps.go_on(2)
    assert ended() == (Outcome.CANCELLED, "enough")
    assert not job.cancel()
