"""Plain WSGI: from a request to an answer."""

import wsgiref.util
from wsgiref.validate import validator

import pytest

from sse_sync import END_ID, ServerSentEvent, SourceError, statistics
from sse_sync.settings import Options
from sse_sync.testing import read_events
from sse_sync.wsgi import answer, application, last_event_id, refusal


def environ(**values):
    made = {"QUERY_STRING": ""}
    wsgiref.util.setup_testing_defaults(made)
    return {**made, **values}


def call(app, **values):
    seen = []
    body = app(environ(**values), lambda status, headers: seen.append((status, dict(headers))))
    return *seen[0], body


def test_application():
    """A view without a framework is served."""
    status, headers, body = call(application(lambda environ: ["a"], retry=5))
    assert status == "200 OK"
    assert headers == {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
    }
    assert read_events(body) == [
        ServerSentEvent("a"),
        ServerSentEvent("", event="stream-end", id=END_ID),
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("Set-Cookie", "a"), ("Set-Cookie", "b")], [("Set-Cookie", "a"), ("Set-Cookie", "b")]),
        ([("content-type", "text/plain"), ("X-A", "1")], [("X-A", "1")]),
        ([("vary", "Cookie"), ("Vary", "origin,  Accept")], [("Vary", "Cookie, Origin, Accept")]),
        ([("Vary", "Cookie, *")], [("Vary", "*")]),
    ],
)
def test_headers_of_the_view(given, expected):
    """The view's headers are sent as they are, except those that the stream needs; both vary."""
    options = Options(cors_origins=("https://a.example",))
    stream = [header for header in answer(environ(), ["a"], options).headers if header[0] != "Vary"]
    headers = answer(environ(), ["a"], options, headers=given).headers
    assert headers[: len(stream)] == stream
    vary = [] if expected[-1][0] == "Vary" else [("Vary", "Origin")]
    assert headers[len(stream) :] == expected + vary


def test_refused_request_is_not_expected():
    """The hub hears nothing of a client that gets no stream."""

    class Unreachable:
        def expect(self, *args, **kwargs):
            pytest.fail("asked")

    finished = environ(HTTP_LAST_EVENT_ID=END_ID)
    assert answer(finished, ["a"], Options(), app_hub=Unreachable(), user="ann").status == 204


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_valid_wsgi(method):
    """The standard library's validator finds nothing wrong."""
    app = validator(application(lambda environ: ["a"]))
    seen = []
    body = app(environ(REQUEST_METHOD=method), lambda *args: seen.append(args))
    chunks = list(body)
    body.close()
    assert len(chunks) == (3 if method == "GET" else 0)


def test_head_starts_nothing():
    """HEAD gives the headers only."""

    def view(environ):
        pytest.fail("ran")
        yield

    status, headers, body = call(application(view), REQUEST_METHOD="HEAD")
    assert (status, list(body)) == ("200 OK", [])
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"


def test_finished():
    """The end marker is answered 204."""
    app = application(lambda environ: ["a"])
    status, headers, body = call(app, HTTP_LAST_EVENT_ID=END_ID)
    assert (status, b"".join(body)) == ("204 No Content", b"")
    assert "Content-Type" not in headers


def test_http_2_of_gunicorn(caplog):
    """Where a stream would block the whole connection, it is refused, and the log says why."""
    app = application(lambda environ: ["a"])
    values = {"gunicorn.http2.send_trailers": lambda trailers: None}
    status, _, body = call(app, **values)
    assert status == "505 HTTP Version Not Supported"
    assert b"".join(body).startswith(b"Event streams are not served over HTTP/2")
    assert "Let the proxy speak HTTP/2" in caplog.text


def test_full(runtime):
    """A client that is not an event source gets a status and Retry-After."""
    options = Options(max_streams=1)
    first = answer(environ(SERVER_SOFTWARE="x"), ["a"], options)
    next(first.stream)
    closed = []

    class Source(list):
        def close(self):
            closed.append(True)

        def __iter__(self):
            return self

        def __next__(self):
            raise StopIteration

    second = answer(environ(), Source(), options)
    assert (second.status, second.stream, closed) == (503, None, [True])
    assert 30 <= int(dict(second.headers)["Retry-After"]) <= 60
    third = answer(environ(HTTP_ACCEPT="text/event-stream"), ["a"], options)
    assert third.status == 200
    first.stream.close()
    assert statistics().refused == 1


def test_plain_on_a_full_server(runtime):
    """Whatever it accepts, a client that is no event source is answered with a status."""
    options = Options(max_streams=1)
    first = answer(environ(SERVER_SOFTWARE="x"), ["a"], options)
    next(first.stream)
    accept = {"HTTP_ACCEPT": "text/event-stream"}
    for values, plain in (({"REQUEST_METHOD": "POST"}, None), ({}, True)):
        asked = environ(**accept, **values)
        assert refusal(asked, options, plain, None).status == 503
        refused = answer(asked, ["a"], options, plain=plain)
        assert refused.status == 503
        assert 30 <= int(dict(refused.headers)["Retry-After"]) <= 60
    first.stream.close()
    assert refusal(environ(**accept), options, True, None) is None
    assert statistics().refused == 4


def test_full_meanwhile(runtime):
    """A view may take long: whether there is room is asked once more, other options, too."""
    options = Options(max_streams=1)
    asked = environ(REQUEST_METHOD="POST")
    assert refusal(asked, options, None, None) is None
    first = answer(environ(SERVER_SOFTWARE="x"), ["a"], options)
    next(first.stream)
    assert answer(asked, ["a"], options).status == 503
    first.stream.close()
    forged = environ(REQUEST_METHOD="POST", HTTP_COOKIE="a", HTTP_ORIGIN="https://a.example")
    assert refusal(forged, Options(cors_origins=("https://a.example",)), None, None) is None
    assert answer(forged, ["a"], Options()).status == 403


def test_plain_client_is_never_finished():
    """Only an event source sends our end marker back."""
    values = environ(HTTP_LAST_EVENT_ID=END_ID)
    assert answer(values, ["a"], Options()).status == 204
    assert b"".join(answer(values, ["a"], Options(), plain=True).stream) == b":\ndata: a\n\n"


def test_not_a_source():
    """A value that is not a source is always an error."""
    for values in ({}, {"HTTP_LAST_EVENT_ID": END_ID}):
        with pytest.raises(SourceError):
            answer(environ(**values), "text", Options())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"HTTP_LAST_EVENT_ID": "7"}, "7"),
        ({"HTTP_LAST_EVENT_ID": ""}, None),
        ({"HTTP_LAST_EVENT_ID": "…".encode().decode("latin-1")}, "…"),
        ({"HTTP_LAST_EVENT_ID": "\xff"}, None),
        ({"HTTP_LAST_EVENT_ID": "…"}, None),
        ({"HTTP_LAST_EVENT_ID": "a\0b"}, None),
        ({"HTTP_LAST_EVENT_ID": "x" * 1024}, "x" * 1024),
        ({"HTTP_LAST_EVENT_ID": "x" * 1025}, None),
        ({"QUERY_STRING": "lastEventId=7"}, "7"),
        ({"QUERY_STRING": "a=b&lastEventId=%E2%80%A6"}, "…"),
        ({"QUERY_STRING": "lastEventId=%FF"}, None),
        ({"QUERY_STRING": "lastEventId=a%0Ab"}, None),
        ({"QUERY_STRING": "lastEventId="}, None),
        ({"QUERY_STRING": "lastEventId=7" + "&a=b" * 200}, None),
        ({"QUERY_STRING": "lastEventId=7", "HTTP_LAST_EVENT_ID": "8"}, "8"),
    ],
)
def test_last_event_id(values, expected):
    """The last event ID is UTF-8, short, and something an event could have carried."""
    assert last_event_id(values) == expected


@pytest.mark.parametrize(
    ("protocol", "expected"), [("HTTP/1.1", "keep-alive"), ("HTTP/1.0", "close")]
)
def test_connection_header(protocol, expected):
    """Where the application has to, it sends the Connection header."""
    pywsgi = type("Input", (), {"__module__": "gevent.pywsgi"})()
    values = {"SERVER_SOFTWARE": "gevent", "wsgi.input": pywsgi, "SERVER_PROTOCOL": protocol}
    headers = dict(answer(environ(**values), ["a"], Options()).headers)
    assert headers["Connection"] == expected
    headers = dict(answer(environ(SERVER_PROTOCOL=protocol), ["a"], Options()).headers)
    assert "Connection" not in headers
