"""Users' streams, through Flask's test client."""

from datetime import date, timedelta

import flask
import pytest

from sse_sync import END_ID, ConfigurationError, user_channel
from sse_sync.flask import SSE, EventSourceResponse, event_stream
from sse_sync.testing import read_events
from tests.waiting import wait_for


@pytest.fixture
def sse():
    return SSE()


@pytest.fixture
def app(sse):
    app = flask.Flask(__name__)
    app.config["SECRET_KEY"] = "test"
    app.config["SSE_CORS_ORIGINS"] = ["https://a.example"]
    sse.init_app(app)

    @app.get("/room/<user>")
    def room(user):
        arguments = {"announce": True} if flask.request.args.get("announce") else {}
        return sse.subscribe(
            "room", user_channel(user), presence=user, info={"n": 1}, grace=0, **arguments
        )

    return app


@pytest.fixture
def client(app):
    return app.test_client()


def test_presence(app, client, sse):
    """A user is present until the stream is closed."""
    response = client.get("/room/ann")
    again = client.get("/room/ann?announce=1")
    assert [event.event for event in read_events(response, 1)] == ["stream-open"]
    assert [event.event for event in read_events(again, 1)] == ["stream-open"]
    with app.app_context():
        assert [(p.user, p.info) for p in sse.present("room")] == [("ann", {"n": 1})]
        assert [p.user for p in sse.present(user_channel("ann"))] == ["ann"]
        response.close()
        assert [p.user for p in sse.present("room")] == ["ann"]
        again.close()
        wait_for(lambda: sse.present("room"), "ann to be gone", equals=[])


def test_publish_to_user(app, client, sse):
    """All streams of the user get it."""
    ann, bob = client.get("/room/ann"), client.get("/room/bob")
    with app.app_context():
        sse.publish_to_user("ann", {"for": "ann"}, event="note")
    assert [(e.event, e.data) for e in read_events(ann)][1:] == [("note", '{"for": "ann"}')]
    assert [e.event for e in read_events(bob)] == ["stream-open"]


@pytest.mark.parametrize("for_good", [False, True])
def test_disconnect(app, client, sse, for_good):
    """The page gets the reason; for good, a reconnecting browser gets 204."""
    ann, bob = client.get("/room/ann"), client.get("/room/bob")
    with app.app_context():
        sse.disconnect(user="ann", reason="bye", for_good=for_good)
    *_, last = read_events(ann)
    assert last.event == ("stream-end" if for_good else "stream-disconnect")
    assert last.data == "bye"
    assert [event.event for event in read_events(bob)] == ["stream-open"]
    back = client.get("/room/ann", headers={"Last-Event-ID": last.id})
    assert back.status_code == (204 if for_good else 200)
    assert (last.id == END_ID) == for_good


def test_generator_of_a_user(app, client, sse):
    """A generator's stream has a user, too, which the decorator finds in the request."""

    @app.get("/decorated")
    @event_stream(user=lambda: flask.request.args["user"])
    def decorated():
        yield from "abc"

    @app.get("/response")
    def response():
        return EventSourceResponse(iter("abc"), user=flask.request.args["user"])

    for url in ("/decorated", "/response"):
        stream = client.get(f"{url}?user=7")
        assert len(read_events(stream, 1)) == 1
        with app.app_context():
            sse.disconnect(user=7)
        assert [event.event for event in read_events(stream)] == ["stream-disconnect"]


def test_reauthorize(app, client, sse):
    """The client has to come back, and is asked in its request."""
    ann, bob = client.get("/room/ann"), client.get("/room/bob")
    with app.app_context():
        sse.reauthorize(user="ann")
    assert [event.event for event in read_events(ann)][1:] == ["stream-disconnect"]
    assert [event.event for event in read_events(bob)] == ["stream-open"]


def sse_user_streams(app):
    return list(app.extensions["sse_sync"].channels.hub().users._open)


def test_publish_every(app, client, sse):
    """The function runs in an application context, without a request; app.json writes its data."""
    asked = []

    @sse.publish_every(0.05, "room", event="now")
    def tell():
        asked.append((flask.current_app.name, flask.has_request_context()))
        return {"day": date(2026, 11, 21)}

    response = client.get("/room/ann")
    assert read_events(response, 1)[0].event == "stream-open"
    wait_for(lambda: len(asked) >= 2, "the second call")
    wait_for(lambda: published(app), "the first event")
    event = read_events(response, 1)[0]
    response.close()
    assert (event.event, event.data) == ("now", '{"day": "Sat, 21 Nov 2026 00:00:00 GMT"}')
    assert set(asked) == {(app.name, False)}
    assert tell.__name__ == "tell"


def test_publish_every_as_it_was_said(sse):
    """All arguments are passed on."""
    given = {"event": "e", "key": "k", "keep": True}
    sse.publish_every(2, "room", **given)(print)
    (periodic,) = sse._schedule.of("room")
    assert (periodic.function, periodic.seconds, periodic.channel) == (print, 2, "room")
    assert {name: getattr(periodic, name) for name in given} == given


def test_not_kept(app, client, sse):
    """Connected clients get it; reconnecting ones do not."""
    here = client.get("/room/ann")
    assert read_events(here, 1)[0].event == "stream-open"
    with app.app_context():
        first = sse.publish("room", "said")
        sse.publish("room", "ann is typing", keep=False)
        sse.publish("room", "said, too")
    back = client.get("/room/bob", headers={"Last-Event-ID": first})
    with here, back:
        assert [e.data for e in read_events(here, 3)] == ["said", "ann is typing", "said, too"]
        assert [event.data for event in read_events(back, 1)] == ["said, too"]


def published(app):
    return app.extensions["sse_sync"].channels.hub().statistics().published


def test_limits(client, app):
    """A stream beyond a user's or an address's limit is told to reconnect later."""
    app.extensions["sse_sync"].options.__dict__["max_streams_per_user"] = 1
    first = client.get("/room/ann")
    refused = client.get("/room/ann")
    assert refused.status_code == 200
    assert b"too many streams of this user or address" in refused.get_data()
    assert [e.event for e in read_events(client.get("/room/bob"), 1)] == ["stream-open"]
    first.close()
    assert [e.event for e in read_events(client.get("/room/ann"), 1)] == ["stream-open"]


def test_limit_of_an_address():
    """Behind a trusted proxy the client's own address counts."""
    app = flask.Flask("limited")
    app.config.update(SSE_MAX_STREAMS_PER_ADDRESS=1, SSE_TRUSTED_PROXIES=["127.0.0.1"])
    SSE(app)
    app.add_url_rule("/", view_func=event_stream(lambda: iter("abc")))
    client = app.test_client()

    def get(address):
        response = client.get("/", headers={"X-Forwarded-For": address}, buffered=False)
        return response, read_events(response, 1)

    one, events = get("198.51.100.1")
    assert len(events) == 1
    assert get("198.51.100.1")[1] == []
    assert len(get("198.51.100.2")[1]) == 1
    one.close()
    assert len(get("198.51.100.1")[1]) == 1


@pytest.mark.parametrize("names", [["a\nb"], ["x" * 201], ["c"] * 101])
def test_names_are_checked_before_anybody_is_asked(app, client, sse, names):
    """An invalid channel name is the client's mistake, and never reaches the hook."""
    asked = []
    sse.authorize(lambda channel: asked.append(channel) or True)
    app.add_url_rule("/named", view_func=lambda: sse.subscribe(*names, authorize=True))
    assert client.get("/named").status_code == 400
    assert asked == []


async def asynchronous(channel):
    return True


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("hook", [asynchronous, lambda c: ("no", 403), lambda c: 1])
def test_only_true_allows(app, client, sse, hook, caplog):
    """A hook that returns anything but True refuses, and the log says why."""
    sse.authorize(hook)
    app.register_blueprint(sse.blueprint())
    assert client.get("/events?channel=a").status_code == 403
    assert "must return True or False" in caplog.text


def test_preflight(app, client):
    """A decorated view answers preflight requests."""
    calls = []

    @app.get("/stream")
    @event_stream(cors_credentials=True)
    def stream():
        calls.append(1)
        yield "a"

    asking = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    response = client.options("/stream", headers=asking)
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    asking["Origin"] = "https://b.example"
    response = client.options("/stream", headers=asking)
    assert "Access-Control-Allow-Origin" not in response.headers
    assert calls == []
    assert client.post("/stream").status_code == 405


def test_vary_of_the_view(app, client):
    """The view's own Vary is kept."""
    app.add_url_rule(
        "/stream", view_func=lambda: EventSourceResponse(iter("a"), headers={"Vary": "Cookie"})
    )
    response = client.get("/stream", headers={"Origin": "https://a.example"})
    assert sorted(response.vary) == ["Cookie", "Origin"]


@pytest.mark.parametrize("lifetime", [3600, timedelta(hours=1)])
def test_stream_ends_with_its_token(app, client, sse, lifetime):
    """When a token expires, its streams end; the user is the token's."""
    app.register_blueprint(sse.blueprint(lifetime=lifetime))
    with app.app_context():
        token = sse.sign_channels("room", user="ann", ttl=60)
        response = client.get(f"/events?token={token}")
        assert read_events(response, 1)[0].event == "stream-open"
        (user_stream,) = sse_user_streams(app)
        assert user_stream._stream._options.lifetime <= 60
        sse.disconnect(user="ann")
    assert [event.event for event in read_events(response)] == ["stream-disconnect"]


def test_token_of_a_user(app, sse):
    """The user of a token is normalised as everywhere."""
    with app.app_context():
        assert sse.check_token(sse.sign_channels("room", user=7)).user == "7"
        with pytest.raises(ConfigurationError, match="user"):
            sse.sign_channels("room", user="")


def test_blueprint_of_users(app, client, sse):
    """A ready-made endpoint finds the user in the request."""
    app.register_blueprint(
        sse.blueprint("room", url="/mine", presence=lambda: flask.request.args["me"])
    )
    response = client.get("/mine?me=zoe")
    assert read_events(response, 1)[0].event == "stream-open"
    with app.app_context():
        assert [present.user for present in sse.present("room")] == ["zoe"]
    response.close()


def test_no_secret_key(sse):
    """Without a key no token is valid, and no view fails."""
    app = flask.Flask("keyless")
    sse.init_app(app)
    app.register_blueprint(sse.blueprint())
    assert app.test_client().get("/events?token=x").status_code == 403
