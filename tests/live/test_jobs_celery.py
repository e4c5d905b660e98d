"""Jobs that Celery's workers write, and web processes show and cancel."""

import contextlib
import os
import signal
import subprocess
import time

import pytest
from celery import Celery

from tests.live.jobs import Viewer, running, tokens
from tests.live.servers import BIN, ROOT
from tests.live.test_jobs import TOLD
from tests.redis_server import RedisServer
from tests.waiting import wait_for

# The web server, how many workers, their options and environment.
POOLS = {
    "prefork": ("gevent", 1, ("--pool", "prefork", "--concurrency", "2"), {}),
    # Killing a process of this pool kills a whole worker, so there is another one.
    "gevent": (
        *("threads", 2, ("--pool", "gevent", "--concurrency", "20")),
        {"DJANGO_SETTINGS_MODULE": "tests.django_project.settings"},
    ),
}
# On a machine that does other things as well, Celery may take long to run a task again.
LEASE = {"TEST_LEASE": "60"}


class Worker:
    """A Celery worker. A context manager."""

    def __init__(self, pool, folder, redis):
        _, _, self.options, more = POOLS[pool]
        self.log = folder / f"celery-{time.monotonic_ns()}.log"
        environ = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
        self.env = {
            **environ,
            "PYTHONPATH": str(ROOT),
            "TEST_FOLDER": str(folder),
            "TEST_BROKER_URL": redis.url,
            "TEST_CELERY_URL": redis.url.removesuffix("0") + "1",
            **LEASE,
            **more,
        }
        self.process = None
        self.start()

    def start(self):
        command = [BIN / "celery", "-A", "tests.apps.celery_app", "worker", "--loglevel", "INFO"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *self.options, "--without-mingle", "--without-gossip"],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self):
        wait_for(lambda: " ready." in self.output(), "the worker", 60)
        return self

    def __exit__(self, *exc_info):
        self.kill()

    def output(self):
        return self.log.read_text()

    def kill(self):
        """End it as a crash does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module", params=POOLS)
def place(request, tmp_path_factory, redis):
    """A web server, a Celery worker, and a function that sends tasks."""
    folder = tmp_path_factory.mktemp(request.param)
    site, count, *_ = POOLS[request.param]
    celery = Celery(broker=redis.url.removesuffix("0") + "1", set_as_current=False)

    def send(name, *arguments, **keywords):
        with celery.connection_for_write() as connection:
            celery.send_task(name, arguments, keywords, connection=connection)

    workers = [Worker(request.param, folder, redis) for _ in range(count)]
    with contextlib.ExitStack() as stack:
        web = stack.enter_context(running(site, folder, redis, workers=2, **LEASE))
        for worker in workers:
            stack.enter_context(worker)

        def revive():
            for worker in workers:
                if worker.process.returncode is not None:
                    worker.start()
                    worker.__enter__()

        web.workers, web.send, web.revive = workers, send, revive
        yield web
        for worker in workers:
            output = worker.output()
            assert output.count("Traceback") == output.count("WorkerLostError("), output


def test_task(place, key):
    """Web processes show the output of a task as that of any job."""
    place.send("answer", key, 20, 0.05)
    place.noted(key, "started:0")
    viewers = [Viewer(place, f"/jobs/{key}") for _ in range(2)]
    for viewer in viewers:
        assert (viewer.end(), viewer.got) == ("finished", tokens(20))
    assert place.status(key)["state"] == "finished"
    # Delivered once more, it has nothing to do.
    place.noted(key, "ended")
    place.send("answer", key, 20, 0.05)
    wait_for(lambda: len(place.notes(key, "ended")), "the second delivery", equals=2)
    assert place.status(key)["events"] == 20


def test_cancelled_task(place, key):
    """A web process cancels it; it learns that at its next event, or by asking."""
    place.send("quiet", f"{key}-quiet")
    place.send("answer", key, 1000, 0.05)
    for each, started in [(f"{key}-quiet", "started"), (key, "started:0")]:
        place.noted(each, started)
        viewer = Viewer(place, f"/jobs/{each}")
        viewer.has("token 0")
        cancelled = time.monotonic()
        assert place.call("DELETE", f"/jobs/{each}") is True
        assert viewer.end() == "cancelled"
        assert viewer.ended - cancelled < TOLD
        noted = place.noted(each, "cancelled" if each != key else "over")
        assert noted.at - cancelled < TOLD
        assert place.status(each)["state"] == "cancelled"


def test_failing_task(place, key):
    """Viewers learn of the failure, and nothing of the exception."""
    place.send("failing", key)
    wait_for(lambda: place.state(key), "the end", equals="failed")
    viewer = Viewer(place, f"/jobs/{key}")
    assert (viewer.end(), viewer.got) == ("failed", ["token 0"])
    assert "secret" not in place.status(key)["message"]


def test_task_that_is_delivered_twice(place, key):
    """The second one goes on; the first writes no more, and learns it."""
    place.send("answer", key, 60, 0.05)
    first = place.noted(key, "started:0")
    viewer = Viewer(place, f"/jobs/{key}")
    viewer.has("token 10")
    place.send("answer", key, 60, 0.05)
    over = place.noted(key, "over")
    assert over.at - first.at < 3
    assert (viewer.end(), viewer.got, viewer.told) == ("finished", tokens(60), ["stream-open"])
    begun = [note.what for note in place.notes(key) if note.what.startswith("started:")]
    assert len(begun) == 2
    assert begun[1] != "started:0"


@pytest.mark.parametrize("resume", [True, False])
def test_killed_task(place, key, resume):
    """A task whose process was killed is run again, and goes on or begins anew."""
    place.revive()
    place.send("answer", key, 40, 0.05, resume=resume)
    first = place.noted(key, "started:0")
    viewer = Viewer(place, f"/jobs/{key}")
    viewer.has("token 5")
    worker = next((each for each in place.workers if each.process.pid == first.pid), None)
    if worker is None:
        os.kill(first.pid, signal.SIGKILL)
    else:
        # The whole worker is gone. Celery on Redis delivers the task again after an hour.
        worker.kill()
        place.send("answer", key, 40, 0.05, resume=resume)
    if resume:
        assert (viewer.end(), viewer.got, viewer.told) == ("finished", tokens(40), ["stream-open"])
    else:
        assert viewer.end() == "lost"
        wait_for(lambda: len(place.notes(key, "started:0")), "the second run", equals=2)
        again = Viewer(place, f"/jobs/{key}")
        assert (again.end(), again.got) == ("finished", tokens(40))
    begun = [note for note in place.notes(key) if note.what.startswith("started:")]
    assert len(begun) == 2
    assert begun[1].pid != first.pid
    assert (begun[1].what != "started:0") == resume
