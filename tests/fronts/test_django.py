"""The Django front, through Django's test client: the contract, responses, views and settings."""

import contextlib
import gzip
import html
import json

import pytest
from asgiref.sync import SyncToAsync, async_to_sync
from django.contrib.auth.models import User
from django.core import checks, signing
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import redirect
from django.template import engines
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import URLResolver, clear_url_caches, include, path
from django.utils.translation import gettext_lazy

from sse_sync import END_ID, ConfigurationError, ServerSentEvent, UnsupportedServerError
from sse_sync import django as sse_sync_django
from sse_sync.django import (
    ChannelView,
    EventSourceResponse,
    RequestedChannelView,
    event_stream,
    hub,
    is_event_source,
    last_event_id,
    subscribe,
)
from sse_sync.django.app import close_connections, schedule
from sse_sync.django.checks import check_settings
from sse_sync.testing import read_events
from sse_sync.views import report_page
from tests.apps.sources import MARKS
from tests.fronts.front_contract import Front, FrontContract

OR_NONE = "a whole number of milliseconds, 0 to 2,147,483,647, or None to leave it to the client"


class DjangoFront(Front):
    """Django, as the contract sees it."""

    sse = sse_sync_django
    event_stream = staticmethod(event_stream)
    day = '"2026-01-02"'
    nothing_is_set = "AUTHORIZE is not set"
    separator = ":"
    origin = "http://testserver"
    broker_setting = 'SSE_SYNC["BROKER_URL"]'

    def __init__(self, settings, urls):
        self.settings, self.urls = settings, urls
        self.responses = []
        self.configure()

    def configure(self, **options):
        self.settings.SSE_SYNC = {name.upper(): value for name, value in options.items()}

    def debug(self):
        self.settings.DEBUG = True

    def set_keys(self, key, *fallbacks):
        self.settings.SECRET_KEY, self.settings.SECRET_KEY_FALLBACKS = key, list(fallbacks)

    def asking(self, function):
        return function

    def view(self, view):
        return self._mount(view)

    def endpoint(self, *channels, **arguments):
        if channels:
            return self._mount(ChannelView.as_view(channels=channels, stream_options=arguments))
        if arguments:
            return self._mount(RequestedChannelView.as_view(stream_options=arguments))
        return self._mount(include("sse_sync.django.urls"))

    def _mount(self, view):
        name = f"view-{len(self.urls)}"
        url = f"{name}/"
        self.urls.append(path(url, view, name=name))
        clear_url_caches()
        return f"/{url}"

    def rendered(self, url, *channels, **arguments):
        is_included = isinstance(self.urls[int(url[6:-1])], URLResolver)
        name = "sse_sync:events" if is_included else url[1:-1]
        called = [f"'{text}'" for text in (name, *channels)]
        called += [f"{keyword}={keyword}" for keyword in arguments]
        source = f'{{% load sse_sync %}}<a href="{{% sse_url {" ".join(called)} %}}">'
        text = engines["django"].from_string(source).render(arguments)
        return html.unescape(text[9:-2])

    def request(self, query=""):
        return contextlib.nullcontext(RequestFactory().get(f"/?{query}"))

    def get(self, url, headers=None, method="GET"):
        response = Client().generic(method, url, headers=headers)
        self.responses.append(response)
        return response

    def headers(self, response):
        return dict(response.items())

    def body(self, response):
        return b"".join(response.streaming_content) if response.streaming else response.content

    def redirect(self):
        return redirect("/elsewhere")

    def forbid(self):
        raise PermissionDenied

    def query(self, request):
        return request.GET

    def response(self, request, source, **arguments):
        return EventSourceResponse(request, source, **arguments)

    def subscribe(self, request, *channels, **arguments):
        return subscribe(request, *channels, **arguments)

    def attach(self, request, key, **arguments):
        return sse_sync_django.attach(request, key, **arguments)

    def respond(self, request, job, **arguments):
        return job.response(request, **arguments)

    def last_event_id(self, request, *default, **type):
        return last_event_id(request, *default, **type)

    def is_event_source(self, request):
        return is_event_source(request)

    def authorize(self, hook):
        self.settings.SSE_SYNC = {**self.settings.SSE_SYNC, "AUTHORIZE": hook}

    def sign(self, claims):
        return signing.dumps(claims)

    def periodic(self, channel):
        return schedule.of(channel)

    def hub(self):
        return hub()


class Urls:
    """URLs of one test."""

    def __init__(self):
        self.urlpatterns = []


class TestContract(FrontContract):
    """What Flask and Django promise alike."""

    @pytest.fixture
    def front(self, db, settings, monkeypatch):
        urls = Urls()
        settings.ROOT_URLCONF = urls
        monkeypatch.setattr(schedule, "_by_channel", {})
        front = DjangoFront(settings, urls.urlpatterns)
        yield front
        for response in front.responses:
            response.close()

    @pytest.mark.parametrize(
        ("origin", "is_trusted"),
        [
            ("https://app.example", True),
            ("https://a.b.example.org", True),
            ("https://example.org", True),
            ("https://a.example.org:8443", False),
            ("http://app.example", False),
            ("http://a.example.org", False),
            ("https://app.example.net", False),
            ("https://notexample.org", False),
            ("null", False),
        ],
    )
    def test_trusted_origins(self, front, origin, is_trusted):
        """A page whose origin Django trusts may send a POST with cookies, and no other."""
        front.settings.CSRF_TRUSTED_ORIGINS = ["https://app.example", "https://*.example.org"]
        url = front.stream(lambda request: iter("a"))
        headers = {"Origin": origin, "Cookie": "session=1"}
        assert front.get(url, headers, "POST").status_code == (200 if is_trusted else 403)
        request = RequestFactory(headers={"Origin": origin}).post("/")
        assert CsrfViewMiddleware(lambda request: None)._origin_verified(request) is is_trusted


def test_response(client):
    """The response is an event stream that no middleware has touched."""
    response = client.get("/stream/count?key=response", headers={"Accept-Encoding": "gzip"})
    assert response.status_code == 200
    assert dict(response.items()) == {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
    }
    events = read_events(response)
    assert [event.id for event in events] == ["1", "2", "3", END_ID]
    assert [what for what, _ in MARKS["response"]] == ["started", "finally", "FINISHED"]


@pytest.mark.django_db
def test_test_client_closes(client):
    """Closing a response that was read in part ends its source."""
    response = client.get("/stream/ticking?key=closed")
    assert read_events(response, 1) == [ServerSentEvent("tick")]
    response.close()
    assert [what for what, _ in MARKS["closed"]] == ["finally", "CLIENT_GONE"]


@pytest.mark.django_db
def test_login_required(client):
    """Decorators of Django's go above the stream's, and sessions work."""
    assert client.get("/private").status_code == 302
    assert client.post("/private").status_code == 405
    client.force_login(User.objects.create_user("ann"))
    response = client.get("/private")
    assert read_events(response)[0] == ServerSentEvent("hello ann")


def test_class_based_views(client):
    """Methods and decorated classes work, with their arguments and options."""
    response = client.get("/class/7", headers={"Last-Event-ID": "5"})
    assert read_events(response) == [ServerSentEvent('{"number": 7, "last": "5"}')]
    assert read_events(client.get("/dispatch"))[0] == ServerSentEvent("dispatched")


@pytest.mark.django_db
def test_database_in_the_generator(client):
    """Rows of the test's own transaction are seen, and written by Django's JSON encoder."""
    user = User.objects.create_user("ann")
    (event, end) = read_events(client.get("/users"))
    expected = user.date_joined.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert json.loads(event.data) == {"joined": expected, "name": "ann"}
    assert (event.id, end.id) == (str(user.pk), END_ID)
    assert connection.in_atomic_block


@pytest.mark.django_db(transaction=True)
def test_database_in_an_async_generator(client):
    """Asynchronous queries run in a thread of their own, which sees what was committed."""
    User.objects.create_user("ann")
    assert read_events(client.get("/async/users"))[0] == ServerSentEvent("ann")
    SyncToAsync.single_thread_executor.submit(close_connections).result(10)


@pytest.mark.django_db(transaction=True)
def test_atomic_requests(client, settings):
    """ATOMIC_REQUESTS holds a transaction for the view, not for the stream."""
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        event, _ = read_events(client.get("/atomic"))
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert json.loads(event.data) == {"view": True, "generator": False}


def test_lazy_strings():
    """A lazy translation is text."""
    lazy = gettext_lazy("Yes")
    source = [lazy, ServerSentEvent(lazy, event="e"), {"lazy": lazy}]
    response = EventSourceResponse(RequestFactory().get("/"), source)
    wire = b"".join(response.streaming_content)
    assert b'\ndata: Yes\n\nevent: e\ndata: Yes\n\ndata: {"lazy": "Yes"}\n\n' in wire


def test_request_is_missing():
    """A forgotten request is not taken for ASGI."""
    with pytest.raises(TypeError, match="pass the request first, not list_iterator"):
        EventSourceResponse(iter([]), iter([]))


BROWSER = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}


@pytest.mark.parametrize(
    ("url", "headers", "is_told"),
    [
        ("/accounts/login/?next=/mine", BROWSER, True),
        ("/accounts/login/?next=/mine", {"Accept": "text/event-stream, text/html"}, False),
        ("/accounts/login/?next=/mine", {}, False),
        ("/accounts/logout/?next=/mine", BROWSER, False),
        ("/accounts/login/", BROWSER, False),
    ],
)
@pytest.mark.parametrize("login_url", ["/accounts/login/", "/accounts/login/?a=b", "log-in", "no"])
def test_log_in_page(client, settings, caplog, url, headers, is_told, login_url):
    """A browser's EventSource that login_required redirects to its page is told of in the log."""
    report_page.cache_clear()
    settings.LOGIN_URL = login_url
    settings.ROOT_URLCONF = urls = Urls()
    urls.urlpatterns = [path("accounts/login/", lambda request: HttpResponse(), name="log-in")]
    client.get(url, headers=headers)
    is_told = is_told and login_url != "no"  # Such a name leads nowhere.
    assert ("an EventSource has got the page /accounts/login/" in caplog.text) is is_told


@pytest.mark.parametrize(
    ("caller", "is_logged"), [("django.core.management", False), ("django.core.wsgi", True)]
)
def test_misspelt_settings_are_logged(caplog, caller, is_logged):
    """Under gunicorn, where no checks run, the log says what is wrong. A command says it itself."""
    from django.apps import apps

    with override_settings(SSE_SYNC={"HEARTBEET": 5}):
        exec("ready()", {"__name__": caller, "ready": apps.get_app_config("sse_sync").ready})
    assert ("did you mean HEARTBEAT?" in caplog.text) is is_logged


@pytest.mark.django_db
def test_head_on_the_wsgi_handler():
    """Without a test client's help, too, the body of HEAD is empty."""
    from tests.django_project.wsgi import application

    environ = RequestFactory().head("/stream/count?key=head2").environ
    response = application(environ, lambda status, headers: None)
    assert b"".join(response) == b""
    response.close()
    assert MARKS["head2"] == []


def test_view_without_a_request():
    """A view that does not take the request is told so."""
    with pytest.raises(TypeError, match="must take the request as its first argument"):
        event_stream(lambda: iter([]))()


def test_asgi_is_refused():
    """Under ASGI there is an error instead of a hang."""

    async def request(path):
        return await AsyncClient().get(path)

    with pytest.raises(UnsupportedServerError, match="run the project's WSGI application"):
        async_to_sync(request)("/stream/ticking?key=asgi")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"HEARTBEAT": 10, "MAX_STREAMS": 5}, []),
        ([], ["sse_sync.E001: SSE_SYNC must be a dictionary, not list."]),
        (
            {"HEARTBEATS": 10},
            ["sse_sync.E002: SSE_SYNC: HEARTBEATS is not an option; did you mean HEARTBEAT?"],
        ),
        (
            {"heartbeat": 10},
            ["sse_sync.E002: SSE_SYNC: heartbeat is not an option; did you mean HEARTBEAT?"],
        ),
        (
            {"RETRY": -1},
            [
                f"sse_sync.E002: SSE_SYNC: RETRY must be {OR_NONE}, not -1.",
            ],
        ),
    ],
)
def test_checks(given, expected):
    """System checks say what is wrong, and what to write instead."""
    with override_settings(SSE_SYNC=given):
        found = check_settings()
    assert [f"{message.id}: {message.msg}" for message in found] == expected


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("SSE_BROKER_URL", "BROKER_URL"),
        ("SSE_REDIS_URL", "BROKER_URL"),
        ("SSE_HEARTBEAT", "HEARTBEAT"),  # Or it is the project's own.
    ],
)
def test_settings_outside_the_dictionary(name, key):
    """A setting that is written as Flask's keys are is not swallowed."""
    with override_settings(**{name: "redis://localhost"}, SSE_SYNC={}):
        (message,) = check_settings()
    assert message.id == ("sse_sync.E004" if key == "BROKER_URL" else "sse_sync.W002")
    assert message.is_serious() == (key == "BROKER_URL")
    assert message.msg == f"{name} is not read: write SSE_SYNC = {{'{key}': ...}} instead."
    with override_settings(**{name: "redis://localhost"}, SSE_SYNC={key: 5}):
        assert {message.id for message in check_settings()} <= {"sse_sync.E002"}


def test_memory_with_several_workers():
    """The error names Django's setting."""
    workers = {"SERVER_SOFTWARE": "gunicorn", "wsgi.multiprocess": True}
    request = RequestFactory().get("/", **workers)
    with pytest.raises(ConfigurationError, match=r'^SSE_SYNC\["BROKER_URL"\] is memory://'):
        subscribe(request, "a")


def test_check_is_registered():
    """ "manage.py check" runs the check."""
    with override_settings(SSE_SYNC={"X": 1}):
        assert "sse_sync.E002" in [message.id for message in checks.run_checks()]


def test_check_without_the_app():
    """Settings without the application are noticed."""
    apps = ["django.contrib.contenttypes"]
    with override_settings(SSE_SYNC={"RETRY": 1}, INSTALLED_APPS=apps):
        assert [message.id for message in check_settings()] == ["sse_sync.W001"]


def test_gzip_really_would_compress(client):
    """The middleware in this project does compress other streams."""
    from django.http import StreamingHttpResponse
    from django.middleware.gzip import GZipMiddleware

    request = RequestFactory().get("/", headers={"Accept-Encoding": "gzip"})
    middleware = GZipMiddleware(lambda request: StreamingHttpResponse(iter([b"x" * 5000])))
    response = middleware(request)
    assert gzip.decompress(b"".join(response.streaming_content)) == b"x" * 5000
    middleware = GZipMiddleware(lambda request: EventSourceResponse(request, iter(["x" * 5000])))
    assert b"data: " + b"x" * 5000 in b"".join(middleware(request).streaming_content)


def test_authorize_is_checked():
    """A missing hook is reported by the system checks."""
    with override_settings(SSE_SYNC={"AUTHORIZE": "nowhere.may_read"}):
        found = [message for message in checks.run_checks() if message.id == "sse_sync.E003"]
        assert ["nowhere.may_read" in message.msg for message in found] == [True]
