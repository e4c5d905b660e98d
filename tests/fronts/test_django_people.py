"""Users' streams, through Django's test client."""

import threading
from datetime import date

import pytest
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import connection, connections, transaction
from django.test import RequestFactory, override_settings
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.renderers import BaseRenderer
from rest_framework.views import APIView

from sse_sync import BrokerUnavailable, user_channel
from sse_sync.django import (
    ChannelView,
    EventSourceResponse,
    RequestedChannelView,
    disconnect,
    event_stream,
    hub,
    present,
    publish,
    publish_every,
    publish_on_commit,
    publish_to_user,
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


@pytest.mark.django_db
def test_presence():
    """A user is present until the stream is closed."""
    response = subscribe(factory.get("/"), "room", presence=7, info="x", grace=0)
    assert read_events(response, 1)[0].event == "stream-open"
    assert [(p.user, p.info) for p in present("room")] == [("7", "x")]
    response.close()
    wait_for(lambda: present("room"), "the user to be gone", equals=[])


def test_publish_to_user():
    """All streams of the user get it."""
    response = subscribe(factory.get("/"), user_channel(7))
    assert read_events(response, 1)[0].event == "stream-open"
    publish_to_user(7, "hello")
    publish_to_user(8, "not me")
    assert [event.data for event in read_events(response)] == ["hello"]


def test_disconnect():
    """Streams of channels and of generators end alike."""

    @event_stream(user=lambda request: request.user.pk)
    def generator(request):
        yield from "abc"

    streams = [
        subscribe(factory.get("/"), "room", user=7),
        EventSourceResponse(factory.get("/"), iter("abc"), user=7),
        generator(request_of(User(pk=7))),
    ]
    for stream in streams:
        read_events(stream, 1)
    disconnect(user=7, reason="bye")
    for stream in streams:
        (last,) = read_events(stream)
        assert (last.event, last.data) == ("stream-disconnect", "bye")


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


def test_publish_every_as_it_was_said(monkeypatch):
    """All arguments are passed on."""
    monkeypatch.setattr(schedule, "_by_channel", {})
    given = {"event": "e", "key": "k", "keep": True}
    publish_every(2, "room", **given)(print)
    (periodic,) = schedule.of("room")
    assert (periodic.function, periodic.seconds, periodic.channel) == (print, 2, "room")
    assert {name: getattr(periodic, name) for name in given} == given


def test_not_kept():
    """Connected clients get it; reconnecting ones do not."""
    here = subscribe(factory.get("/"), "room")
    assert read_events(here, 1)[0].event == "stream-open"
    first = publish("room", "said")
    publish("room", "ann is typing", keep=False)
    back = subscribe(factory.get("/", headers={"Last-Event-ID": first}), "room")
    assert [event.data for event in read_events(here, 2)] == ["said", "ann is typing"]
    assert read_events(back) == read_events(here) == []


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


def test_vary_of_the_view():
    """The view's own Vary is kept."""
    request = factory.get("/", headers={"Origin": "https://a.example"})
    response = EventSourceResponse(request, iter("a"), headers={"Vary": "Cookie"})
    assert response["Vary"] == "Cookie, Origin"


@pytest.mark.parametrize("wrong", [["a\nb"], ["x" * 201], [], ["a"] * 101])
def test_names_are_checked_before_anybody_is_asked(wrong):
    """An invalid channel name is the client's mistake."""
    with pytest.raises(BadRequest):
        subscribe(factory.get("/"), *wrong, authorize=True)


async def asynchronous(request, channel):
    return True


@pytest.mark.filterwarnings("ignore:coroutine")
def test_only_true_allows(caplog):
    """A hook that returns anything but True refuses."""
    with override_settings(SSE_SYNC={"AUTHORIZE": asynchronous}), pytest.raises(PermissionDenied):
        subscribe(factory.get("/"), "a", authorize=True)
    assert "must return True or False" in caplog.text

    class Rooms(RequestedChannelView):
        async def authorize(self, channel):
            return True

    with pytest.raises(PermissionDenied):
        Rooms.as_view()(factory.get("/?channel=a"))


def test_stream_ends_with_its_token(client):
    """When a token expires, its streams end; the user is the token's."""
    response = client.get("/named/", {"token": sign_channels("room", user="ann", ttl=60)})
    assert read_events(response, 1)[0].event == "stream-open"
    (user_stream,) = hub().users._open
    assert user_stream.user == "ann"
    assert user_stream._stream._options.lifetime <= 60
    disconnect(user="ann")
    assert names(response) == ["stream-disconnect"]


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
