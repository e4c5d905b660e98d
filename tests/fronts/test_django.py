"""The Django front, through Django's test client."""

import datetime
import gzip
import json
import time

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import AnonymousUser, User
from django.core import checks, signing
from django.core.exceptions import BadRequest, ImproperlyConfigured, PermissionDenied
from django.db import connection, transaction
from django.test import AsyncClient, RequestFactory, override_settings
from django.utils.translation import gettext_lazy

from sse_sync import (
    END_ID,
    CloseReason,
    ConfigurationError,
    ServerSentEvent,
    SourceError,
    UnsupportedServerError,
    statistics,
)
from sse_sync.django import (
    ChannelView,
    EventSourceResponse,
    RequestedChannelView,
    check_token,
    event_stream,
    hub,
    last_event_id,
    publish,
    publish_on_commit,
    sign_channels,
    subscribe,
)
from sse_sync.django.checks import check_settings
from sse_sync.testing import read_events
from tests.apps.sources import MARKS

MILLISECONDS = "a whole number of milliseconds, 0 to 2,147,483,647"
END = ServerSentEvent("", event="stream-end", id=END_ID)


def test_response(client):
    """The response is an event stream that no middleware has touched."""
    response = client.get("/stream/count?key=response", headers={"Accept-Encoding": "gzip"})
    assert response.status_code == 200
    assert dict(response.items()) == {
        "Content-Type": "text/event-stream",
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


def test_other_answers_pass(client):
    """A view may return another response."""
    assert client.get("/maybe?away").status_code == 302
    assert read_events(client.get("/maybe"))[0] == ServerSentEvent("here")


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
def test_atomic_requests(client, settings):
    """ATOMIC_REQUESTS holds a transaction for the view, not for the stream."""
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        event, _ = read_events(client.get("/atomic"))
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert json.loads(event.data) == {"view": True, "generator": False}


def test_finished_stays_finished(client):
    """The reconnection after the end is answered 204, and the source never runs."""
    response = client.get("/stream/count?key=again", headers={"Last-Event-ID": END_ID})
    assert response.status_code == 204
    assert b"".join(response.streaming_content) == b""
    assert "Content-Type" not in response.headers
    assert MARKS["again"] == []


@pytest.mark.django_db
def test_finished_job_is_not_started_again():
    """A view that starts something and returns its source does not run for a finished client."""
    seen = []

    @event_stream
    def view(request):
        seen.append("started")
        return iter(["a"])

    request = RequestFactory().get("/", headers={"Last-Event-ID": END_ID})
    assert view(request).status_code == 204
    assert seen == []


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


def test_misspelt_settings_are_logged(caplog):
    """Under gunicorn, where no checks run, the log says what is wrong."""
    from django.apps import apps

    with override_settings(SSE_SYNC={"HEARTBEET": 5}):
        apps.get_app_config("sse_sync").ready()
    assert "did you mean HEARTBEAT?" in caplog.text


def test_options_are_checked_at_decoration():
    """A mistake is reported when the module is imported, not at the first request."""
    with pytest.raises(ConfigurationError, match="did you mean heartbeat"):
        event_stream(heartbeet=5)(lambda request: iter([]))


def test_head(client):
    """HEAD has the headers and starts nothing."""
    response = client.head("/stream/count?key=head")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream"
    assert b"".join(response.streaming_content) == b""
    assert MARKS["head"] == []
    assert statistics().open == 0


@pytest.mark.django_db
def test_head_on_the_wsgi_handler():
    """Without a test client's help, too, the body of HEAD is empty."""
    from tests.django_project.wsgi import application

    environ = RequestFactory().head("/stream/count?key=head2").environ
    response = application(environ, lambda status, headers: None)
    assert b"".join(response) == b""
    response.close()
    assert MARKS["head2"] == []


@pytest.mark.django_db
def test_options_and_hooks():
    """Options, headers and on_close come from the call."""
    seen = []
    response = EventSourceResponse(
        RequestFactory().get("/"),
        iter(["a"]),
        headers={"X-Mine": "1"},
        on_close=seen.append,
        retry=5,
    )
    assert b"".join(response.streaming_content).startswith(b":\nretry: 5\ndata: a\n\n")
    response.close()
    assert response.headers["X-Mine"] == "1"
    assert seen == [CloseReason.FINISHED]


def test_bad_options():
    """An unusable argument is refused with a hint."""
    request = RequestFactory().get("/")
    with pytest.raises(ConfigurationError, match="did you mean lifetime"):
        EventSourceResponse(request, iter([]), lifetimes=5)
    with pytest.raises(SourceError, match="yield it from a generator"):
        EventSourceResponse(request, "text")


def test_bad_views():
    """A value that cannot be streamed is refused with the reason."""

    async def view(request):
        """Asynchronous by mistake."""

    with pytest.raises(SourceError, match="WSGI has no event loop"):
        event_stream(view)
    with pytest.raises(TypeError, match="must take the request as its first argument"):
        event_stream(lambda: iter([]))()


def test_asgi_is_refused():
    """Under ASGI there is an error instead of a hang."""

    async def request(path):
        return await AsyncClient().get(path)

    with pytest.raises(UnsupportedServerError, match="run the project's WSGI application"):
        async_to_sync(request)("/stream/ticking?key=asgi")


def test_last_event_id():
    """The last event ID comes from the header or the query."""
    factory = RequestFactory()
    assert last_event_id(factory.get("/")) is None
    assert last_event_id(factory.get("/", headers={"Last-Event-ID": "7"})) == "7"
    assert last_event_id(factory.get("/?lastEventId=8")) == "8"
    assert last_event_id(factory.get("/?lastEventId=8"), 0, type=int) == 8
    assert last_event_id(factory.get("/?lastEventId=x"), 0, type=int) == 0


@override_settings(SSE_SYNC={"RETRY": 9, "HEARTBEAT": None}, DEBUG=True)
def test_settings():
    """SSE_SYNC is read, and DEBUG shows what went wrong."""

    def source():
        raise ZeroDivisionError("secret")
        yield

    response = EventSourceResponse(RequestFactory().get("/"), source())
    wire = b"".join(response.streaming_content)
    assert wire.startswith(b":\nretry: 9\n")
    assert b"data: ZeroDivisionError: secret\n" in wire


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
            [f"sse_sync.E002: SSE_SYNC: RETRY must be {MILLISECONDS}, not -1."],
        ),
    ],
)
def test_checks(given, expected):
    """System checks say what is wrong, and what to write instead."""
    with override_settings(SSE_SYNC=given):
        found = check_settings()
    assert [f"{message.id}: {message.msg}" for message in found] == expected


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


@pytest.mark.django_db
def test_channels(client):
    """Publish and subscribe, with Django's JSON."""
    response = client.get("/subscribe/test-channels")
    # Django's test client starts no response before it is read.
    assert [event.event for event in read_events(response, 1)] == ["stream-open"]
    first = publish("test-channels", {"on": datetime.date(2026, 1, 2)}, event="created")
    assert read_events(response) == [
        ServerSentEvent('{"on": "2026-01-02"}', event="created", id=first)
    ]
    second = publish("test-channels", "later")
    response = client.get("/subscribe/test-channels", headers={"Last-Event-ID": first})
    assert read_events(response) == [ServerSentEvent("later", id=second)]


@pytest.mark.django_db(transaction=True)
def test_publish_on_commit(client):
    """An event does not overtake its transaction, and a rolled back one is not published."""
    response = client.get("/subscribe/test-commit")
    assert [event.event for event in read_events(response, 1)] == ["stream-open"]
    with transaction.atomic():
        publish_on_commit("test-commit", "committed", event="e")
        publish("test-commit", "at once")
    with transaction.atomic():
        publish_on_commit("test-commit", "rolled back")
        transaction.set_rollback(True)
    publish_on_commit("test-commit", "outside")
    events = read_events(response)
    assert [event.data for event in events] == ["at once", "committed", "outside"]
    response.close()


@pytest.mark.django_db
def test_channel_view():
    """A ready-made view relays the given channels."""

    class Mine(LoginRequiredMixin, ChannelView):
        """Channels that depend on the request."""

        def get_channels(self):
            return [f"user-{self.request.user.pk}"]

    factory, user = RequestFactory(), User(pk=7, username="ann")
    view = Mine.as_view(stream_options={"retry": 5})
    request = factory.get("/")
    request.user = AnonymousUser()
    assert view(request).status_code == 302
    request.user = user
    response = view(request)
    assert [event.event for event in read_events(response, 1)] == ["stream-open"]
    publish("user-7", "for ann")
    publish("user-8", "for somebody else")
    assert [event.data for event in read_events(response)] == ["for ann"]
    response.close()
    fixed = ChannelView.as_view(channels=["news"])
    assert fixed(factory.post("/")).status_code == 405
    assert fixed(factory.head("/")).status_code == 200
    assert fixed(factory.get("/?channels=secret")).status_code == 200


@pytest.mark.parametrize("channels", [(), "news"])
def test_channel_view_without_channels(channels):
    """A view without channels says what it needs."""
    with pytest.raises(ImproperlyConfigured, match=r"needs channels=\[...\] or get_channels"):
        ChannelView.as_view(channels=channels)(RequestFactory().get("/"))


def may_read(request, channel):
    """The AUTHORIZE function of these tests."""
    return channel == request.headers.get("X-Channel")


@override_settings(SSE_SYNC={"AUTHORIZE": f"{__name__}.may_read"})
def test_channel_that_the_client_names(client):
    """The ready-made endpoint gives a client only what AUTHORIZE allows."""
    response = client.get("/named/?channel=a", headers={"X-Channel": "a"})
    assert response.status_code == 200
    assert read_events(response, 1)[0].event == "stream-open"
    publish("a", "hello")
    assert [event.data for event in read_events(response)] == ["hello"]
    for query in ("channel=b", "channel=a&channel=b", "channel=A", "channel=a%20"):
        assert client.get(f"/named/?{query}", headers={"X-Channel": "a"}).status_code == 403
    for query in ("", "channel=", "channel=a%0A"):
        assert client.get(f"/named/?{query}", headers={"X-Channel": "a"}).status_code == 400
    assert client.get("/rooms/a/events", headers={"X-Channel": "a"}).status_code == 200
    assert client.get("/rooms/b/events", headers={"X-Channel": "a"}).status_code == 403


def test_nothing_is_set(client, caplog):
    """Without AUTHORIZE, all client-named channels are refused."""
    assert client.get("/named/?channel=a").status_code == 403
    assert "AUTHORIZE is not set" in caplog.text


def test_requested_channel_view():
    """A view may override authorize()."""

    class Rooms(RequestedChannelView):
        """Only one room."""

        def authorize(self, channel):
            return channel == "room-1"

    view, factory = Rooms.as_view(), RequestFactory()
    assert view(factory.get("/?channel=room-1")).status_code == 200
    with pytest.raises(PermissionDenied):
        view(factory.get("/?channel=room-2"))
    with pytest.raises(BadRequest, match="name 1 to 100 channels"):
        view(factory.get("/"))


def test_subscribe_with_authorize(client):
    """A view may have each of its channels authorized."""
    request = RequestFactory().get("/", headers={"X-Channel": "a"})
    with override_settings(SSE_SYNC={"AUTHORIZE": may_read}):
        assert subscribe(request, "a", authorize=True).status_code == 200
        with pytest.raises(PermissionDenied):
            subscribe(request, "a", "b", authorize=True)
    with pytest.raises(PermissionDenied):
        subscribe(request, "a", authorize=True)
    assert hub().statistics().problem is None


def test_authorize_is_checked():
    """A missing hook is reported by the system checks."""
    with override_settings(SSE_SYNC={"AUTHORIZE": "nowhere.may_read"}):
        found = [message for message in checks.run_checks() if message.id == "sse_sync.E003"]
        assert ["nowhere.may_read" in message.msg for message in found] == [True]


def test_signed_token(client, monkeypatch):
    """A token grants what was signed, until it expires, and nothing else."""
    token = sign_channels("a", "b", user="7", ttl=60)
    assert (check_token(token).channels, check_token(token).user) == (("a", "b"), "7")
    response = client.get("/named/", {"token": token, "channel": "c"})
    assert read_events(response, 1)[0].event == "stream-open"
    publish("c", "not mine")
    publish("b", "mine")
    assert [event.data for event in read_events(response)] == ["mine"]
    response = client.get("/rooms/b/events", {"token": token})
    assert read_events(response, 1)[0].event == "stream-open"
    publish("a", "another room")
    publish("b", "this room")
    assert [event.data for event in read_events(response)] == ["this room"]
    head = "A" if token[0] != "A" else "B"
    other = signing.dumps([["a"], None, 9e9])
    for wrong in ("", "x", head + token[1:], token + "x", other):
        assert client.get("/named/", {"token": wrong}).status_code == 403, wrong
    assert client.get("/rooms/c/events", {"token": token}).status_code == 403
    with override_settings(SECRET_KEY="new"):
        assert client.get("/named/", {"token": token}).status_code == 403
        with override_settings(SECRET_KEY_FALLBACKS=["test"]):
            assert client.get("/named/", {"token": token}).status_code == 200
    later = time.time() + 66
    monkeypatch.setattr("sse_sync.channels.access.time.time", lambda: later)
    assert client.get("/named/", {"token": token}).status_code == 403
    with pytest.raises(ConfigurationError):
        sign_channels("a\n")


@override_settings(SSE_SYNC={"CORS_ORIGINS": ["https://a.example"]})
def test_other_origins():
    """A page of a configured origin may read streams; others may not."""
    view, factory = ChannelView.as_view(channels=["x"]), RequestFactory()
    response = view(factory.get("/", headers={"Origin": "https://a.example"}))
    assert response["Access-Control-Allow-Origin"] == "https://a.example"
    assert response["Vary"] == "Origin"
    response = view(factory.get("/", headers={"Origin": "https://b.example"}))
    assert "Access-Control-Allow-Origin" not in response
    asking = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    response = view(factory.options("/", headers=asking))
    assert response["Access-Control-Allow-Headers"].endswith("Last-Event-ID")
    assert "GET" in response["Allow"]
    asking["Origin"] = "https://b.example"
    response = view(factory.options("/", headers=asking))
    assert "Access-Control-Allow-Origin" not in response
    own = ChannelView.as_view(channels=["x"], stream_options={"cors_origins": "https://b.example"})
    response = own(factory.options("/", headers=asking))
    assert response["Access-Control-Allow-Origin"] == "https://b.example"
