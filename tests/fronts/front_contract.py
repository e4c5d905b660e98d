"""What every front has to do. Run by a test module for each framework, with an adapter."""

import asyncio
import contextvars
import json
import logging
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from urllib.parse import quote, urlencode

import pydantic
import pytest
from datastar_py import ServerSentEventGenerator

from sse_sync import (
    END_ID,
    BrokerUnavailable,
    CloseReason,
    ConfigurationError,
    EventError,
    EventText,
    JobRefused,
    ServerSentEvent,
    SourceError,
    statistics,
    user_channel,
)
from sse_sync.jobs.manager import running as running_jobs
from sse_sync.testing import read_events
from tests.waiting import wait_for

FINISHED = '{"outcome": "finished", "message": ""}'
END = ServerSentEvent("", event="stream-end", id=END_ID)
A, B = "https://a.example", "https://b.example"


class Front(ABC):
    """
    What the contract needs of a framework.

    Views take the request. They are mounted before the first request, as everywhere.
    """

    sse = None
    """Has ``publish``, ``present``, ``sign_channels`` and the others that all fronts share."""
    event_stream = None
    """The decorator."""
    day = ""
    """How the framework's JSON writes the second of January 2026."""
    nothing_is_set = ""
    """What is logged where no function says who may read what a client names."""
    separator = ""
    """What stands between a token's claims and its signature."""
    origin = ""
    """The origin of the test client's own pages."""
    text_for_json = {"day": date(2026, 1, 2)}
    """What only the framework's own JSON can express."""

    @property
    def json_of_text(self):
        """The JSON of that."""
        return f'{{"day": {self.day}}}'

    def without_request(self):
        """A source that says whether there is a request."""
        yield "no request"

    broker_setting = ""
    """What the broker's URL is called in the configuration."""

    def stream(self, view, **options):
        """Mount a view as an event stream; return its URL. ``user`` may take the request."""
        if callable(options.get("user")):
            options["user"] = self.asking(options["user"])
        return self.view(self.event_stream(**options)(view) if options else self.event_stream(view))

    @abstractmethod
    def configure(self, **options):
        """Set options of the application, by lower-case name, before anything else."""

    @abstractmethod
    def debug(self):
        """Switch on the framework's debug mode."""

    @abstractmethod
    def set_keys(self, key, *fallbacks):
        """Set the application's secret key, and former ones."""

    @abstractmethod
    def asking(self, function):
        """Make a function of the request what a decorator of the framework calls."""

    @abstractmethod
    def view(self, view):
        """Mount a view; return its URL."""

    @abstractmethod
    def endpoint(self, *channels, **arguments):
        """Mount the ready-made endpoint for channels, or for those that the client names."""

    @abstractmethod
    def rendered(self, url, *channels, **arguments):
        """Return the URL that a template makes with ``sse_url`` of one that was mounted."""

    @abstractmethod
    def request(self, query=""):
        """Return a context manager that gives a request."""

    @abstractmethod
    def get(self, url, headers=None, method="GET"):
        """Return the response of a test client."""

    @abstractmethod
    def headers(self, response):
        """Return a response's headers as they are sent."""

    @abstractmethod
    def body(self, response):
        """Return the rest of a response's body."""

    @abstractmethod
    def redirect(self):
        """Return a redirect."""

    @abstractmethod
    def forbid(self):
        """Raise what the framework answers with a 403."""

    @abstractmethod
    def query(self, request):
        """Return the request's query."""

    @abstractmethod
    def response(self, request, source, **arguments):
        """Return an EventSourceResponse."""

    @abstractmethod
    def subscribe(self, request, *channels, **arguments):
        """Answer a request with channels."""

    @abstractmethod
    def attach(self, request, key, **arguments):
        """Answer a request with a job."""

    @abstractmethod
    def respond(self, request, job, **arguments):
        """Answer a request with a job that was just started."""

    @abstractmethod
    def last_event_id(self, request, *default, **type):
        """Return the request's last event ID."""

    @abstractmethod
    def is_event_source(self, request):
        """Return whether the request asks for an event stream."""

    @abstractmethod
    def authorize(self, hook):
        """Have a function of the request and a channel say what a client may read."""

    @abstractmethod
    def sign(self, claims):
        """Return another signature of the application, over anything."""

    @abstractmethod
    def periodic(self, channel):
        """Return what the application publishes on a channel at intervals."""

    @abstractmethod
    def hub(self):
        """Return the application's hub."""

    def channel(self, *channels, **arguments):
        """Mount a view that subscribes to channels; return its URL."""
        return self.view(lambda request: self.subscribe(request, *channels, **arguments))

    def opened(self, url, headers=None):
        """Return a response whose stream has begun with a ``stream-open`` event."""
        response = self.get(url, headers)
        assert response.status_code == 200
        assert [event.event for event in read_events(response, 1)] == ["stream-open"]
        return response

    def room(self):
        """Mount a room in which the user that the query names is present; return its URL."""

        def room(request):
            query = self.query(request)
            more = {"announce": True} if query.get("announce") else {}
            user = query["user"]
            return self.subscribe(
                request, "room", user_channel(user), presence=user, info={"n": 1}, grace=0, **more
            )

        return f"{self.view(room)}?user="


def kinds(response):
    return [event.event for event in read_events(response)]


def texts(response, limit=None):
    return [event.data for event in read_events(response, limit)]


class StreamContract:
    """One response. A subclass has a fixture ``front``."""

    def test_headers(self, front):
        """The response has the headers of an event stream, and none that would break it."""
        response = front.get(front.stream(lambda request: iter(["a"])))
        assert response.status_code == 200
        headers = front.headers(response)
        assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert headers["Cache-Control"] == "no-cache, no-transform"
        assert headers["X-Accel-Buffering"] == "no"
        assert not {"Content-Encoding", "Connection", "Content-Length"} & set(headers)
        assert read_events(response) == [ServerSentEvent("a"), END]

    def test_options(self, front):
        """Options, headers and on_close come from the decorator or from the response."""
        seen = []
        given = {
            "retry": 5,
            "reconnect": True,
            "headers": {"X-Mine": "1"},
            "on_close": seen.append,
        }
        decorated = front.stream(lambda request: iter(["a"]), **given)
        returned = front.view(lambda request: front.response(request, iter(["a"]), **given))
        for url in (decorated, returned):
            response = front.get(url)
            assert front.headers(response)["X-Mine"] == "1"
            assert front.body(response) == b":\nretry: 5\ndata: a\n\n"
            response.close()
            assert seen == [CloseReason.FINISHED]
            seen.clear()

    def test_configuration(self, front):
        """The application's options are those of each stream."""
        front.configure(retry=9, heartbeat=None)
        wire = front.body(front.get(front.stream(lambda request: iter([]))))
        assert wire.startswith(b":\nretry: 9\n")

    def test_options_are_checked_at_decoration(self, front):
        """A mistake is reported when the module is imported, not at the first request."""
        with pytest.raises(ConfigurationError, match="did you mean heartbeat"):
            front.event_stream(heartbeet=5)(lambda *request: iter([]))
        decorate = front.event_stream(heartbeat=5, headers={"X-Mine": "1"}, on_close=print)
        decorate(lambda *request: iter([]))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"heartbeats": 3}, "did you mean heartbeat"),
            ({"lifetimes": 5}, "did you mean lifetime"),
            ({"retry": -1}, "retry must be"),
            ({"max_streams": 3}, "max_streams is not an option"),
        ],
    )
    def test_bad_options(self, front, options, message):
        """An unusable argument is refused with advice when the view answers."""
        with front.request() as request, pytest.raises(ConfigurationError, match=message):
            front.response(request, iter([]), **options)

    @pytest.mark.parametrize("source", ["text", {"a": 1}])
    def test_bad_sources(self, front, source):
        """A value that cannot be streamed is refused with advice."""
        with front.request() as request, pytest.raises(SourceError, match="yield it from"):
            front.response(request, source)

    def test_async_generator(self, front):
        """An asynchronous generator is a view, with the request and one context of its own."""

        async def view(request):
            yield front.query(request)["who"]
            await asyncio.sleep(0)
            yield {"day": date(2026, 1, 2)}

        response = front.get(front.stream(view) + "?who=me")
        who, day, _ = read_events(response)
        assert who == ServerSentEvent("me")
        assert "2026" in day.data

    def test_async_view(self, front):
        """An asynchronous view returns a source of the same event loop, or another response."""
        loops = []

        async def numbers():
            loops.append(asyncio.get_running_loop())
            yield "here"

        async def maybe(request):
            await asyncio.sleep(0)
            loops.append(asyncio.get_running_loop())
            if "away" in front.query(request):
                return front.redirect()
            if "error" in front.query(request):
                front.forbid()
            return numbers()

        url = front.stream(maybe)
        assert front.get(f"{url}?away=1").status_code == 302
        assert front.get(f"{url}?error=1").status_code == 403
        loops.clear()
        assert texts(front.get(url), 1) == ["here"]
        assert len(loops) == 2
        assert loops[0] is loops[1]

    def test_context_variables_of_an_async_view(self, front):
        """What an asynchronous view sets is there in its source, as with any other view."""
        who = contextvars.ContextVar("who")

        async def names():
            yield who.get()

        async def view(request):
            who.set("ann")
            await asyncio.sleep(0)
            return names()

        assert texts(front.get(front.stream(view)), 1) == ["ann"]

    def test_coroutine_is_no_source(self, front):
        """A coroutine that nobody has awaited is refused by its name."""

        async def answer():
            """Has neither yield nor await."""

        with front.request() as request, pytest.raises(SourceError) as caught:
            front.response(request, answer())
        assert "answer' is not a source of events: yield in the function" in str(caught.value)

    def test_plain(self, front):
        """Who sends a POST, or is said to be no EventSource, gets the view's own events only."""

        def view(request):
            yield ServerSentEvent({"a": 1}, id=7)
            yield "[DONE]"

        said = b':\nid: 7\ndata: {"a": 1}\n\ndata: [DONE]\n\n'
        unsaid, plain, source = (front.stream(view, plain=given) for given in (None, True, False))
        assert front.body(front.get(unsaid, method="POST")) == said
        assert front.body(front.get(plain)) == said
        assert read_events(front.get(source, method="POST"))[-1] == END

    def test_plain_failure(self, front):
        """What failed is said by the application, and seen in debug mode only."""

        def error(failure):
            return {"error": {"message": failure.message}}

        def failing(request):
            yield "a"
            raise ValueError("secret")

        urls = front.stream(failing, error=error), front.stream(failing, error=error, debug=True)
        told = [texts(front.get(url, method="POST")) for url in urls]
        assert told[0] == ["a", '{"error": {"message": "internal error"}}']
        assert told[1] == ["a", '{"error": {"message": "ValueError: secret"}}']

    def test_plain_channel(self, front):
        """A channel's stream, too, has nothing of the library's."""
        response = front.get(front.channel("a"), method="POST")
        assert read_events(response, 0) == []
        front.sse.publish("a", "b")
        (event,) = read_events(response, 1)
        assert (event.event, event.data) == (None, "b")

    @pytest.mark.parametrize("options", [{"plain": 1}, {"error": "text"}])
    def test_unusable_plain_options(self, front, options):
        """They are refused with their names."""
        url = front.stream(lambda request: iter("a"), **options)
        with pytest.raises(ConfigurationError, match=f"^{next(iter(options))} must be"):
            front.get(url)

    def test_forged_post(self, front):
        """A page of another origin starts nothing with cookies, unless it is listed."""
        ran = []

        def view(request):
            ran.append(1)
            return iter("a")

        url = front.stream(view)
        listed = front.stream(view, cors_origins=["https://app.example"])
        headers = {"Origin": "https://app.example", "Cookie": "session=1"}
        assert front.get(url, headers, "POST").status_code == 403
        assert ran == []
        assert front.get(listed, headers, "POST").status_code == 200
        assert front.get(url, headers).status_code == 200
        assert front.get(url, {"Origin": "https://app.example"}, "POST").status_code == 200
        assert front.get(url, {**headers, "Origin": front.origin}, "POST").status_code == 200
        assert len(ran) == 4

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_request_is_judged_once(self, front, monkeypatch, method):
        """What a decorator has found out about a request is not found out again afterwards."""
        asked = []
        monkeypatch.setattr("sse_sync.wsgi.forgery", lambda *arguments: asked.append(1))
        url = front.stream(lambda request: iter("a"))
        assert front.get(url, None, method).status_code == 200
        assert asked == [1]

    def test_preflight_of_a_post(self, front):
        """A page of a listed origin may send JSON."""
        url = front.stream(lambda request: iter("a"), cors_origins=["https://app.example"])
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        headers = front.headers(front.get(url, asked, "OPTIONS"))
        assert headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST"
        assert "Content-Type" in headers["Access-Control-Allow-Headers"]
        assert headers["Allow"] == "GET, HEAD, POST, OPTIONS"
        asked["Access-Control-Request-Method"] = "BREW"
        headers = front.headers(front.get(url, asked, "OPTIONS"))
        assert "BREW" not in headers["Access-Control-Allow-Methods"]

    def test_class(self, front):
        """A class is refused when it is decorated."""
        with pytest.raises(SourceError, match=r"decorate the class's method instead"):
            front.event_stream(type("View", (), {}))

    def test_other_answers_pass(self, front):
        """A view may return another response, or raise one."""

        def maybe(request):
            if "away" in front.query(request):
                return front.redirect()
            if "error" in front.query(request):
                front.forbid()
            return iter(["here"])

        url = front.stream(maybe)
        assert front.get(f"{url}?away=1").status_code == 302
        assert front.get(f"{url}?error=1").status_code == 403
        assert texts(front.get(url), 1) == ["here"]

    def test_json(self, front):
        """Data is written by the framework's JSON, in a stream and in a channel."""
        given = {"on": date(2026, 1, 2)}

        def view(request):
            yield given
            yield ServerSentEvent(given, event="e")

        stream, channel = front.stream(view), front.channel("a")
        first, second, end = read_events(front.get(stream))
        assert first.data == second.data == f'{{"on": {front.day}}}'
        assert (second.event, end) == ("e", END)
        response = front.opened(channel)
        front.sse.publish("a", given)
        assert texts(response) == [f'{{"on": {front.day}}}']

    def test_models(self, front):
        """Models are JSON, too; what the framework can write is written its way beside them."""

        class Order(pydantic.BaseModel):
            on: date = pydantic.Field(alias="onDay")

        @dataclass
        class Line:
            on: date
            order: Order

        day = date(2026, 1, 2)
        order = Order(onDay=day)

        def view(request):
            yield order
            yield ServerSentEvent([Line(day, order)], event="e")

        text = '{"onDay": "2026-01-02"}'
        lines = f'[{{"on": {front.day}, "order": {text}}}]'
        stream, channel = front.stream(view), front.channel("a")
        assert texts(front.get(stream), 2) == [text, lines]
        response = front.opened(channel)
        front.sse.publish("a", order)
        front.sse.publish("a", {"order": order})
        assert texts(response) == [text, f'{{"order": {text}}}']

    def test_ready_made(self, front):
        """An event that is text already is sent as it is; text that looks like one is text."""

        def view(request):
            yield EventText("event: e\nid: 7\ndata: x\n\n")
            yield ServerSentEventGenerator.patch_signals({"n": 1})
            yield "data: x\n\n"

        made, signals, text = read_events(front.get(front.stream(view)), 3)
        assert made == ServerSentEvent("x", event="e", id="7")
        assert (signals.event, signals.data) == ("datastar-patch-signals", 'signals {"n":1}')
        assert (text.event, text.data) == (None, "data: x\n\n")

    def test_refused_where_it_was_yielded(self, front):
        """A value that cannot be sent is an error at its yield, which may go on."""

        def view(request):
            broken = ServerSentEventGenerator.patch_elements("<p>", selector="#a\nb")
            for item in ([b"x"], EventText, broken):
                try:
                    yield item
                except EventError as exc:
                    yield str(exc)

        cannot, kind, line = texts(front.get(front.stream(view)), 3)
        assert cannot.startswith("data[0] is of the type bytes, which cannot be sent: make text")
        assert kind == "data is the class EventText: create an object"
        assert line == "text has a line that is neither a field nor a comment: 'b'"

    def test_debug_shows_the_message(self, front):
        """In the framework's debug mode the client sees the exception."""

        def view(request):
            raise ZeroDivisionError("secret")
            yield

        url = front.stream(view)
        front.debug()
        (event,) = read_events(front.get(url), 1)
        assert event == ServerSentEvent("ZeroDivisionError: secret", event="stream-error")

    def test_error(self, front):
        """Otherwise the client is told that there was one."""

        def view(request):
            yield "a"
            raise ZeroDivisionError("secret")

        *_, last = read_events(front.get(front.stream(view)))
        assert last == ServerSentEvent("internal error", event="stream-error")

    def test_headers_of_a_refusal(self, front):
        """The view's own headers, such as CORS headers, are on every answer."""

        def view(request):
            yield "a"

        url = front.stream(view, headers={"X-Mine": "1"})
        response = front.get(url, {"Last-Event-ID": END_ID})
        assert (response.status_code, front.headers(response)["X-Mine"]) == (204, "1")

    def test_answer_that_is_too_late(self, front, caplog):
        """A generator cannot answer 403 or redirect, and the log says what can."""

        def forbidden(request):
            front.forbid()
            yield

        def elsewhere(request):
            if request is not None:
                return front.redirect()
            yield

        urls = front.stream(forbidden), front.stream(elsewhere)
        (event,) = read_events(front.get(urls[0]))
        assert event.event == "stream-error"
        assert (
            "forbidden raised a 403, which cannot be the answer any more: headers are sent"
            in caplog.text
        )
        assert "Check in a view that returns the generator" in caplog.text
        caplog.clear()
        assert read_events(front.get(urls[1])) == [END]
        assert "elsewhere returned a " in caplog.text
        assert "Return it from a view that returns the generator" in caplog.text

    def test_what_a_generator_returns(self, front, caplog):
        """Anything but a response is of no interest, as everywhere."""

        def view(request):
            yield "a"
            return "b"

        caplog.set_level(logging.WARNING, "sse_sync")
        assert texts(front.get(front.stream(view)), 1) == ["a"]
        assert caplog.text == ""

    def test_type_of_an_event_source_itself(self, front, caplog, monkeypatch):
        """An event source is not sent an "error" without a warning, once; a plain client is."""
        monkeypatch.setattr("sse_sync.event._warned", set())
        caplog.set_level(logging.WARNING, "sse_sync")

        def errors(request):
            return iter([ServerSentEvent("a", event="error")] * 2)

        plain, url = front.stream(errors, plain=True), front.stream(errors)
        assert kinds(front.get(plain)) == ["error", "error"]
        assert caplog.text == ""
        assert kinds(front.get(url)) == ["error", "error", "stream-end"]
        assert caplog.text.count("'error' was sent: an EventSource fires events of that type") == 1

    def test_log_in(self, front):
        """An event source that is not logged in is refused, and a page redirected."""

        def view(request):
            if front.is_event_source(request):
                front.forbid()
            return front.redirect()

        url = front.view(view)
        assert front.get(url, {"Accept": "text/event-stream"}).status_code == 403
        assert front.get(url, {"Accept": "text/html"}).status_code == 302
        assert front.get(url).status_code == 302

    @pytest.mark.parametrize(
        ("query", "headers", "expected"),
        [
            ("", {}, "null"),
            ("", {"Last-Event-ID": "7"}, '"7"'),
            ("lastEventId=8", {}, '"8"'),
            (f"lastEventId={quote('ä')}", {}, '"\\u00e4"'),
            ("lastEventId=", {}, "null"),
            (f"lastEventId={'x' * 5000}", {}, "null"),
            ("lastEventId=%FF", {}, "null"),
            ("lastEventId=a%0Ab", {}, "null"),
        ],
        ids=["none", "header", "query", "utf-8", "empty", "long", "no utf-8", "line feed"],
    )
    def test_last_event_id(self, front, query, headers, expected):
        """The last event ID comes from the header or the query."""

        def view(request):
            yield {"last": front.last_event_id(request)}

        response = front.get(f"{front.stream(view)}?{query}", headers)
        assert texts(response, 1) == [f'{{"last": {expected}}}']

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
            ("2026-11-21", date.fromisoformat, date(2026, 11, 21)),
        ],
    )
    def test_last_event_id_as(self, front, sent, type, expected):
        """Whatever a client sends, the result has that type, or is the default."""
        with front.request(urlencode({"lastEventId": sent})) as request:
            assert front.last_event_id(request, -1, type=type) == expected
            assert front.last_event_id(request, "none") == (sent or "none")

    def test_last_event_id_of_a_broken_function(self, front):
        """An error in the application's function is not hidden."""
        with front.request("lastEventId=7") as request, pytest.raises(KeyError):
            front.last_event_id(request, type={}.__getitem__)

    def test_finished_stays_finished(self, front):
        """The reconnection after the end is answered 204, and the view's source never runs."""
        seen = []

        def view(request):
            seen.append("ran")
            yield "a"

        url = front.stream(view)
        assert read_events(front.get(url))[-1] == END
        response = front.get(url, {"Last-Event-ID": END_ID})
        assert (response.status_code, front.body(response)) == (204, b"")
        assert "Content-Type" not in front.headers(response)
        assert seen == ["ran"]
        assert front.get(f"{url}?lastEventId={END_ID}").status_code == 204

    def test_finished_job_is_not_started_again(self, front):
        """A view that starts something and returns its source does not run for such a client."""
        seen = []

        def view(request):
            seen.append("started")
            return iter(["a"])

        assert front.get(front.stream(view), {"Last-Event-ID": END_ID}).status_code == 204
        assert seen == []

    def test_polled_again(self, front):
        """With reconnect=True a client gets the next run, unless it was told to stop."""
        url = front.stream(lambda request: iter(["a"]), reconnect=True)
        assert front.get(url, {"Last-Event-ID": END_ID}).status_code == 204
        assert read_events(front.get(url, {"Last-Event-ID": "7"})) == [ServerSentEvent("a")]

    def test_head(self, front):
        """HEAD has the headers, and starts nothing."""
        seen = []

        def source():
            seen.append("ran")
            yield "a"

        url = front.view(
            lambda request: front.response(
                request, source(), headers={"X-Mine": "1"}, on_close=seen.append
            )
        )
        response = front.get(url, method="HEAD")
        assert (response.status_code, front.body(response)) == (200, b"")
        assert front.headers(response)["Content-Type"] == "text/event-stream; charset=utf-8"
        assert front.headers(response)["X-Mine"] == "1"
        response.close()
        assert seen == []
        assert statistics().open == 0

    def test_closed_by_the_client(self, front):
        """Closing a response that was read in part ends its source."""
        seen = []

        def source():
            try:
                while True:
                    yield "tick"
            finally:
                seen.append("finally")

        url = front.view(lambda request: front.response(request, source(), on_close=seen.append))
        response = front.get(url)
        assert read_events(response, 1) == [ServerSentEvent("tick")]
        assert seen == []
        response.close()
        assert seen == ["finally", CloseReason.CLIENT_GONE]

    def test_stream_can_be_ended(self, front):
        """The response gives access to its stream."""
        held = []

        def view(request):
            held.append(front.response(request, iter(range(100))))
            return held[0]

        response = front.get(front.view(view))
        assert read_events(response, 2) == [ServerSentEvent("0"), ServerSentEvent("1")]
        held[0].event_stream.end()
        assert read_events(response) == [END]

    def test_log(self, front, caplog):
        """A stream's end is logged with its path, reason and size."""
        caplog.set_level(logging.INFO, "sse_sync")
        url = front.stream(lambda request: iter(["a"]))
        read_events(front.get(url))
        (record,) = [r for r in caplog.records if r.name == "sse_sync"]
        text = record.getMessage()
        assert text.startswith(f"event stream {url} ended: finished, after 0.0 s, 1 ")


class OriginContract:
    """Pages of other origins. A subclass has a fixture ``front``."""

    def test_other_origins(self, front):
        """A page of a configured origin may read streams; others may not."""
        front.configure(cors_origins=[A], cors_credentials=True)
        urls = front.endpoint("x"), front.stream(lambda request: iter("x"), cors_origins=[B])
        for url, allowed, refused in zip(urls, (A, B), (B, A), strict=True):
            headers = front.headers(front.get(url, {"Origin": allowed}))
            assert headers["Access-Control-Allow-Origin"] == allowed
            assert "Origin" in headers["Vary"].split(", ")
            headers = front.headers(front.get(url, {"Origin": refused}))
            assert "Access-Control-Allow-Origin" not in headers
            # For caches, which would give it to the other one.
            assert "Origin" in headers["Vary"].split(", ")
        # A view that does not ask who is logged in varies by nothing else.
        assert headers["Vary"] == "Origin"
        # Also where a finished client is told to stop, or it would not be told.
        response = front.get(urls[1], {"Last-Event-ID": END_ID, "Origin": B})
        assert response.status_code == 204
        assert front.headers(response)["Access-Control-Allow-Origin"] == B

    def test_preflight(self, front):
        """The endpoint and a decorated view answer preflights, before anything of the view runs."""
        front.configure(cors_origins=[A])
        seen = []

        def view(request):
            seen.append("ran")
            yield "a"

        for url in (
            front.endpoint("x", cors_credentials=True),
            front.stream(view, cors_credentials=True),
        ):
            asking = {"Origin": A, "Access-Control-Request-Method": "GET"}
            response = front.get(url, asking, method="OPTIONS")
            headers = front.headers(response)
            assert (response.status_code, front.body(response)) == (204, b"")
            assert headers["Access-Control-Allow-Origin"] == A
            assert headers["Access-Control-Allow-Credentials"] == "true"
            assert headers["Access-Control-Allow-Headers"].endswith("Last-Event-ID")
            assert "GET" in headers["Allow"]
            response = front.get(url, {**asking, "Origin": B}, method="OPTIONS")
            assert "Access-Control-Allow-Origin" not in front.headers(response)
        assert seen == []

    def test_preflight_of_a_view_with_origins_of_its_own(self, front):
        """It allows those of the view, and not those of the application."""
        front.configure(cors_origins=[A])
        asking = {"Access-Control-Request-Method": "GET"}
        for url in (
            front.endpoint("x", cors_origins=B),
            front.stream(lambda request: iter("x"), cors_origins=B),
        ):
            response = front.get(url, {**asking, "Origin": B}, method="OPTIONS")
            assert front.headers(response)["Access-Control-Allow-Origin"] == B
            response = front.get(url, {**asking, "Origin": A}, method="OPTIONS")
            assert "Access-Control-Allow-Origin" not in front.headers(response)

    def test_vary_of_the_view(self, front):
        """The view's own Vary is kept."""
        front.configure(cors_origins=[A])
        url = front.view(
            lambda request: front.response(request, iter("a"), headers={"Vary": "Cookie"})
        )
        headers = front.headers(front.get(url, {"Origin": A}))
        assert headers["Vary"] == "Cookie, Origin"


class ChannelContract:
    """Publishing and subscribing. A subclass has a fixture ``front``."""

    def test_channels(self, front):
        """A subscriber gets what is published on its channels, and goes on where it was."""

        def for_seven(event, key, meta):
            return meta.get("user", 7) == 7

        url = front.channel("orders", "news", heartbeat=5, filter=for_seven)
        response = front.opened(url)
        first = front.sse.publish("orders", {"id": 1}, event="created")
        front.sse.publish("news", "for 8", meta={"user": 8})
        second = front.sse.publish("news", "for 7", meta={"user": 7})
        assert read_events(response) == [
            ServerSentEvent('{"id": 1}', event="created", id=first),
            ServerSentEvent("for 7", id=second),
        ]
        response = front.get(url, {"Last-Event-ID": first})
        assert read_events(response) == [ServerSentEvent("for 7", id=second)]

    def test_ready_made_events_and_channels(self, front):
        """A snapshot may have them; to publish, the data and the type are needed."""
        datastar = ServerSentEventGenerator.patch_signals({"n": 1})
        made = EventText("event: e\ndata: x\n\n")
        url = front.channel("orders", snapshot=lambda: [made, datastar, {"on": date(2026, 1, 2)}])
        *events, last = read_events(front.opened(url), 3)
        assert [(event.event, event.data) for event in events] == [
            ("e", "x"),
            ("datastar-patch-signals", 'signals {"n":1}'),
        ]
        assert last.data == f'{{"on": {front.day}}}'
        for event in (datastar, made, ServerSentEvent("x")):
            with pytest.raises(EventError, match="already an event: pass its data, and its type"):
                front.sse.publish("orders", event)

    def test_bad_channels(self, front):
        """Names and policies are checked where they are written."""
        with front.request() as request:
            with pytest.raises(ConfigurationError, match="printable"):
                front.sse.publish("a\nb", "x")
            with pytest.raises(ConfigurationError, match="printable"):
                front.subscribe(request, "a\nb")
            with pytest.raises(ConfigurationError, match=r"\['a', 'b'\]: pass several channels"):
                front.subscribe(request, ["a", "b"])
            with pytest.raises(ConfigurationError, match="the channel comes first, as in publish"):
                front.sse.publish({"a": 1}, "news")
            with pytest.raises(ValueError, match="sometimes"):
                front.subscribe(request, "a", overflow="sometimes")

    def test_keywords_of_publish(self, front):
        """None but the documented ones reaches the hub."""
        for wrong in ({"token_age": 5}, {"type": "created"}):
            with pytest.raises(TypeError, match="unexpected keyword argument"):
                front.sse.publish("a", "x", **wrong)

    def test_unknown_broker(self, front):
        """The error names the setting as the application writes it."""
        front.configure(broker_url="redsi://localhost")
        with pytest.raises(ConfigurationError) as caught:
            front.hub()
        assert str(caught.value).startswith(f"{front.broker_setting} names no broker: redsi")

    def test_not_kept(self, front):
        """Connected clients get it; reconnecting ones do not."""
        url = front.channel("room")
        here = front.opened(url)
        first = front.sse.publish("room", "said")
        front.sse.publish("room", "ann is typing", keep=False)
        front.sse.publish("room", "said, too")
        back = front.get(url, {"Last-Event-ID": first})
        assert texts(here) == ["said", "ann is typing", "said, too"]
        assert texts(back) == ["said, too"]

    def test_publish_every(self, front):
        """What a function returns is published at intervals, as the framework's JSON."""
        called = []

        @front.sse.publish_every(0.05, "room", event="now")
        def tell():
            called.append(True)
            return {"day": date(2026, 1, 2)}

        response = front.opened(front.channel("room"))
        wait_for(lambda: len(called) >= 2, "the second call")
        wait_for(lambda: front.hub().statistics().published, "the first event")
        (event,) = read_events(response, 1)
        response.close()
        assert (event.event, event.data) == ("now", f'{{"day": {front.day}}}')
        assert tell.__name__ == "tell"

    def test_publish_every_as_it_was_said(self, front):
        """All arguments are passed on."""
        given = {"event": "e", "key": "k", "keep": True}
        front.sse.publish_every(2, "room", **given)(print)
        (periodic,) = front.periodic("room")
        assert (periodic.function, periodic.seconds, periodic.channel) == (print, 2, "room")
        assert {name: getattr(periodic, name) for name in given} == given


class AccessContract:
    """What a client names itself, or has a token for. A subclass has a fixture ``front``."""

    def test_channel_that_the_client_names(self, front):
        """A client gets only what the application allows, at the endpoint and in a view."""

        def room(request):
            return front.subscribe(request, front.query(request)["room"], authorize=True)

        endpoint, view = front.endpoint(), front.view(room)
        front.authorize(lambda request, channel: channel == request.headers.get("X-Channel"))
        mine = {"X-Channel": "a"}
        for url in (f"{endpoint}?channel=a", f"{view}?room=a"):
            response = front.opened(url, mine)
            front.sse.publish("a", "hello")
            assert texts(response) == ["hello"]
        for query in ("channel=b", "channel=a&channel=b", "channel=A", "channel=a%20"):
            assert front.get(f"{endpoint}?{query}", mine).status_code == 403, query
        assert front.get(f"{view}?room=b", mine).status_code == 403
        for query in ("", "channel=", "channel=a%0A", "channel=a%0Ab", "channel=a%00"):
            assert front.get(f"{endpoint}?{query}", mine).status_code == 400, query
        assert front.get(f"{view}?room=a%00", mine).status_code == 400
        assert front.hub().statistics().problem is None

    def test_nothing_is_set(self, front, caplog):
        """Where nothing says who may read them, channels that clients name are refused."""
        urls = front.endpoint(), front.channel("a", authorize=True)
        assert front.get(f"{urls[0]}?channel=a").status_code == 403
        assert front.nothing_is_set in caplog.text
        assert front.get(urls[1]).status_code == 403

    def test_other_channel_than_those_of_the_endpoint(self, front, caplog):
        """A client that asks for it is refused, instead of getting other events."""
        url = front.endpoint("news", "alerts")
        for query in ("channel=mine", "channel=news&channel=mine", "channel="):
            assert front.get(f"{url}?{query}").status_code == 400
        assert (
            "refused a client the channel 'mine': the endpoint relays news, alerts" in caplog.text
        )
        for query in ("", "channel=news", "channel=alerts&channel=news", "room=mine"):
            assert front.get(f"{url}?{query}").status_code == 200

    def test_one_of_several(self, front):
        """If one of a view's channels is refused, all are."""
        front.authorize(lambda request, channel: channel == "a")
        one, both = front.channel("a", authorize=True), front.channel("a", "b", authorize=True)
        assert front.get(one).status_code == 200
        assert front.get(both).status_code == 403

    @pytest.mark.parametrize("names", [["a\nb"], ["x" * 201], ["c"] * 101, []])
    def test_names_are_checked_before_anybody_is_asked(self, front, names):
        """An invalid channel name is the client's mistake, and never reaches the hook."""
        asked = []
        front.authorize(lambda request, channel: asked.append(channel) or True)
        assert front.get(front.channel(*names, authorize=True)).status_code == 400
        assert asked == []

    @pytest.mark.filterwarnings("ignore:coroutine")
    @pytest.mark.parametrize("answer", ["asynchronous", ("no", 403), 1])
    def test_only_true_allows(self, front, answer, caplog):
        """A hook that returns anything but True refuses, and the log says why."""

        async def asynchronous(request, channel):
            return True

        is_async = answer == "asynchronous"
        front.authorize(asynchronous if is_async else lambda request, channel: answer)
        urls = f"{front.endpoint()}?channel=a", front.channel("a", authorize=True)
        for url in urls:
            caplog.clear()
            assert front.get(url).status_code == 403
            assert "must return True or False" in caplog.text

    def test_order_while_permission_is_asked(self, front):
        """A client that is disconnected during its authorization does not read on."""

        def allow(request, channel):
            front.sse.disconnect(user=7, reason="bye")
            return True

        front.authorize(allow)
        response = front.get(front.channel("room", user=7, authorize=True))
        assert read_events(response)[-1].event == "stream-disconnect"

    def test_replay_of_a_channel_that_is_refused(self, front):
        """A last event ID gives nobody what they may not read."""
        endpoint = front.endpoint()
        front.authorize(lambda request, channel: channel == "mine")
        response = front.get(f"{endpoint}?channel=mine")
        (begun,) = read_events(response, 1)
        front.sse.publish("theirs", "secret")
        front.sse.publish("mine", "hello")
        for query in ("channel=theirs", "channel=mine&channel=theirs"):
            for headers, more in (
                ({"Last-Event-ID": begun.id}, ""),
                (None, f"&lastEventId={begun.id}"),
            ):
                refused = front.get(f"{endpoint}?{query}{more}", headers)
                assert refused.status_code == 403
                assert b"secret" not in front.body(refused)
        response = front.get(f"{endpoint}?channel=mine", {"Last-Event-ID": begun.id})
        assert texts(response) == ["hello"]

    def test_since_a_position(self, front):
        """A client starts where a page was rendered, at a view and at the ready-made endpoint."""
        since = front.sse.position()
        front.sse.publish("a", "meanwhile")
        for url in (front.channel("a", since=since), front.endpoint("a", since=since)):
            response = front.get(url)
            first, missed = read_events(response, 2)
            assert (first.event, first.id, missed.data) == ("stream-open", since, "meanwhile")

    def test_replay_comes_from_the_application(self, front):
        """A new client gets what the view or endpoint says, and cannot ask for more itself."""
        joined = front.sse.publish("a", "1")
        for number in (2, 3):
            front.sse.publish("a", number)
        asked = "?replay=all&since=&match=x&until=x&sender=x"
        last, all_of_it = front.endpoint("a", replay=1), front.channel("a", replay="all")
        member = front.channel("a", replay="all", not_before=joined)
        for url, expected in ((last, ["3"]), (all_of_it, ["1", "2", "3"]), (member, ["2", "3"])):
            assert texts(front.get(url + asked)) == ["", *expected]
        epoch = joined.partition("-")[0]
        assert texts(front.get(member, {"Last-Event-ID": f"{epoch}-1"})) == ["2", "3"]

    def test_not_to_the_sender(self, front):
        """A page that names itself in its stream's URL does not get its own events."""

        def room(request):
            return front.subscribe(request, "room", sender=front.query(request).get("tab"))

        url = front.view(room)
        mine, other, nobody = (front.opened(f"{url}?tab={tab}") for tab in ("a", "b", ""))
        front.sse.publish("room", "hello", sender="a")
        front.sse.publish("room", "all", sender="")
        assert texts(mine) == ["all"]
        assert texts(other) == texts(nobody) == ["hello", "all"]

    def test_selected_stream(self, front):
        """The ready-made endpoint selects, too, and ends the stream."""
        url = front.endpoint("jobs", match={"job": 7}, until=["done", "failed"], replay="all")
        for job, event in ((7, "step"), (8, "done"), (7, "done"), (7, "step")):
            front.sse.publish("jobs", job, event=event, meta={"job": job})
        assert kinds(front.get(url)) == ["stream-open", "step", "done", "stream-end"]

    def test_url_in_a_template(self, front):
        """A page's URL has its channels or a token, and the position of its rendering."""
        front.authorize(lambda request, channel: channel in ("a", "ä b"))
        urls = [
            front.rendered(front.channel("a")),
            front.rendered(front.endpoint(), "a", "ä b"),
            front.rendered(front.endpoint(), "a", "secret", token=True),
        ]
        assert ["channel" in url for url in urls] == [False, True, False]
        assert ["token" in url for url in urls] == [False, False, True]
        for number in range(3):
            front.sse.publish("a", number)
        for url in urls:
            assert texts(front.get(url)) == ["0", "1", "2"], url
            last = front.sse.position()
            assert texts(front.get(url, {"Last-Event-ID": last})) == []

    def test_url_since_a_position(self, front):
        """A page whose data was read earlier says when; a token may be given."""
        since = front.sse.position()
        token = front.sse.sign_channels("a", user="ann")
        front.sse.publish("a", "meanwhile")
        url = front.rendered(front.endpoint(), token=token, since=since)
        assert f"token={quote(token)}" in url
        assert texts(front.get(url)) == ["meanwhile"]

    def test_url_without_a_broker(self, front, monkeypatch, caplog):
        """The page is rendered all the same, and its stream tells it to load its state."""

        def position():
            raise BrokerUnavailable("redis", "refused")

        with monkeypatch.context() as patch:
            patch.setattr(front.hub(), "position", position)
            url = front.rendered(front.channel("a"))
        assert "rendered without a position" in caplog.text
        assert kinds(front.get(url)) == ["stream-reset"]

    def test_signed_token(self, front):
        """A token grants what was signed, and to whom, and nothing else."""
        endpoint = front.endpoint()
        token = front.sse.sign_channels("a", "ä b", user="7")
        grant = front.sse.check_token(token)
        assert (grant.channels, grant.user) == (("a", "ä b"), "7")
        # What is named beside a token does not count.
        response = front.opened(f"{endpoint}?{urlencode({'token': token, 'channel': 'c'})}")
        front.sse.publish("c", "not mine")
        front.sse.publish("ä b", "mine")
        assert texts(response) == ["mine"]

    def test_signed_token_is_refused(self, front, monkeypatch):
        """A token is refused that was changed, has expired, or was signed for something else."""
        endpoint = front.endpoint()
        token = front.sse.sign_channels("a", ttl=60)
        payload, mark, signature = token.rpartition(front.separator)
        assert payload
        head = "A" if token[0] != "A" else "B"
        for wrong in (
            *("", "x", head + token[1:], token + "x", token * 2),
            *(f"{payload}{mark}", f"{mark}{signature}", front.sign([["a"], None, 9e9])),
        ):
            url = f"{endpoint}?{urlencode({'token': wrong})}"
            assert front.get(url).status_code == 403, wrong
        url = f"{endpoint}?{urlencode({'token': token})}"
        assert front.get(url).status_code == 200
        later = time.time() + 66
        monkeypatch.setattr("sse_sync.channels.access.time.time", lambda: later)
        for headers in ({}, {"Last-Event-ID": "x-1"}):
            assert front.get(url, headers).status_code == 403

    def test_signing_key_is_rotated(self, front):
        """Tokens of a former key are accepted as long as it is a fallback."""
        endpoint = front.endpoint()
        front.set_keys("old")
        token = front.sse.sign_channels("a")
        front.set_keys("new", "old")
        assert front.sse.check_token(token) is not None
        assert front.get(f"{endpoint}?{urlencode({'token': token})}").status_code == 200
        again = front.sse.sign_channels("a")
        front.set_keys("new")
        assert front.sse.check_token(token) is None
        assert front.get(f"{endpoint}?{urlencode({'token': token})}").status_code == 403
        assert front.sse.check_token(again) is not None

    @pytest.mark.parametrize(
        ("channels", "arguments"),
        [
            (["a"], {"ttl": 0}),
            (["a"], {"ttl": 1e6}),
            (["a"], {"ttl": "60"}),
            (["a"], {"user": ""}),
            (["a\n"], {}),
            ([], {}),
        ],
    )
    def test_what_cannot_be_signed(self, front, channels, arguments):
        """A token that could not be used is not made."""
        with pytest.raises(ConfigurationError):
            front.sse.sign_channels(*channels, **arguments)

    def test_token_of_a_user(self, front):
        """The user of a token is normalised as everywhere."""
        assert front.sse.check_token(front.sse.sign_channels("room", user=7)).user == "7"

    @pytest.mark.parametrize("lifetime", [3600, timedelta(hours=1)])
    def test_stream_ends_with_its_token(self, front, lifetime):
        """When a token expires, its streams end; the user is the token's."""
        endpoint = front.endpoint(lifetime=lifetime)
        token = front.sse.sign_channels("room", user="ann", ttl=60)
        response = front.opened(f"{endpoint}?{urlencode({'token': token})}")
        (user_stream,) = front.hub().users._open
        assert user_stream.user == "ann"
        assert user_stream._stream._options.lifetime <= 60
        front.sse.disconnect(user="ann")
        assert kinds(response) == ["stream-disconnect"]


class UserContract:
    """Whose streams there are. A subclass has a fixture ``front``."""

    def test_presence(self, front):
        """A user is present until the last of the user's streams is closed."""
        room = front.room()
        first = front.opened(f"{room}7")
        second = front.opened(f"{room}7&announce=1")
        assert [(p.user, p.info) for p in front.sse.present("room")] == [("7", {"n": 1})]
        assert [p.user for p in front.sse.present(user_channel(7))] == ["7"]
        first.close()
        assert [p.user for p in front.sse.present("room")] == ["7"]
        second.close()
        wait_for(lambda: front.sse.present("room"), "the user to be gone", equals=[])

    def test_presence_info_is_json(self, front):
        """Those who see a user get the info as the framework writes it."""
        info = {"since": date(2026, 1, 2)}
        front.opened(front.channel("room", presence="ann", info=info))
        assert [f'"{who.info["since"]}"' for who in front.sse.present("room")] == [front.day]

    def test_publish_to_user(self, front):
        """All streams of the user get it, and no others."""
        room = front.room()
        ann, again, bob = (front.opened(room + user) for user in ("ann", "ann", "bob"))
        front.sse.publish_to_user("ann", {"for": "ann"}, event="note")
        for response in (ann, again):
            assert [(e.event, e.data) for e in read_events(response)] == [
                ("note", '{"for": "ann"}')
            ]
        assert kinds(bob) == []

    @pytest.mark.parametrize("for_good", [False, True])
    def test_disconnect(self, front, for_good):
        """The page gets the reason; for good, a reconnecting browser gets 204."""
        room = front.room()
        ann, bob = front.opened(f"{room}ann"), front.opened(f"{room}bob")
        front.sse.disconnect(user="ann", reason="bye", for_good=for_good)
        (last,) = read_events(ann)
        assert last.event == ("stream-end" if for_good else "stream-disconnect")
        assert last.data == "bye"
        assert kinds(bob) == []
        back = front.get(f"{room}ann", {"Last-Event-ID": last.id})
        assert back.status_code == (204 if for_good else 200)
        assert (last.id == END_ID) == for_good

    def test_streams_of_a_user(self, front):
        """Streams of channels and of generators alike belong to a user."""

        def letters(request):
            yield from "abc"

        def response(request):
            return front.response(request, iter("abc"), user=front.query(request)["user"])

        urls = {
            front.channel("room", user=7): "",
            front.stream(letters, user=lambda request: front.query(request)["user"]): "a",
            front.view(response): "a",
        }
        for url, first in urls.items():
            opened = front.get(f"{url}?user=7")
            assert texts(opened, 1) == [first]
            front.sse.disconnect(user=7, reason="bye")
            (last,) = read_events(opened)
            assert (last.event, last.data) == ("stream-disconnect", "bye")

    def test_reauthorize(self, front):
        """The client has to come back, and is asked in its request."""
        room = front.room()
        ann, bob = front.opened(f"{room}ann"), front.opened(f"{room}bob")
        front.sse.reauthorize(user="ann")
        assert kinds(ann) == ["stream-disconnect"]
        assert kinds(bob) == []

    def test_limit_of_a_user(self, front):
        """A stream beyond a user's limit is told to reconnect later."""
        front.configure(max_streams_per_user=1)
        room = front.room()
        first = front.opened(f"{room}ann")
        refused = front.get(f"{room}ann")
        assert refused.status_code == 200
        assert b"too many streams of this user or address" in front.body(refused)
        front.opened(f"{room}bob")
        first.close()
        front.opened(f"{room}ann")

    def test_limit_of_an_address(self, front):
        """Behind a trusted proxy the client's own address counts."""
        front.configure(max_streams_per_address=1, trusted_proxies=["127.0.0.1"])
        url = front.stream(lambda request: iter("abc"))

        def get(address):
            response = front.get(url, {"X-Forwarded-For": address})
            return response, texts(response, 1)

        one, read = get("198.51.100.1")
        assert read == ["a"]
        assert get("198.51.100.1")[1] == []
        assert get("198.51.100.2")[1] == ["a"]
        one.close()
        assert get("198.51.100.1")[1] == ["a"]


class JobContract:
    """Work that outlives its request. A subclass has a fixture ``front``."""

    @pytest.fixture(autouse=True)
    def every_job_ends(self):
        """No job outlives its test."""
        yield
        wait_for(running_jobs, "the jobs to end", equals=0)

    @pytest.fixture
    def ask(self, front):
        """Mount a view that starts a job; return its URL."""

        def ask(source, **arguments):
            def asked(request):
                user = front.query(request).get("user")
                job = front.sse.start("answer", source(), user=user, **arguments)
                return front.respond(request, job, location="/answers/1")

            return front.view(asked)

        return ask

    @pytest.fixture
    def attached(self, front):
        """Mount a view that shows the job; return its URL."""

        def attached(request):
            user = front.query(request).get("user")
            return front.attach(request, "answer", user=user)

        return front.view(attached)

    def test_once(self, front, ask, attached):
        """Whoever starts a job and whoever attaches to it get all of it; it runs once."""
        runs = []

        def source():
            runs.append(1)
            yield front.text_for_json
            yield "b"

        url = ask(source)
        started = front.get(url, method="POST")
        assert front.headers(started)["Location"] == "/answers/1"
        first, *rest = texts(started)
        assert (first, rest) == (front.json_of_text, ["b"])
        again = read_events(front.get(url))
        assert [event.data for event in again] == ["", first, "b", FINISHED]
        assert texts(front.get(attached)) == ["", first, "b", FINISHED]
        assert texts(front.get(attached, {"Last-Event-ID": again[1].id})) == ["b", FINISHED]
        assert runs == [1]

    def test_nothing_there(self, front, attached):
        """Without a job there is nothing; a client that has some of it is told that it is lost."""
        response = front.get(attached)
        assert (response.status_code, front.body(response)) == (204, b"")
        assert front.headers(response)["Cache-Control"] == "no-cache, no-transform"
        assert "Content-Type" not in front.headers(response)
        assert kinds(front.get(attached, {"Last-Event-ID": "abc-1"})) == [
            *("stream-reset", "stream-end"),
        ]

    def test_of_another_user(self, front, ask, attached):
        """Another user's job is as if it did not exist."""
        url = ask(lambda: iter("a"))
        texts(front.get(f"{url}?user=ann"))
        assert front.get(f"{attached}?user=bob").status_code == 204
        assert front.get(attached).status_code == 204
        assert texts(front.get(f"{attached}?user=ann")) == ["", "a", FINISHED]
        with front.request():
            assert front.sse.job_status("answer") is None
            assert front.sse.job_status("answer", user="ann").state == "finished"
            assert not front.sse.cancel("answer", user="bob")
            assert [status.key for status in front.sse.jobs(user="ann")] == ["answer"]
            assert front.sse.jobs(user="bob") == []
            assert len(front.sse.jobs()) == 1

    def test_without_a_request(self, front, attached):
        """The source runs in the application, and in no request."""
        with front.request():
            front.sse.start("answer", front.without_request())
        assert texts(front.get(attached)) == ["", "no request", FINISHED]

    def test_cancelled(self, front, ask, attached):
        """Anybody who may can end a job; its viewers are told."""
        steps = threading.Semaphore(0)

        def source():
            yield "a"
            assert steps.acquire(timeout=10)
            yield "b"

        opened = front.get(ask(source))
        assert texts(opened, 2) == ["", "a"]
        with front.request():
            assert front.sse.cancel("answer", reason="enough")
        (end,) = read_events(opened)
        assert (end.event, end.id) == ("stream-end", END_ID)
        assert json.loads(end.data) == {"outcome": "cancelled", "message": "enough"}
        steps.release()

    def test_failed(self, front, ask, caplog):
        """An API client is told in its own form; without one the connection is broken off."""

        def source():
            yield "a"
            raise ValueError("secret")

        def asked(request):
            job = front.sse.start("answer", source())
            return front.respond(request, job, error=lambda failure: failure.reason.name)

        assert texts(front.get(front.view(asked), method="POST")) == ["a", "FAILED"]
        assert "secret" in caplog.text

    def test_written_by_a_task(self, front, attached):
        """Something else can write a job."""
        with front.request(), front.sse.job("answer") as job:
            job.emit(front.text_for_json)
        assert texts(front.get(attached)) == ["", front.json_of_text, FINISHED]

    def test_limits(self, front):
        """A user, and a process, can have so many jobs."""
        front.configure(max_jobs=2, max_jobs_per_user=1)
        steps = threading.Semaphore(0)

        def source():
            assert steps.acquire(timeout=10)
            yield "a"

        with front.request():
            front.sse.start("a", source(), user="ann")
            with pytest.raises(JobRefused, match="this user has 1 jobs already"):
                front.sse.start("b", source(), user="ann")
            front.sse.start("a", source())
            with pytest.raises(JobRefused, match="this process runs 2 jobs already"):
                front.sse.start("b", source())
        steps.release(2)

    def test_out_of_reach(self, front, ask):
        """The channel of a job cannot be published or subscribed to."""

        def shown(request):
            return front.subscribe(request, front.query(request)["channel"])

        url, shown, endpoint = ask(lambda: iter("a")), front.view(shown), front.endpoint()
        front.authorize(lambda *args: True)
        texts(front.get(url))
        (channel,) = {record.channel for record in front.hub().broker.jobs.find()}
        with front.request(), pytest.raises(ConfigurationError, match="printable"):
            front.sse.publish(channel, "x")
        query = urlencode({"channel": channel})
        with pytest.raises(ConfigurationError, match="printable"):
            front.get(f"{shown}?{query}")
        assert front.get(f"{endpoint}?{query}").status_code == 400


class FrontContract(
    StreamContract, OriginContract, ChannelContract, AccessContract, UserContract, JobContract
):
    """The suite. A subclass has a fixture ``front``, which is a :class:`Front`."""
