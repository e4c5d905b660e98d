"""The Django project of the client tests, in one file."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from .routes import OPTIONS, ROUTES, Route, file

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="test",
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["sse_sync.django"],
    # No client of an API sends a CSRF token; such views are exempt, or the middleware is absent.
    MIDDLEWARE=[
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    SSE_SYNC=OPTIONS,
    LOGGING={
        "version": 1,
        "formatters": {"plain": {"format": "%(name)s %(levelname)s %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "loggers": {"sse_sync": {"handlers": ["console"], "level": "INFO"}},
    },
)
django.setup()

from sse_sync.django import EventSourceResponse, last_event_id  # noqa: E402


def add(route: Route) -> Any:
    """Serve one of the routes."""

    def view(request: HttpRequest, **variables: str) -> HttpResponse:
        if request.method != route.method:
            return HttpResponse(status=405)
        reply = route.view(last_event_id(request, 0, type=int), **variables)
        return EventSourceResponse(request, reply.source, **reply.options)

    return path(route.path, view)


def serve_file(request: HttpRequest, path: str) -> HttpResponse:
    """Serve a page, or a file of an npm package."""
    content, kind = file(path)
    return HttpResponse(content, content_type=kind)


def plain(request: HttpRequest) -> HttpResponse:
    """An ordinary response."""
    return HttpResponse("ok")


urlpatterns = [
    *map(add, ROUTES),
    path("file/<path:path>", serve_file),
    path("plain", plain),
]
application = get_wsgi_application()
