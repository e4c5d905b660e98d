"""The Flask front, through Flask's test client."""

import datetime
import logging
import time
from decimal import Decimal
from fractions import Fraction

import flask
import flask.views
import itsdangerous
import pytest
from flask_compress import Compress
from flask_sqlalchemy import SQLAlchemy

from sse_sync import END_ID, CloseReason, ConfigurationError, ServerSentEvent, SourceError
from sse_sync.flask import SSE, EventSourceResponse, event_stream, last_event_id
from sse_sync.testing import read_events

END = ServerSentEvent("", event="stream-end", id=END_ID)


@pytest.fixture
def app():
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY="test", TESTING=True)
    SSE(app)
    return app


@pytest.fixture
def client(app):
    return app.test_client()


def test_decorator(app, client):
    """A view that is a generator becomes an event stream, with and without arguments."""

    @app.get("/bare/<int:number>")
    @event_stream
    def bare(number):
        yield {"number": number}

    @app.get("/options")
    @event_stream(retry=5, reconnect=True)
    def options():
        yield "a"

    response = client.get("/bare/7")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert response.headers["X-Accel-Buffering"] == "no"
    for name in ("Content-Encoding", "Connection", "Content-Length"):
        assert name not in response.headers
    assert read_events(response) == [ServerSentEvent('{"number": 7}'), END]
    response = client.get("/options")
    assert response.get_data() == b":\nretry: 5\ndata: a\n\n"
    assert bare.__name__ == "bare"


def test_method_view_and_blueprint(app, client):
    """Methods, decorators of a class, and blueprints work alike."""
    blueprint = flask.Blueprint("events", __name__, url_prefix="/events")

    class ByMethod(flask.views.MethodView):
        @event_stream
        def get(self, name):
            yield name

    class ByList(flask.views.View):
        decorators = [event_stream(retry=1)]

        def dispatch_request(self):
            return iter(["listed"])

    blueprint.add_url_rule("/method/<name>", view_func=ByMethod.as_view("method"))
    blueprint.add_url_rule("/list", view_func=ByList.as_view("list"))
    app.register_blueprint(blueprint)
    assert read_events(client.get("/events/method/x"))[0] == ServerSentEvent("x")
    assert read_events(client.get("/events/list"))[0] == ServerSentEvent("listed")


def test_other_answers_pass(app, client):
    """A view may return another response."""

    @app.get("/maybe")
    @event_stream
    def maybe():
        if "away" in flask.request.args:
            return flask.redirect("/elsewhere")
        if "error" in flask.request.args:
            flask.abort(403)
        if "json" in flask.request.args:
            return {"a": 1}
        return iter(["here"])

    assert client.get("/maybe?away").status_code == 302
    assert client.get("/maybe?error").status_code == 403
    assert client.get("/maybe?json").json == {"a": 1}
    assert read_events(client.get("/maybe"))[0] == ServerSentEvent("here")


def test_contexts_in_the_generator(app, client):
    """request, session, g and current_app are those of the view."""
    app.before_request(lambda: setattr(flask.g, "user", "ann"))

    @app.get("/context")
    @event_stream
    def context():
        yield flask.request.args["q"]
        yield flask.session.get("seen", "no")
        yield flask.g.user
        yield flask.current_app.name
        yield flask.url_for("context")

    with client.session_transaction() as session:
        session["seen"] = "yes"
    events = read_events(client.get("/context?q=1"))
    assert [event.data for event in events[:-1]] == ["1", "yes", "ann", app.name, "/context"]


def test_teardown_once_at_the_end(app, client):
    """Teardown functions run when the stream is over, and once."""
    seen = []
    app.teardown_request(lambda error: seen.append(("request", error)))
    app.teardown_appcontext(lambda error: seen.append(("app", error)))

    @app.get("/stream")
    def stream():
        def source():
            try:
                yield "a"
                yield "b"
            finally:
                seen.append("finally")

        response = EventSourceResponse(source(), on_close=seen.append)
        response.call_on_close(lambda: seen.append("call_on_close"))
        return response

    response = client.get("/stream")
    assert read_events(response, 1) == [ServerSentEvent("a")]
    assert seen == []
    response.close()
    expected = [
        "finally",
        CloseReason.CLIENT_GONE,
        "call_on_close",
        ("request", None),
        ("app", None),
    ]
    assert seen == expected
    response.close()
    assert seen == expected


def test_teardown_gets_the_error(app, client, caplog):
    """Teardown functions get the generator's exception, as for any request."""
    seen = []
    app.teardown_request(seen.append)

    @app.get("/stream")
    @event_stream
    def stream():
        yield "a"
        raise ZeroDivisionError("secret")

    *_, last = read_events(client.get("/stream"))
    assert last == ServerSentEvent("internal error", event="stream-error")
    assert [type(error) for error in seen] == [ZeroDivisionError]


def test_two_streams_at_once(app, client):
    """Streams that are read alternately keep their own request, and end in any order."""
    seen = []
    app.teardown_request(lambda error: seen.append(flask.request.args["n"]))

    @app.get("/stream")
    @event_stream
    def stream():
        flask.g.n = flask.request.args["n"]
        while True:
            yield f"{flask.g.n} {flask.request.args['n']}"

    first, second = client.get("/stream?n=1"), client.get("/stream?n=2")
    assert not flask.has_request_context()
    for _ in range(2):
        assert read_events(first, 1) == [ServerSentEvent("1 1")]
        assert read_events(second, 1) == [ServerSentEvent("2 2")]
    first.close()
    assert read_events(second, 1) == [ServerSentEvent("2 2")]
    second.close()
    assert seen == ["1", "2"]
    assert not flask.has_app_context()


def test_preserved_context(app):
    """The request stays usable in "with client:", as for other responses."""
    seen = []
    app.teardown_request(lambda error: seen.append("teardown"))

    @app.get("/stream")
    @event_stream
    def stream():
        yield "a"

    with app.test_client() as client:
        response = client.get("/stream?q=1")
        assert flask.request.args["q"] == "1"
        assert read_events(response)[0] == ServerSentEvent("a")
    assert seen == ["teardown"]


def test_test_transaction(app, client):
    """An application context that a test pushed is used, and not torn down."""
    seen = []
    app.teardown_appcontext(lambda error: seen.append("teardown"))

    @app.get("/stream")
    @event_stream
    def stream():
        yield flask.g.mine

    with app.app_context():
        flask.g.mine = "the test's"
        assert read_events(client.get("/stream"))[0] == ServerSentEvent("the test's")
        assert seen == []
    assert seen == ["teardown"]


def test_several_applications():
    """One extension serves several applications with settings of their own."""
    sse = SSE()
    apps = []
    for retry in (1, 2):
        app = flask.Flask(f"app{retry}")
        app.config["SSE_RETRY"] = retry
        sse.init_app(app)
        app.add_url_rule("/", view_func=event_stream(lambda: iter([])))
        apps.append(app)
    assert set(vars(sse)) == {"_authorize", "_schedule"}
    for retry, app in enumerate(apps, 1):
        wire = app.test_client().get("/").get_data()
        assert wire.startswith(b":\nretry: %d\n" % retry)


def test_initialised_twice(app):
    """A second extension on an application is refused."""
    with pytest.raises(RuntimeError, match="use that one"):
        SSE(app)


def test_not_initialised():
    """Without the extension a stream says what is missing."""
    app = flask.Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.add_url_rule("/", view_func=event_stream(lambda: iter([])))
    with pytest.raises(RuntimeError, match=r"call SSE\(app\)"):
        app.test_client().get("/")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("SSE_HEARTBEAT", 0, "SSE_HEARTBEAT must be a positive number of seconds, or None"),
        ("SSE_RETRY", "soon", "SSE_RETRY must be a whole number of milliseconds"),
        ("SSE_MAX_STREAMS", 0, "SSE_MAX_STREAMS must be a positive whole number, or None"),
        ("SSE_RECONNECT", 1, "SSE_RECONNECT must be True or False, not 1"),
    ],
)
def test_bad_configuration(key, value, message):
    """An unusable value is refused when the application starts."""
    app = flask.Flask(__name__)
    app.config[key] = value
    with pytest.raises(ConfigurationError, match=message):
        SSE(app)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"heartbeats": 3}, ConfigurationError, "did you mean heartbeat"),
        ({"retry": -1}, ConfigurationError, "retry must be"),
        ({"max_streams": 3}, ConfigurationError, "max_streams is not an option"),
    ],
)
def test_bad_options(app, options, error, message):
    """An unusable argument is refused when the view answers."""
    with app.test_request_context(), pytest.raises(error, match=message):
        EventSourceResponse(iter([]), **options)


def test_bad_views(app):
    """What cannot be streamed is refused with advice."""

    async def view():
        """Asynchronous by mistake."""

    with pytest.raises(SourceError, match="WSGI has no event loop"):
        event_stream(view)
    with app.test_request_context(), pytest.raises(SourceError, match="yield it from"):
        EventSourceResponse({"a": 1})


def test_debug_shows_the_message(app, client):
    """In debug mode the client sees the exception, unless SSE_DEBUG says otherwise."""

    @app.get("/stream")
    @event_stream
    def stream():
        raise ZeroDivisionError("secret")
        yield

    app.debug = True
    assert read_events(client.get("/stream"))[0].data == "ZeroDivisionError: secret"


def test_explicit_debug():
    """SSE_DEBUG goes before the application's debug mode."""
    app = flask.Flask(__name__)
    app.debug = True
    app.config["SSE_DEBUG"] = False
    SSE(app)

    @app.get("/stream")
    @event_stream
    def stream():
        raise ZeroDivisionError("secret")
        yield

    assert read_events(app.test_client().get("/stream"))[0].data == "internal error"


def test_json_is_the_applications(app, client):
    """JSON is written by app.json."""
    app.json.ensure_ascii = False

    @app.get("/stream")
    @event_stream
    def stream():
        yield {"at": datetime.date(2026, 1, 2), "é": 1}
        yield ServerSentEvent({"b": 1}, event="e")

    events = read_events(client.get("/stream"))
    assert events[0].data == '{"at": "Fri, 02 Jan 2026 00:00:00 GMT", "é": 1}'
    assert events[1].data == '{"b": 1}'


def test_last_event_id(app, client):
    """The last event ID comes from the header or the query."""

    @app.get("/stream")
    @event_stream
    def stream():
        yield {"last": last_event_id()}

    for arguments, expected in [
        ({}, "null"),
        ({"headers": {"Last-Event-ID": "7"}}, '"7"'),
        ({"query_string": {"lastEventId": "ä"}}, '"\\u00e4"'),
        ({"query_string": {"lastEventId": ""}}, "null"),
        ({"query_string": {"lastEventId": "x" * 5000}}, "null"),
        ({"query_string": "lastEventId=%FF"}, "null"),
        ({"query_string": {"lastEventId": "a\nb"}}, "null"),
    ]:
        events = read_events(client.get("/stream", **arguments))
        assert events[0].data == f'{{"last": {expected}}}'


@pytest.mark.parametrize(
    ("sent", "type", "expected"),
    [
        ("7", int, 7),
        ("x", int, -1),
        ("", int, -1),
        ("٣", int, 3),
        ("1e400", float, float("inf")),
        ("1/0", Fraction, -1),
        ("one", Decimal, -1),
        ("2026-11-21", datetime.date.fromisoformat, datetime.date(2026, 11, 21)),
    ],
)
def test_last_event_id_as(app, sent, type, expected):
    """Whatever a client sends, the result has that type, or is the default."""
    with app.test_request_context(query_string={"lastEventId": sent}):
        assert last_event_id(-1, type=type) == expected
        assert last_event_id("none") == (sent or "none")


def test_last_event_id_of_a_broken_function(app):
    """An error in the application's function is not hidden."""
    with app.test_request_context(query_string={"lastEventId": "7"}), pytest.raises(KeyError):
        last_event_id(type={}.__getitem__)


def test_finished_stays_finished(app, client):
    """The reconnection after the end is answered 204, and the view's source never runs."""
    seen = []

    @app.get("/stream")
    @event_stream
    def stream():
        seen.append("ran")
        yield "a"

    assert read_events(client.get("/stream"))[-1] == END
    response = client.get("/stream", headers={"Last-Event-ID": END_ID})
    assert (response.status_code, response.get_data()) == (204, b"")
    assert "Content-Type" not in response.headers
    assert seen == ["ran"]
    assert client.get("/stream", query_string={"lastEventId": END_ID}).status_code == 204


def test_finished_job_is_not_started_again(app, client):
    """A view that starts something and returns its source does not run for a finished client."""
    seen = []

    @app.get("/stream")
    @event_stream
    def stream():
        seen.append("started")
        return iter(["a"])

    assert client.get("/stream", headers={"Last-Event-ID": END_ID}).status_code == 204
    assert seen == []


def test_tuples_are_refused(app, client):
    """A generator in a tuple would be sent as text."""

    @app.get("/stream")
    @event_stream
    def stream():
        return iter(["a"]), 200, {"X-Mine": "1"}

    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(SourceError, match="return the generator alone"):
        client.get("/stream")


def test_misspelt_configuration(caplog):
    """A key that resembles an option is logged."""
    app = flask.Flask(__name__)
    app.config["SSE_HEARTBEET"] = 5
    SSE(app)
    assert "did you mean SSE_HEARTBEAT?" in caplog.text


def test_options_are_checked_at_decoration():
    """A mistake is reported when the module is imported, not at the first request."""
    with pytest.raises(ConfigurationError, match="did you mean heartbeat"):
        event_stream(heartbeet=5)(lambda: iter([]))
    event_stream(heartbeat=5, headers={"X-Mine": "1"}, on_close=print)(lambda: iter([]))


def test_polled_again(app, client):
    """A client that was told to stop stays stopped; with reconnect=True it gets the next run."""

    @app.get("/stream")
    @event_stream(reconnect=True)
    def stream():
        yield "a"

    assert client.get("/stream", headers={"Last-Event-ID": END_ID}).status_code == 204
    response = client.get("/stream", headers={"Last-Event-ID": "7"})
    assert read_events(response) == [ServerSentEvent("a")]


def test_head(app, client):
    """HEAD has the headers, tears down once, and starts nothing."""
    seen = []
    app.teardown_request(lambda error: seen.append("teardown"))

    @app.get("/stream")
    def stream():
        def source():
            seen.append("ran")
            yield "a"

        response = EventSourceResponse(source(), headers={"X-Mine": "1"}, on_close=seen.append)
        response.call_on_close(lambda: seen.append("call_on_close"))
        return response

    response = client.head("/stream")
    assert (response.status_code, response.get_data()) == (200, b"")
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["X-Mine"] == "1"
    response.close()
    assert seen == ["teardown", "call_on_close"]


def test_replaced_response(app, client):
    """A stream that an after_request function replaces never starts, and leaves nothing."""
    seen = []
    app.after_request(lambda response: flask.make_response("replaced"))
    app.teardown_request(lambda error: seen.append("teardown"))

    @app.get("/stream")
    @event_stream
    def stream():
        seen.append("ran")
        yield "a"

    assert client.get("/stream").get_data() == b"replaced"
    assert seen == ["teardown"]


def test_flask_compress(app, client):
    """Flask-Compress leaves a stream alone, even where it is told to compress it."""
    app.config["COMPRESS_MIMETYPES"] = ["text/event-stream"]
    app.config["COMPRESS_MIN_SIZE"] = 1
    Compress(app)

    @app.get("/stream")
    @event_stream
    def stream():
        yield "a" * 5000

    response = client.get("/stream", headers={"Accept-Encoding": "gzip, br, zstd, deflate"})
    assert "Content-Encoding" not in response.headers
    assert read_events(response)[0].data == "a" * 5000


def test_session_is_kept_in_tests(tmp_path):
    """In a test client the Flask-SQLAlchemy session of the test is used as it is."""
    app = flask.Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/test.db"
    SSE(app)
    db = SQLAlchemy(app)

    class Row(db.Model):
        id = db.Column(db.Integer, primary_key=True)

    @app.get("/stream")
    @event_stream
    def stream():
        yield {"rows": Row.query.count()}

    with app.app_context():
        db.create_all()
        db.session.add(Row())
        db.session.flush()  # Not committed: only this session sees it.
        assert read_events(app.test_client().get("/stream"))[0].data == '{"rows": 1}'
        db.session.rollback()
        db.engine.dispose()


def test_stream_can_be_ended(app, client):
    """The response gives access to its stream."""
    held = []

    @app.get("/stream")
    def stream():
        response = EventSourceResponse(iter(range(100)))
        held.append(response)
        return response

    response = client.get("/stream")
    assert read_events(response, 2) == [ServerSentEvent("0"), ServerSentEvent("1")]
    held[0].event_stream.end()
    assert read_events(response) == [END]


def test_log(app, client, caplog):
    """A stream's end is logged with its path, reason and size."""
    caplog.set_level(logging.INFO, "sse_sync")

    @app.get("/stream")
    @event_stream
    def stream():
        yield "a"

    read_events(client.get("/stream"))
    (record,) = [r for r in caplog.records if r.name == "sse_sync"]
    assert record.getMessage().startswith("event stream /stream ended: finished, after 0.0 s, 1 ")


def test_channels(app, client):
    """Publish and subscribe, through the extension."""
    sse = SSE()
    app.add_url_rule(
        "/orders", "orders", lambda: sse.subscribe("orders", "news", heartbeat=5, filter=mine)
    )

    def mine(event, key, meta):
        return meta.get("user", 7) == 7

    response = client.get("/orders")
    with app.app_context():
        first = sse.publish("orders", {"id": 1}, event="created")
        sse.publish("news", "for 8", meta={"user": 8})
        second = sse.publish("news", "for 7", meta={"user": 7})
    opening, *rest = read_events(response)
    assert opening.event == "stream-open"
    assert rest == [
        ServerSentEvent('{"id": 1}', event="created", id=first),
        ServerSentEvent("for 7", id=second),
    ]
    response = client.get("/orders", headers={"Last-Event-ID": first})
    assert read_events(response) == [ServerSentEvent("for 7", id=second)]


def test_channels_of_two_applications(app):
    """Applications in one process do not receive each other's events."""
    sse, other = SSE(), flask.Flask("other")
    sse.init_app(other)
    app.add_url_rule("/a", "a", lambda: sse.subscribe("a"))
    response = app.test_client().get("/a")
    with other.app_context():
        sse.publish("a", "x")
    assert [event.event for event in read_events(response)] == ["stream-open"]


def test_bad_channels(app):
    """Names and policies are checked where they are written."""
    sse = SSE()
    with app.test_request_context():
        with pytest.raises(ConfigurationError, match="printable"):
            sse.publish("a\nb", "x")
        with pytest.raises(ConfigurationError, match="printable"):
            sse.subscribe("a\nb")
        with pytest.raises(ValueError, match="sometimes"):
            sse.subscribe("a", overflow="sometimes")


def test_channel_that_the_client_names(app, client, caplog):
    """Only what the hook allows may be read; without a hook, nothing."""
    sse = SSE()
    app = flask.Flask("named")
    sse.init_app(app)
    app.register_blueprint(sse.blueprint(), url_prefix="/live")

    @app.get("/rooms/<room>/events")
    def room(room):
        return sse.subscribe(f"room-{room}", authorize=True)

    client = app.test_client()
    assert client.get("/live/events?channel=room-1").status_code == 403
    assert "no authorize function is set to allow it" in caplog.text

    @sse.authorize
    def may_read(channel):
        return channel == f"room-{flask.request.headers.get('X-Room')}"

    mine = {"X-Room": "1"}
    for url in ("/live/events?channel=room-1", "/rooms/1/events"):
        with client.get(url, headers=mine) as response:
            assert response.status_code == 200
            with app.app_context():
                sse.publish("room-1", "hello")
            assert [event.data for event in read_events(response)] == ["", "hello"]
    for url in (
        "/live/events?channel=room-2",
        "/live/events?channel=room-1&channel=room-2",
        "/live/events?channel=ROOM-1",
        "/live/events?channel=room-1%20",
        "/rooms/2/events",
        "/rooms/1%00/events",
    ):
        assert client.get(url, headers=mine).status_code in (400, 403), url
    assert client.get("/live/events", headers=mine).status_code == 400
    assert client.get("/live/events?channel=a%0Ab", headers=mine).status_code == 400


def test_authorize_by_configuration():
    """The hook may be configured per application."""
    sse = SSE()
    app = flask.Flask("configured")
    app.config["SSE_AUTHORIZE"] = lambda channel: channel == "a"
    sse.init_app(app)
    app.register_blueprint(sse.blueprint(url="/named"))
    app.register_blueprint(sse.blueprint("x", url="/fixed", name="fixed", retry=7))
    client = app.test_client()
    assert client.get("/named?channel=a").status_code == 200
    assert client.get("/named?channel=b").status_code == 403
    with client.get("/fixed?channel=b") as response:
        assert read_events(response, 1)[0].event == "stream-open"
    sse.authorize(lambda channel: True)
    assert client.get("/named?channel=b").status_code == 403
    with app.app_context():
        assert sse.hub.statistics().published == 0


@pytest.fixture
def signing():
    """An application whose endpoint takes tokens, and refuses everything else."""
    sse = SSE()
    app = flask.Flask("signing")
    app.config["SECRET_KEY"] = "new"
    sse.init_app(app)
    app.register_blueprint(sse.blueprint())
    return sse, app


def test_signed_token(signing):
    """A token grants what was signed, to whom it was signed."""
    sse, app = signing
    with app.app_context():
        token = sse.sign_channels("a", "ä b", user="7")
        assert sse.check_token(token).channels == ("a", "ä b")
        assert sse.check_token(token).user == "7"
    response = app.test_client().get("/events", query_string={"token": token})
    with response, app.app_context():
        assert [event.event for event in read_events(response, 1)] == ["stream-open"]
        sse.publish("c", "not mine")
        sse.publish("ä b", "mine")
        assert [event.data for event in read_events(response)] == ["mine"]


def test_signed_token_is_refused(signing, monkeypatch):
    """Tokens that were changed, have expired, or were signed for another purpose are refused."""
    sse, app = signing
    client = app.test_client()
    with app.app_context():
        token = sse.sign_channels("a", ttl=60)
        other = itsdangerous.URLSafeSerializer("new").dumps([["a"], None, 9e9])
    payload, signature = token.rsplit(".", 1)
    head = "A" if token[0] != "A" else "B"
    for wrong in ("", "x", head + token[1:], f"{payload}.", f".{signature}", other, token * 2):
        assert client.get("/events", query_string={"token": wrong}).status_code == 403, wrong
    # What is named beside a token does not count.
    with client.get(f"/events?token={token}&channel=b") as response:
        assert response.status_code == 200
        with app.app_context():
            sse.publish("b", "secret")
        assert [event.data for event in read_events(response)] == [""]
    later = time.time() + 66
    monkeypatch.setattr("sse_sync.channels.access.time.time", lambda: later)
    for headers in ({}, {"Last-Event-ID": "x-1"}):
        assert client.get(f"/events?token={token}", headers=headers).status_code == 403


def test_signing_key_is_rotated(signing):
    """Tokens of a former key are accepted while it is a fallback."""
    sse, app = signing
    with app.app_context():
        app.config["SECRET_KEY"] = "old"
        token = sse.sign_channels("a")
        app.config.update(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"])
        assert sse.check_token(token) is not None
        again = sse.sign_channels("a")
        app.config["SECRET_KEY_FALLBACKS"] = []
        assert sse.check_token(token) is None
        assert sse.check_token(again) is not None
        app.config["SECRET_KEY"] = None
        with pytest.raises(RuntimeError, match="set SECRET_KEY"):
            sse.sign_channels("a")


@pytest.mark.parametrize("arguments", [{"ttl": 0}, {"ttl": 1e6}, {"channels": ()}])
def test_what_cannot_be_signed(signing, arguments):
    sse, app = signing
    channels = arguments.pop("channels", ("a",))
    with app.app_context(), pytest.raises(ConfigurationError):
        sse.sign_channels(*channels, **arguments)


def test_other_origins():
    """A page of a configured origin may read streams; others may not."""
    sse = SSE()
    app = flask.Flask("cors")
    app.config.update(SSE_CORS_ORIGINS=["https://a.example"], SSE_CORS_CREDENTIALS=True)
    sse.init_app(app)
    app.register_blueprint(sse.blueprint("x"))
    app.add_url_rule("/own", view_func=event_stream(cors_origins=["https://b.example"])(own_items))
    client = app.test_client()
    origin = "Access-Control-Allow-Origin"
    for url, allowed, refused in (("/events", "a", "b"), ("/own", "b", "a")):
        with client.get(url, headers={"Origin": f"https://{allowed}.example"}) as response:
            assert response.headers[origin] == f"https://{allowed}.example"
            assert "Origin" in response.headers["Vary"]
        with client.get(url, headers={"Origin": f"https://{refused}.example"}) as response:
            assert origin not in response.headers
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    response = client.options("/events", headers=asked)
    assert response.status_code == 204
    assert response.headers[origin] == "https://a.example"
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    response = client.options("/events", headers={**asked, "Origin": "https://b.example"})
    assert origin not in response.headers
    # Also where a finished client is told to stop, or it would not be told.
    ended = {"Last-Event-ID": END_ID, "Origin": "https://b.example"}
    response = client.get("/own", headers=ended)
    assert (response.status_code, response.headers[origin]) == (204, "https://b.example")


def own_items():
    yield "x"


def test_replay_of_a_channel_that_is_refused():
    """A last event ID does not bypass the authorization."""
    sse = SSE()
    app = flask.Flask("replay")
    sse.init_app(app)
    app.register_blueprint(sse.blueprint())
    sse.authorize(lambda channel: channel == "mine")
    client = app.test_client()
    with client.get("/events?channel=mine") as response:
        (begun,) = read_events(response, 1)
        with app.app_context():
            sse.publish("theirs", "secret")
            sse.publish("mine", "hello")
    for query in ("channel=theirs", "channel=mine&channel=theirs"):
        for given in (
            {"headers": {"Last-Event-ID": begun.id}},
            {"query": f"&lastEventId={begun.id}"},
        ):
            url = f"/events?{query}{given.get('query', '')}"
            answer = client.get(url, headers=given.get("headers"))
            assert answer.status_code == 403
            assert b"secret" not in answer.data
    with client.get("/events?channel=mine", headers={"Last-Event-ID": begun.id}) as response:
        assert [event.data for event in read_events(response)] == ["hello"]
