"""django-eventstream on ASGI. Without Redis, a view in the same process sends the events."""

from __future__ import annotations

import django_eventstream
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import include, path

from benchmarks.pace import paced


def ping(request):
    """Any other request."""
    return HttpResponse("ok")


def publish(request):
    """Send events; they are JSON strings."""
    for text in paced(int(request.GET["n"]), int(request.GET["pause"])):
        django_eventstream.send_event("x", "message", text)
    return HttpResponse("ok")


urlpatterns = [
    path("events", include("django_eventstream.urls"), {"channels": ["x"]}),
    path("publish", publish),
    path("ping", ping),
]
app = get_asgi_application()
