"""The Flask front, through Flask's test client."""

import contextlib
import datetime
import functools
import html
import threading
import time

import flask
import flask.views
import itsdangerous
import pytest
from flask_compress import Compress
from flask_sqlalchemy import SQLAlchemy
from werkzeug.exceptions import HTTPException

from sse_sync import CloseReason, ConfigurationError, ServerSentEvent, SourceError
from sse_sync.channels.access import Grant
from sse_sync.flask import (
    SSE,
    EventSourceResponse,
    event_stream,
    is_event_source,
    last_event_id,
)
from sse_sync.flask.state import Setup
from sse_sync.testing import read_events
from sse_sync.views import report_page
from tests.fronts.front_contract import END, Front, FrontContract
from tests.waiting import wait_for


class InContext:
    """An extension whose methods are called in the context of an application."""

    def __init__(self, sse, app):
        self.sse, self.app = sse, app

    def __getattr__(self, name):
        def call(*args, **kwargs):
            with self.app.app_context():
                return getattr(self.sse, name)(*args, **kwargs)

        return call


class FlaskFront(Front):
    """Flask, as the contract sees it."""

    event_stream = staticmethod(event_stream)
    day = '"Fri, 02 Jan 2026 00:00:00 GMT"'
    nothing_is_set = "no authorize function is set to allow it"
    separator = "."
    origin = "http://localhost"
    broker_setting = "SSE_BROKER_URL"

    def __init__(self):
        self.responses = []
        self.configure()

    def configure(self, **options):
        self.app = flask.Flask("contract")
        self.app.config.update(SECRET_KEY="test", PROPAGATE_EXCEPTIONS=True)
        self.app.config.update({f"SSE_{name.upper()}": value for name, value in options.items()})
        self.extension = SSE(self.app)
        self.sse = InContext(self.extension, self.app)

    def debug(self):
        self.app.debug = True

    def set_keys(self, key, *fallbacks):
        self.app.config.update(SECRET_KEY=key, SECRET_KEY_FALLBACKS=list(fallbacks))

    def asking(self, function):
        return lambda: function(flask.request)

    def attach(self, request, key, **arguments):
        return self.extension.attach(key, **arguments)

    def respond(self, request, job, **arguments):
        return job.response(**arguments)

    def without_request(self):
        assert flask.current_app.name == "contract"
        yield "a request" if flask.has_request_context() else "no request"

    def view(self, view):
        @functools.wraps(view)
        def with_request():
            return view(flask.request)

        url = self._url()
        self.app.add_url_rule(url, url[1:], with_request, methods=["GET", "POST"])
        return url

    def endpoint(self, *channels, **arguments):
        url = self._url()
        blueprint = self.extension.blueprint(*channels, url=url, name=url[1:], **arguments)
        self.app.register_blueprint(blueprint)
        return url

    def _url(self):
        return f"/view-{len(self.app.view_functions)}"

    def rendered(self, url, *channels, **arguments):
        name = url[1:] if url[1:] in self.app.view_functions else f"{url[1:]}.events"
        called = "sse_url(name, *channels, **arguments)"
        with self.app.test_request_context():
            text = flask.render_template_string(
                f'<a href="{{{{ {called} }}}}">', name=name, channels=channels, arguments=arguments
            )
        return html.unescape(text[9:-2])

    def request(self, query=""):
        context = self.app.test_request_context(query_string=query)

        @contextlib.contextmanager
        def request():
            with context:
                yield flask.request

        return request()

    def get(self, url, headers=None, method="GET"):
        client = self.app.test_client(use_cookies="Cookie" not in (headers or {}))
        response = client.open(url, headers=headers, method=method)
        self.responses.append(response)
        return response

    def headers(self, response):
        return dict(response.headers)

    def body(self, response):
        return response.get_data()

    def redirect(self):
        return flask.redirect("/elsewhere")

    def forbid(self):
        flask.abort(403)

    def query(self, request):
        return request.args

    def response(self, request, source, **arguments):
        return EventSourceResponse(source, **arguments)

    def subscribe(self, request, *channels, **arguments):
        return self.extension.subscribe(*channels, **arguments)

    def last_event_id(self, request, *default, **type):
        return last_event_id(*default, **type)

    def is_event_source(self, request):
        return is_event_source()

    def authorize(self, hook):
        self.extension.authorize(lambda channel: hook(flask.request, channel))

    def sign(self, claims):
        return itsdangerous.URLSafeSerializer("test").dumps(claims)

    def periodic(self, channel):
        return self.extension._schedule.of(channel)

    def hub(self):
        with self.app.app_context():
            return self.extension.hub


class TestContract(FrontContract):
    """What Flask and Django promise alike."""

    @pytest.fixture
    def front(self):
        front = FlaskFront()
        yield front
        for response in front.responses:
            response.close()


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

    assert read_events(client.get("/bare/7")) == [ServerSentEvent('{"number": 7}'), END]
    response = client.get("/options")
    assert response.get_data() == b":\nretry: 5\ndata: a\n\n"
    assert bare.__name__ == "bare"


BROWSER = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}


@pytest.mark.parametrize(
    ("headers", "is_told"),
    [(BROWSER, True), ({"Accept": "text/event-stream, text/html"}, False), ({}, False)],
)
def test_log_in_page(app, caplog, headers, is_told):
    """A browser's EventSource that a redirect has brought to a page is told of in the log."""
    report_page.cache_clear()
    app.add_url_rule("/mine", "mine", lambda: flask.redirect("/login?next=/mine"))
    app.add_url_rule("/login", "login", lambda: "<form>")
    app.add_url_rule("/data", "data", lambda: {"a": 1})
    client = app.test_client()
    assert client.get("/mine", headers=headers, follow_redirects=True).status_code == 200
    client.get("/data", headers=headers)
    client.get("/missing", headers=headers)
    assert ("an EventSource has got the page /login" in caplog.text) is is_told
    assert len(caplog.messages) == is_told


def test_blueprint_of_a_list():
    """A list instead of names is refused where the blueprint is made."""
    with pytest.raises(ConfigurationError, match=r"not list \['a', 'b'\]: pass several channels"):
        SSE().blueprint(["a", "b"])


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


def test_teardown_after_an_error_with_an_answer_of_its_own(app, client, caplog):
    """An exception whose response needs the request is logged, and the request torn down."""
    seen = []
    app.teardown_request(lambda error: seen.append(type(error).__name__))

    class Late(HTTPException):
        code = 418

        def get_response(self, *args):
            return flask.jsonify(path=flask.request.path)

    @app.get("/late")
    @event_stream
    def late():
        yield "a"
        raise Late

    read_events(client.get("/late"))
    assert seen == ["Late"]
    assert "late raised a 418, which cannot be the answer" in caplog.text


def misplaced(app, route):
    @event_stream
    @route("/late")
    def late():
        yield "a"

    with pytest.raises(RuntimeError, match=r"@event_stream is above its route.*below @app.get"):
        app.test_client().get("/late")


def test_decorator_above_the_route(app):
    """A view that was registered before it became a stream says so, also in a blueprint."""
    app.config["PROPAGATE_EXCEPTIONS"] = True
    blueprint = flask.Blueprint("parts", __name__)
    blueprint.add_url_rule("/other", view_func=lambda: "other", endpoint="other")

    @event_stream(retry=5)
    @blueprint.get("/<int:endpoint>/late")
    def of_blueprint(endpoint):
        yield "a"

    app.register_blueprint(blueprint)
    misplaced(app, app.get)
    with pytest.raises(RuntimeError, match=r"the view 'parts\.of_blueprint' would not stream"):
        app.test_client().get("/7/late")
    assert app.test_client().get("/other").text == "other"


def test_decorator_above_the_route_of_another_view(app, caplog):
    """A view that is no generator may be served on its own as well, and is only warned of."""

    @event_stream
    @app.get("/rows")
    def rows():
        return {"n": 1}

    assert app.test_client().get("/rows").json == {"n": 1}
    assert "the view 'rows' does not stream: @event_stream is above its route" in caplog.text


def test_decorators_between(app):
    """Other decorators change nothing: neither below a wrong route, nor around a right one."""
    app.config["PROPAGATE_EXCEPTIONS"] = True

    def guarded(view):
        return functools.wraps(view)(lambda *args: view(*args))

    @app.get("/right")
    @guarded
    @event_stream
    @guarded
    def right():
        yield "a"

    misplaced(app, lambda url: lambda view: guarded(app.get(url)(guarded(view))))
    assert read_events(app.test_client().get("/right"))[0] == ServerSentEvent("a")


def test_view_that_is_a_stream_elsewhere(app, client):
    """A function may be both a view and the source of a stream."""

    def both():
        return iter(["a"])

    app.add_url_rule("/plain", "plain", both)
    app.add_url_rule("/stream", "stream", event_stream(both))
    app.add_url_rule("/again", "again", event_stream(both))
    assert client.get("/plain").text == "a"
    for url in ("/stream", "/again"):
        assert read_events(client.get(url))[0] == ServerSentEvent("a")


def test_configured_later(caplog):
    """What is configured after init_app counts, until the first stream or publish."""
    sse, app = SSE(), flask.Flask("late")
    sse.init_app(app)
    app.config.update(SSE_RETRY=7, SSE_HEARTBEET=1)
    app.add_url_rule("/", view_func=event_stream(lambda: iter([])))
    client = app.test_client()
    assert client.get("/").text.startswith(":\nretry: 7\n")
    assert caplog.text.count("did you mean SSE_HEARTBEAT?") == 1
    assert "ignored" not in caplog.text
    app.config.update(SSE_RETRY=8, SSE_BROKER_URL="redis://localhost")
    for _ in range(2):
        assert client.get("/").text.startswith(":\nretry: 7\n")
    assert caplog.text.count("SSE_RETRY, SSE_BROKER_URL changed after the application's first") == 1


def test_first_use_in_two_threads():
    """Streams that open at the same time share one hub."""
    made, is_making, go_on = [], threading.Event(), threading.Event()

    def make_hub(options):
        made.append(options)
        is_making.set()
        assert go_on.wait(10)

    setup = Setup({}, make_hub)
    states = []
    threads = [threading.Thread(target=lambda: states.append(setup.state())) for _ in range(2)]
    threads[0].start()
    assert is_making.wait(10)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert states[0] is states[1]


def test_bad_configuration_later():
    """A value that is set later is checked, too."""
    sse, app = SSE(), flask.Flask("late")
    sse.init_app(app)
    app.config["SSE_RETRY"] = -1
    with app.app_context(), pytest.raises(ConfigurationError, match="SSE_RETRY must be"):
        sse.publish("a", "x")


def test_key_of_flask_sse():
    """The broker's URL under flask-sse's key is an error, unless both are in use."""
    app = flask.Flask("migrated")
    app.config["SSE_REDIS_URL"] = "redis://localhost"
    with pytest.raises(ConfigurationError, match="flask-sse's key: set SSE_BROKER_URL"):
        SSE(app)
    app.config["SSE_BROKER_URL"] = "memory://"
    SSE(app)


def test_without_an_application_context():
    """The error names both ways out."""
    with pytest.raises(RuntimeError, match=r"app\.app_context\(\).*sse_sync\.connect\(") as caught:
        SSE().publish("a", "x")
    assert caught.value.__suppress_context__


def test_memory_with_several_workers(app):
    """The error names Flask's key."""
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.register_blueprint(SSE().blueprint("a"))
    workers = {"SERVER_SOFTWARE": "gunicorn", "wsgi.multiprocess": True}
    with pytest.raises(ConfigurationError, match=r"^SSE_BROKER_URL is memory://, the default,"):
        app.test_client().get("/events", environ_overrides=workers)


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


def test_head(app, client):
    """HEAD tears down once, and runs what the view registered on its response."""
    seen = []
    app.teardown_request(lambda error: seen.append("teardown"))

    @app.get("/stream")
    def stream():
        def source():
            seen.append("ran")
            yield "a"

        response = EventSourceResponse(source(), on_close=seen.append)
        response.call_on_close(lambda: seen.append("call_on_close"))
        return response

    client.head("/stream").close()
    assert seen == ["teardown", "call_on_close"]


def test_header_given_twice(app, client):
    """Headers that may come twice, such as cookies, are sent twice."""

    @app.get("/")
    def view():
        cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
        return EventSourceResponse(iter("a"), headers=cookies)

    assert client.get("/").headers.getlist("Set-Cookie") == ["a=1", "b=2"]


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


def test_channels_of_two_applications(app):
    """Applications in one process do not receive each other's events."""
    sse, other = SSE(), flask.Flask("other")
    sse.init_app(other)
    app.add_url_rule("/a", "a", lambda: sse.subscribe("a"))
    response = app.test_client().get("/a")
    with other.app_context():
        sse.publish("a", "x")
    assert [event.event for event in read_events(response)] == ["stream-open"]


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
    with client.get("/fixed") as response:
        assert read_events(response, 1)[0].event == "stream-open"
    sse.authorize(lambda channel: True)
    assert client.get("/named?channel=b").status_code == 403
    with app.app_context():
        assert sse.hub.statistics().published == 0


def test_other_methods(app, client):
    """A decorated view answers preflights, but is not opened to other methods."""
    app.add_url_rule("/stream", view_func=event_stream(lambda: iter("a")))
    assert client.post("/stream").status_code == 405


def test_dictionary(app, client):
    """A dictionary that a view returns becomes JSON, as in every view of Flask."""
    app.add_url_rule("/json", view_func=event_stream(lambda: {"a": 1}))
    assert client.get("/json").json == {"a": 1}


def test_without_a_secret_key():
    """Without a key nothing is signed, no token is valid, and no view fails."""
    sse, app = SSE(), flask.Flask("keyless")
    sse.init_app(app)
    app.register_blueprint(sse.blueprint())
    assert app.test_client().get("/events?token=x").status_code == 403
    with app.app_context(), pytest.raises(RuntimeError, match="set SECRET_KEY"):
        sse.sign_channels("a")


def test_channel_of_the_url():
    """A part of the URL that is no channel name is refused, even where everything is allowed."""
    sse, app = SSE(), flask.Flask("named")
    sse.init_app(app)
    sse.authorize(lambda channel: True)

    @app.get("/rooms/<room>/events")
    def room(room):
        return sse.subscribe(f"room-{room}", authorize=True)

    client = app.test_client()
    assert client.get("/rooms/1/events").status_code == 200
    assert client.get("/rooms/1%00/events").status_code == 400


def test_publish_every():
    """The function runs in an application context, without a request."""
    asked = []
    sse, app = SSE(), flask.Flask("every")
    sse.init_app(app)
    app.add_url_rule("/room", view_func=lambda: sse.subscribe("room"), endpoint="room")

    @sse.publish_every(0.05, "room")
    def tell():
        asked.append((flask.current_app.name, flask.has_request_context()))

    with app.test_client().get("/room"):
        wait_for(lambda: len(asked) >= 2, "the second call")
    assert set(asked) == {("every", False)}


def test_tokens_of_ones_own():
    """The endpoint asks the extension's check_token(), which a subclass may override."""

    class Mine(SSE):
        def check_token(self, token):
            return Grant(("a",), None, time.time() + 60) if token == "mine" else None

    app = flask.Flask(__name__)
    app.register_blueprint(Mine(app).blueprint())
    assert app.test_client().get("/events?token=other").status_code == 403
    with app.test_client().get("/events?token=mine") as response:
        assert response.status_code == 200


def test_endpoint_that_asks_what_to_select():
    """A ready-made endpoint may find in the request what is selected for it."""
    sse, app = SSE(), flask.Flask("tenants")
    sse.init_app(app)
    endpoint = sse.blueprint(
        "room", match=lambda: {"tenant": flask.request.headers["X-Tenant"]}, replay=lambda: 5
    )
    app.register_blueprint(endpoint)
    with app.app_context():
        for tenant in "aba":
            sse.publish("room", tenant, meta={"tenant": tenant})
    with app.test_client().get("/events", headers={"X-Tenant": "a"}) as response:
        assert [event.data for event in read_events(response)] == ["", "a", "a"]


def test_endpoint_of_users():
    """A ready-made endpoint finds the user in the request."""
    sse, app = SSE(), flask.Flask("users")
    sse.init_app(app)
    endpoint = sse.blueprint("room", presence=lambda: flask.request.args["me"])
    app.register_blueprint(endpoint, url_prefix="/live")
    with app.test_client().get("/live/events?me=zoe") as response:
        assert read_events(response, 1)[0].event == "stream-open"
        with app.app_context():
            assert [present.user for present in sse.present("room")] == ["zoe"]
