"""Asynchronous queries in Django's views and sources. In processes, with a database in a file."""

import pytest

from tests.processes.test_greenlets import run

COMMON = """
import django, gevent, logging, os, tempfile
from django.conf import settings
folder = tempfile.TemporaryDirectory()
database = {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(folder.name, "db")}
settings.configure(
    DATABASES={"default": database}, INSTALLED_APPS=["django.contrib.contenttypes"], SECRET_KEY="x"
)
django.setup()
from asgiref.sync import sync_to_async
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.http import HttpResponse
from django.test import RequestFactory
from sse_sync.django import event_stream

call_command("migrate", verbosity=0)
ContentType.objects.bulk_create(ContentType(app_label=str(n), model="m") for n in range(100))
connection.close()
seen = []

def request():
    result = RequestFactory().get("/")
    result.environ["SERVER_SOFTWARE"] = "test"
    return result

def identity():
    connection.ensure_connection()
    return id(connection.connection)
"""

PATCHED = pytest.mark.parametrize("patched", [True, False])


def run_django(code, patched):
    """Run code in a fresh process."""
    run(COMMON + "\n".join(line[8:] for line in code.splitlines()), patched)


@PATCHED
def test_end_of_another_source(patched):
    """A source that ends does not close the connection that another reads from."""
    run_django(
        """
        @event_stream
        async def rows(request):
            async for row in ContentType.objects.order_by("id").aiterator(chunk_size=10):
                yield row.id

        @event_stream
        async def short(request):
            await ContentType.objects.afirst()
            yield "x"

        reading = rows(request()).event_stream
        first = [next(reading) for _ in range(5)]
        ending = short(request()).event_stream
        assert b"data: x" in list(ending)[1]
        ending.close()
        time.sleep(0.2)
        rest = list(reading)
        assert len(rest) >= 96, rest[-1]
        assert b"stream-end" in rest[-1]
        reading.close()
        """,
        patched,
    )


@PATCHED
def test_connection_of_a_view(patched):
    """A view whose connection breaks does not break the next one, whatever it returns."""
    run_django(
        """
        @event_stream
        async def view(request):
            await ContentType.objects.afirst()
            await sync_to_async(lambda: connection.connection.close())()
            return HttpResponse("ok")

        for _ in range(2):
            assert view(request()).content == b"ok"
        """,
        patched,
    )


@PATCHED
def test_asynchronous_jobs(patched):
    """A job whose connection breaks does not break the next one, and leaves none open."""
    run_django(
        """
        from sse_sync.django import job_status, start

        is_open = sync_to_async(lambda: connection.connection is not None)

        async def answer():
            yield {"open": await is_open()}
            await ContentType.objects.afirst()
            yield {"open": await is_open()}
            await sync_to_async(lambda: connection.connection.close())()

        for number in range(2):
            start(f"job {number}", answer())
            while job_status(f"job {number}").is_running:
                time.sleep(0.01)
            asking = request()
            asking.environ["wsgi.multiprocess"] = False
            response = start(f"job {number}", answer()).response(asking, plain=True)
            text = b"".join(response.event_stream)
            assert b'{"open": false}' in text, text
            assert b'{"open": true}' in text, text
            assert job_status(f"job {number}").state == "finished"
        """,
        patched,
    )
