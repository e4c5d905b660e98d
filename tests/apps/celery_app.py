"""Tasks of a Celery worker that write jobs' output, in an application of either framework."""

import contextlib
import os
import time

from celery import Celery

from sse_sync import JobOver
from tests.apps.jobs import note

celery = Celery("tests", broker=os.environ["TEST_CELERY_URL"])
celery.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("TEST_VISIBILITY_TIMEOUT", "3600"))
    },
)


@contextlib.contextmanager
def job(key, **options):
    """A job, as a task of the framework's would write it."""
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        from sse_sync.django import job

        with job(key, **options) as found:
            yield found
    else:
        from tests.apps.flask_app import app, sse

        with app.app_context(), sse.job(key, **options) as found:
            yield found


@celery.task(name="answer")
def answer(key, count, wait, **options):
    """Numbered tokens, one at an interval; what is there already is not said again."""
    with contextlib.suppress(JobOver), job(key, **options) as found:
        note(key, f"started:{found.events}")
        try:
            for number in range(found.events, count):
                found.emit(f"token {number}")
                time.sleep(wait)
        except JobOver:
            note(key, "over")
            raise
    note(key, "ended")


@celery.task(name="quiet")
def quiet(key):
    """One token, then work that says nothing until it is cancelled."""
    with job(key) as found:
        found.emit("token 0")
        note(key, "started")
        while not found.is_cancelled:
            time.sleep(0.05)
    note(key, "cancelled")


@celery.task(name="failing")
def failing(key):
    """One token, then an exception."""
    with contextlib.suppress(ZeroDivisionError), job(key) as found:
        found.emit("token 0")
        raise ZeroDivisionError("the secret")
