"""URLs and views of the Django project of the tests."""

import asyncio
from dataclasses import asdict
from pathlib import Path

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http import HttpResponse, JsonResponse
from django.template import engines
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import (
    EventSourceResponse,
    RequestedChannelView,
    attach,
    cancel,
    disconnect,
    event_stream,
    job_status,
    jobs,
    last_event_id,
    present,
    publish,
    start,
    subscribe,
)
from tests.apps.async_sources import ASYNC_SOURCES
from tests.apps.jobs import options_of, response_options, source_of
from tests.apps.sources import MARKS, SOURCES, figures, mark, openai_error

PAGE = Path(__file__).parents[1] / "apps" / "page.html"


def stream(request, name):
    """Serve one of the sources."""
    key = request.GET.get("key", "")
    return EventSourceResponse(
        request,
        {**SOURCES, **ASYNC_SOURCES}[name](key),
        on_close=lambda reason: mark(key, reason.name),
    )


@event_stream
async def async_generator(request):
    """A view that is an asynchronous generator, and uses the request."""
    for _ in range(2):
        yield {"path": request.path, "key": request.GET["key"]}
        await asyncio.sleep(0)


@event_stream
async def async_view(request):
    """An asynchronous view that returns one."""
    await asyncio.sleep(0)
    return ASYNC_SOURCES[request.GET["source"]](request.GET["key"])


@event_stream
async def async_users(request):
    """Read the database in an asynchronous generator."""
    async for user in User.objects.order_by("username"):
        yield user.username


def async_connection(request):
    """Return whether the connection of asynchronous queries is open, before and after one."""
    is_open = sync_to_async(lambda: connection.connection is not None)

    async def source():
        yield {"open": await is_open()}
        await sync_to_async(lambda: connection.ensure_connection())()
        yield {"open": await is_open()}

    return EventSourceResponse(
        request, source(), on_close=lambda reason: mark(request.GET["key"], reason.name)
    )


@csrf_exempt
def api(request, name):
    """Serve one of the sources to a client of an API."""
    error = openai_error if "error" in request.GET else None
    source = SOURCES[name](request.GET.get("key", ""))
    return EventSourceResponse(request, source, plain=True, error=error)


@require_GET
@login_required
@event_stream(retry=7)
def private(request):
    """A stream behind a login, with a session."""
    request.session.setdefault("seen", 1)
    yield f"hello {request.user.username}"


class ClassView(View):
    """A class-based view with a decorated method."""

    @event_stream(reconnect=True)
    def get(self, request, number):
        """Yield what the URL says."""
        yield {"number": number, "last": last_event_id(request)}


@method_decorator(event_stream, name="dispatch")
class DispatchView(View):
    """A class-based view with a decorated dispatch."""

    def get(self, request):
        """Yield one event."""
        yield "dispatched"


@event_stream
def users(request):
    """Read the database in the generator."""
    for user in User.objects.order_by("username"):
        yield ServerSentEvent({"joined": user.date_joined, "name": user.username}, id=user.pk)


@transaction.non_atomic_requests
def connections(request):
    """Return whether a database connection is open while the stream runs."""
    User.objects.count()

    def source():
        yield {"mine": connection.connection is not None}
        User.objects.count()
        yield {"mine": connection.connection is not None}

    return EventSourceResponse(request, source())


def atomic(request):
    """A stream whose view runs in a transaction."""
    inside = connection.in_atomic_block

    def source():
        yield {"view": inside, "generator": connection.in_atomic_block}

    return EventSourceResponse(request, source())


@csrf_exempt
def relay(request, name):
    """Relay a channel."""
    return subscribe(
        request,
        name,
        max_events=int(request.GET.get("max_events", "1000")),
    )


def selected(request, name):
    """Relay what the history has of a channel, and what follows, until it is done."""
    return subscribe(
        request,
        name,
        replay="all",
        match={"visible": True},
        until="done",
        sender=request.GET.get("tab"),
    )


def page(request, name):
    """A page that a browser may keep, with the URL of a stream for whatever follows."""
    tag = "{% load sse_sync %}{% sse_url 'relay' name=name %}"
    source = PAGE.read_text().replace("URL", tag)
    text = engines["django"].from_string(source).render({"name": name}, request)
    return HttpResponse(text, headers={"Cache-Control": "max-age=600"})


def announce(request, name):
    """Publish events with numbers; a GET keeps the tests simple."""
    first, count = int(request.GET.get("first", "0")), int(request.GET.get("count", "1"))
    padding = "x" * int(request.GET.get("size", "0"))
    options = {
        "event": request.GET.get("event", "n"),
        "meta": {"visible": "hidden" not in request.GET},
        "sender": request.GET.get("tab"),
    }
    ids = [publish(name, f"{n}{padding}", **options) for n in range(first, first + count)]
    return JsonResponse(ids, safe=False)


def room(request, name):
    """Relay a channel, with presence."""
    return subscribe(
        request,
        name,
        presence=request.GET["user"],
        grace=float(request.GET.get("grace", "5")),
        announce=True,
    )


def who(request, name):
    """Return who is present."""
    return JsonResponse([each.user for each in present(name)], safe=False)


def kick(request):
    """End streams for good; a GET keeps the tests simple."""
    disconnect(user=request.GET["user"], reason="kicked", for_good=True)
    return HttpResponse("ok")


@csrf_exempt
def one_job(request, key):
    """Start a job and show it, show it, or cancel it."""
    query, user = request.GET, request.GET.get("user")
    if request.method == "DELETE":
        return JsonResponse(cancel(key, user=user), safe=False)
    options = response_options(query)
    if request.method == "POST":
        job = start(key, source_of(key, query), user=user, **options_of(key, query))
        return job.response(request, location=f"/jobs/{key}", **options)
    return attach(request, key, user=user, plain=True if "plain" in query else None, **options)


def status_of_job(request, key):
    """Return what is known of a job."""
    status = job_status(key, user=request.GET.get("user"))
    return JsonResponse(None if status is None else asdict(status), safe=False)


def all_jobs(request):
    """Return the keys of a user's jobs."""
    found = jobs(user=request.GET.get("user"))
    return JsonResponse([status.key for status in found], safe=False)


def last(request):
    """Return the last event ID."""
    return JsonResponse(last_event_id(request), safe=False)


def marks(request, key):
    """Return the recorded marks."""
    return JsonResponse(MARKS[key], safe=False)


def show_figures(request):
    """Return the process's figures."""
    return JsonResponse(figures())


urlpatterns = [
    path("api/<name>", api),
    path("api/<str:name>", api),
    path("stream/<str:name>", stream),
    path("async/generator", async_generator),
    path("async/view", async_view),
    path("async/users", async_users),
    path("async/connection", async_connection),
    path("private", private),
    path("class/<int:number>", ClassView.as_view()),
    path("dispatch", DispatchView.as_view()),
    path("users", users),
    path("connections", connections),
    path("atomic", atomic),
    path("subscribe/<str:name>", relay, name="relay"),
    path("page/<str:name>", page),
    path("selected/<str:name>", selected),
    path("publish/<str:name>", announce),
    path("room/<str:name>", room),
    path("present/<str:name>", who),
    path("kick", kick),
    path("jobs", all_jobs),
    path("jobs/<str:key>", one_job),
    path("jobs/<str:key>/status", status_of_job),
    path("last", last),
    path("marks/<str:key>", marks),
    path("figures", show_figures),
    path("named/", include("sse_sync.django.urls")),
    path("rooms/<str:channel>/events", RequestedChannelView.as_view()),
    path("plain", lambda request: HttpResponse("ok")),
]
