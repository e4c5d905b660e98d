"""Channels in Django: ready-made views, permissions, and publishing with the database."""

import re
import threading
from datetime import date

import pytest
from django.contrib.auth import middleware as auth_middleware
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import BadRequest, ImproperlyConfigured, PermissionDenied
from django.db import connection, connections, transaction
from django.test import RequestFactory, override_settings
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.renderers import BaseRenderer
from rest_framework.views import APIView

from sse_sync import BrokerUnavailable
from sse_sync.django import (
    ChannelView,
    RequestedChannelView,
    disconnect,
    event_stream,
    hub,
    is_event_source,
    publish,
    publish_every,
    publish_on_commit,
    reauthorize,
    sign_channels,
    subscribe,
)
from sse_sync.django.app import schedule
from sse_sync.testing import read_events
from tests.waiting import wait_for

factory = RequestFactory()


@pytest.fixture(autouse=True)
def own_hub():
    """A hub for this test alone."""
    with override_settings(SSE_SYNC={"CORS_ORIGINS": ["https://a.example"]}):
        yield


def request_of(user, **arguments):
    request = factory.get("/", **arguments)
    request.user = user
    return request


def names(response):
    return [event.event for event in read_events(response)]


def test_log_in_of_a_channel_view():
    """With raise_exception, an event source gets a 403 instead of a redirect to a page."""

    class Mine(LoginRequiredMixin, ChannelView):
        channels = ["a"]
        raise_exception = True

    with pytest.raises(PermissionDenied):
        Mine.as_view()(request_of(AnonymousUser()))


if hasattr(auth_middleware, "LoginRequiredMiddleware"):  # Since Django 5.1.

    def test_log_in_by_middleware():
        """So it does from a middleware as the documentation shows it."""

        class LoginRequired(auth_middleware.LoginRequiredMiddleware):
            def handle_no_permission(self, request, view_func):
                if is_event_source(request):
                    raise PermissionDenied
                return super().handle_no_permission(request, view_func)

        middleware = LoginRequired(lambda request: None)
        view = ChannelView.as_view(channels=["a"])
        page = middleware.process_view(request_of(AnonymousUser()), view, (), {})
        assert page.status_code == 302
        accepting = request_of(AnonymousUser(), headers={"Accept": "text/event-stream"})
        with pytest.raises(PermissionDenied):
            middleware.process_view(accepting, view, (), {})


@pytest.mark.django_db
def test_channel_view():
    """A ready-made view relays the given channels."""

    class Mine(LoginRequiredMixin, ChannelView):
        """Channels that depend on the request."""

        def get_channels(self):
            return [f"user-{self.request.user.pk}"]

    user = User(pk=7, username="ann")
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


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ((), "ChannelView needs channels=[...] or get_channels()"),
        ("news", "ChannelView takes a list, not text: write channels=['news']"),
    ],
)
def test_channel_view_without_channels(channels, message):
    """A view without channels says what it needs."""
    with pytest.raises(ImproperlyConfigured, match=f"^{re.escape(message)}$"):
        ChannelView.as_view(channels=channels)(factory.get("/"))


def may_read(request, channel):
    """The AUTHORIZE function of these tests."""
    return channel == request.headers.get("X-Channel")


@override_settings(SSE_SYNC={"AUTHORIZE": f"{__name__}.may_read"})
def test_channel_of_the_url(client):
    """AUTHORIZE may be named by its path, and is asked about a channel in the URL, too."""
    assert client.get("/rooms/a/events", headers={"X-Channel": "a"}).status_code == 200
    assert client.get("/rooms/b/events", headers={"X-Channel": "a"}).status_code == 403


def test_requested_channel_view():
    """A view may override authorize()."""

    class Rooms(RequestedChannelView):
        """Only one room."""

        def authorize(self, channel):
            return channel == "room-1"

    view = Rooms.as_view()
    assert view(factory.get("/?channel=room-1")).status_code == 200
    with pytest.raises(PermissionDenied):
        view(factory.get("/?channel=room-2"))
    with pytest.raises(BadRequest, match="name 1 to 100 channels"):
        view(factory.get("/"))


def test_token_and_channel_of_the_url(client):
    """A channel in the URL has to be one of those that were signed."""
    token = sign_channels("a", "b", user="7", ttl=60)
    response = client.get("/rooms/b/events", {"token": token})
    assert read_events(response, 1)[0].event == "stream-open"
    publish("a", "another room")
    publish("b", "this room")
    assert [event.data for event in read_events(response)] == ["this room"]
    assert client.get("/rooms/c/events", {"token": token}).status_code == 403


def test_channel_view_knows_its_user():
    """Its streams belong to the logged-in user."""
    view = ChannelView.as_view(channels=["room"])
    ann, nobody = view(request_of(User(pk=7))), view(request_of(AnonymousUser()))
    for stream in (ann, nobody):
        assert read_events(stream, 1)[0].event == "stream-open"
    reauthorize(user=7)
    assert names(ann) == ["stream-disconnect"]
    assert names(nobody) == []


def test_order_while_permission_is_asked():
    """A client that is disconnected during its authorization does not read on."""

    class View(RequestedChannelView):
        def authorize(self, channel):
            disconnect(user=7, reason="bye")
            return True

    request = factory.get("/?channel=room")
    request.user = User(pk=7)
    assert names(View.as_view()(request))[-1] == "stream-disconnect"


@pytest.mark.django_db(transaction=True)
def test_publish_every(monkeypatch):
    """The function may use the database, and leaves no connection open."""
    monkeypatch.setattr(schedule, "_by_channel", {})
    User.objects.create_user("ann")
    calls = []
    # The database in memory survives it.
    wrapper = type(connections["default"])
    monkeypatch.setattr(wrapper, "close", lambda self: calls.append(threading.current_thread()))

    @publish_every(0.05, "room", event="users")
    def users():
        calls.append("called")
        return {"users": User.objects.count(), "day": date(2026, 11, 21)}

    response = ChannelView.as_view(channels=["room"])(request_of(AnonymousUser()))
    assert read_events(response, 1)[0].event == "stream-open"
    wait_for(lambda: hub().statistics().published >= 2, "the second event")
    event = read_events(response, 1)[0]
    response.close()
    assert (event.event, event.data) == ("users", '{"users": 1, "day": "2026-11-21"}')
    elsewhere = [call for call in calls if call is not threading.main_thread()]
    assert elsewhere[0] == "called"
    assert isinstance(elsewhere[1], threading.Thread)  # And so it has closed its connection.


@pytest.mark.parametrize(
    ("permission", "user", "allowed"),
    [
        (IsAuthenticated, User(pk=7), True),
        (IsAuthenticated, AnonymousUser(), False),
        (IsAdminUser, User(pk=7), False),
        (IsAdminUser, User(pk=7, is_staff=True), True),
    ],
)
def test_permission_classes(permission, user, allowed):
    """Ready-made views obey Django REST framework's permissions."""
    view = ChannelView.as_view(channels=["room"], permission_classes=[permission])
    if allowed:
        assert read_events(view(request_of(user)), 1)[0].event == "stream-open"
    else:
        with pytest.raises(PermissionDenied):
            view(request_of(user))


class EventStreamRenderer(BaseRenderer):
    """As in the documentation: makes the framework accept an EventSource."""

    media_type = "text/event-stream"
    format = "event-stream"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        """Used for errors only."""
        return b""


class RestView(APIView):
    """A view of Django REST framework."""

    permission_classes = [IsAuthenticated]
    renderer_classes = [EventStreamRenderer]

    def get(self, request):
        """Relay a channel."""
        return subscribe(request, "room", user=request.user.pk)


def test_view_of_rest_framework():
    """Its permissions and its negotiation work with a stream."""
    accepts = {"HTTP_ACCEPT": "text/event-stream"}
    response = RestView.as_view()(request_of(User(pk=7), **accepts))
    assert response.status_code == 200
    assert read_events(response, 1)[0].event == "stream-open"
    assert RestView.as_view()(request_of(AnonymousUser(), **accepts)).status_code == 403


def test_preflight_before_login():
    """A browser asks without cookies, so mixins must not answer it."""

    class Private(LoginRequiredMixin, ChannelView):
        channels = ["room"]

    asking = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    response = Private.as_view()(factory.options("/", headers=asking))
    assert response.status_code == 204
    assert response["Access-Control-Allow-Origin"] == "https://a.example"
    assert Private.as_view().view_class is Private

    @event_stream(cors_credentials=True)
    def generator(request):
        yield "a"

    response = generator(factory.options("/", headers=asking))
    assert (response.status_code, response["Access-Control-Allow-Credentials"]) == (204, "true")


@pytest.mark.filterwarnings("ignore:coroutine")
def test_only_true_allows(caplog):
    """A view's own authorize() refuses unless it returns True."""

    class Rooms(RequestedChannelView):
        async def authorize(self, channel):
            return True

    with pytest.raises(PermissionDenied):
        Rooms.as_view()(factory.get("/?channel=a"))
    assert "must return True or False" in caplog.text


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


@pytest.mark.django_db(transaction=True)
def test_broker_that_is_away_at_the_commit(monkeypatch, caplog):
    """The commit stays, and the other on_commit functions still run."""
    done = []

    def away(*args, **kwargs):
        raise BrokerUnavailable("test", "away")

    with transaction.atomic():
        publish_on_commit("room", "x")
        transaction.on_commit(lambda: done.append(1))
        monkeypatch.setattr(hub()._broker, "publish", away)
    assert done == [1]
    assert "publish" in caplog.text
    with pytest.raises(BrokerUnavailable), transaction.atomic():
        publish_on_commit("room", "x", robust=False)
    with pytest.raises(TypeError, match="evnt"):
        publish_on_commit("room", "x", evnt="typo")
    assert not connection.in_atomic_block
    with pytest.raises(BrokerUnavailable):
        publish("room", "x")
