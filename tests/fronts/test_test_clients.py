"""Test clients of frameworks and others: a stream runs in the test's own thread, and ends."""

import threading
import warnings

import django.test
import flask
import pytest
import werkzeug.test
from django.core.handlers.wsgi import WSGIHandler
from django.urls import clear_url_caches, path
from flask.testing import FlaskClient
from rest_framework.decorators import api_view
from rest_framework.test import APIClient, APIRequestFactory

from sse_sync import django as sse_sync_django
from sse_sync.flask import SSE, event_stream
from sse_sync.testing import read_events

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # WebOb imports the standard library's cgi.
    import webtest

DATA = b"data: 0\n\ndata: 1\n\n"


class Ran:
    """Where a source ran, and in which environ."""

    def source(self, environ):
        self.thread, self.environ = threading.get_ident(), environ
        yield from range(2)


@pytest.fixture
def ran():
    return Ran()


@pytest.fixture
def app(ran):
    """A Flask application with a stream of a source, and one of a channel."""
    app = flask.Flask(__name__)
    sse = SSE(app)
    app.get("/source")(event_stream(lambda: ran.source(flask.request.environ)))

    @app.get("/channel")
    def channel():
        for number in range(2):
            sse.publish("a", number)
        return sse.subscribe("a")

    return app


@pytest.fixture
def views(ran, settings):
    """The same in Django, mounted; and as views."""

    @sse_sync_django.event_stream
    def source(request):
        return ran.source(request.environ)

    def channel(request):
        for number in range(2):
            sse_sync_django.publish("a", number)
        return sse_sync_django.subscribe(request, "a")

    class Urls:
        urlpatterns = [
            path("source", source),
            path("channel", channel),
            path("rest/source", api_view(["GET"])(source)),
            path("rest/channel", api_view(["GET"])(channel)),
        ]

    settings.ROOT_URLCONF = Urls
    clear_url_caches()
    return {"source": source, "channel": channel}


def assert_inline(get, ran, prefix="/"):
    """Both kinds of stream end by themselves, and the source runs in this thread."""
    body = content(get(f"{prefix}source"))
    assert DATA in body
    assert ran.thread == threading.get_ident()
    assert b"stream-open" in content(get(f"{prefix}channel"))


def content(response):
    """Return the whole body."""
    if hasattr(response, "body"):
        return response.body  # WebTest's
    if getattr(response, "streaming", False):
        return b"".join(response.streaming_content)
    return response.content if hasattr(response, "content") else response.data


@pytest.mark.parametrize("client", [FlaskClient, werkzeug.test.Client, webtest.TestApp])
def test_flask(app, ran, client):
    """Flask's own, Werkzeug's and WebTest's."""
    assert_inline(client(app).get, ran)


def test_flask_preserving(app, ran):
    """Flask's client in a with block, which keeps the contexts."""
    with app.test_client() as client:
        assert_inline(client.get, ran)


def test_flask_request_context(app, ran):
    """A request that only has a context."""
    with app.test_request_context("/source"):
        events = read_events(app.full_dispatch_request())
    assert [event.data for event in events][:2] == ["0", "1"]
    assert ran.thread == threading.get_ident()


def test_wsgi_environ_of_werkzeug(app, ran):
    """An application that is called with an environ of Werkzeug's builder."""
    environ = werkzeug.test.create_environ("/source")
    body = app(environ, lambda status, headers: None)
    assert DATA in b"".join(body)
    body.close()
    assert ran.thread == threading.get_ident()


@pytest.mark.django_db
@pytest.mark.parametrize("client", [django.test.Client, APIClient])
def test_django(views, ran, client):
    """Django's own, and the one of Django REST framework."""
    assert_inline(client().get, ran)
    assert_inline(client().get, ran, "/rest/")


@pytest.mark.django_db
@pytest.mark.parametrize("factory", [django.test.RequestFactory, APIRequestFactory])
def test_django_request_factory(views, ran, factory):
    """A view that is called with a request of a factory."""
    assert_inline(lambda url: views[url[1:]](factory().get(url)), ran)


@pytest.mark.django_db
def test_django_webtest(views, ran):
    """Django's WSGI application in WebTest."""
    assert_inline(webtest.TestApp(WSGIHandler()).get, ran)
