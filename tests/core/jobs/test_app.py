"""The jobs of an application: whose they are, and what a viewer's request gets."""

import pytest

from sse_sync import ConfigurationError, EventStream, JobRefused
from sse_sync.channels.app import AppHub
from sse_sync.event import encode
from sse_sync.jobs.app import AppJobs
from sse_sync.settings import Options
from sse_sync.testing import read_events
from tests.waiting import wait_for


@pytest.fixture
def make(threads):
    """Make the jobs of applications, whose hubs are closed at the end."""
    made = []

    def make(**options):
        made.append(AppHub(Options(**options)))
        return AppJobs(made[-1], encode)

    yield make
    for app_hub in made:
        app_hub.hub().close()


def over(jobs, key="a", user=None):
    """Wait until a job is over; return its state."""
    wait_for(lambda: not jobs.status(key, user).is_running, "the job's end")
    wait_for(lambda: jobs.start(key, iter(""), user=user).jobs.running, "its source", equals=0)
    return jobs.status(key, user).state


def test_names(make):
    """A job is found by its user, and by nobody else."""
    jobs = make()
    assert jobs.start("a", iter("x"), user=7).is_new
    assert over(jobs, "a", 7) == "finished"
    assert jobs.status("a") is None
    assert jobs.status("a", "8") is None
    assert jobs.find("a", "7").events == 1
    assert [status.user for status in jobs.list()] == ["7"]
    assert jobs.list(8) == []
    assert not jobs.cancel("a", 8)


def test_view(make):
    """A viewer's stream is counted and can be ended like any other of its user."""
    jobs = make(max_streams_per_user=1)
    jobs.start("a", iter("x"), user=7)
    over(jobs, "a", 7)
    environ = {"wsgi.multiprocess": False}
    source = jobs.view(environ, jobs.find("a", 7), {"user": 7})
    assert source.user_stream.user == "7"
    assert [event.data for event in read_events(EventStream(source))][:2] == ["", "x"]
    assert jobs.view(environ, None, {}) is None


def test_options(make):
    """The application's limits apply, and a stopping worker knows the longest grace."""
    jobs = make(max_jobs=1, job_grace=7.0)
    with pytest.raises(ConfigurationError, match="keep_for"):
        jobs.start("a", iter("x"), keep_for=0)
    job = jobs.start("a", iter("x"))
    assert job.jobs.grace == 7.0
    over(jobs)


def test_no_more_jobs(make):
    """A process can be closed to jobs only by a limit of at least one."""
    jobs = make(max_jobs_per_user=1)
    with jobs.writer("a", user=7) as job:
        with pytest.raises(JobRefused, match="this user has 1 jobs already"):
            jobs.start("b", iter("x"), user=7)
        job.emit("x")
    assert jobs.status("a", 7).events == 1


@pytest.mark.parametrize("ask", ["start", "status", "cancel"])
def test_number_as_a_key(make, ask):
    """It is refused everywhere, where it is given."""
    jobs = make()
    arguments = [iter("a")] if ask == "start" else []
    with pytest.raises(ConfigurationError, match="key must be text of 1 to 200 printable char"):
        getattr(jobs, ask)(7, *arguments)


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb"])
def test_what_no_job_can_be_called(make, key):
    """A request for such a job is one for a job that does not exist."""
    jobs = make()
    assert (jobs.find(key), jobs.status(key), jobs.cancel(key)) == (None, None, False)
