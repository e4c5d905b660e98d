"""
Browsers read what the library writes, even at the edges of the format.

The tests follow the ``eventsource`` directory of the Web Platform Tests as far as it exercises what
a server sends: format, fields, reconnection, last event ID, status codes, redirects, other origins.
They leave out what concerns only the browser, such as the constructor, interfaces, workers and the
back-forward cache, and bytes that the library never writes, such as a bogus reconnection time;
instead, they test that the library refuses these. Where the browsers differ, a test says how.
"""

import contextlib
import http.client
import json
from dataclasses import replace

import pytest

from sse_sync import END_ID, EventError, ServerSentEvent
from tests.browsers import BROWSERS
from tests.live.servers import Server, free_port, kind
from tests.waiting import wait_for

WORKERS = ["gunicorn-gevent", "gunicorn-handoff-gevent"]
OPEN, RECONNECTING, CLOSED = ["open", 1], ["error", 0], ["error", 2]
END = ["stream-end", "", END_ID]
TYPES = {"message", "stream-open", "stream-end", "stream-disconnect", "stream-reset"}
# Milliseconds within which a browser reconnects, if it does; Firefox waits at least 500.
LINGER = 700


def message(data, id="", type="message"):
    """What the page records of an event."""
    return [type, data, id]


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Both kinds of workers, each at two ports: two origins."""
    with contextlib.ExitStack() as stack:
        running = {}
        for worker in WORKERS:
            other = ("-b", f"127.0.0.1:{free_port()}")
            which = replace(kind(f"{worker}-flask"), framework="web-platform")
            log = tmp_path_factory.mktemp("log") / "log"
            running[worker] = stack.enter_context(Server(which, log, extra=other))
        yield running
    for server in running.values():
        assert "Traceback" not in server.output(), server.output()


@pytest.fixture(scope="module")
def browsers(sites, tmp_path_factory):
    """One of each browser, started on first use."""
    running = {}
    with contextlib.ExitStack() as stack:

        def get(name):
            if name not in running:
                folder = tmp_path_factory.mktemp(name)
                running[name] = stack.enter_context(BROWSERS[name](folder))
            return running[name]

        yield get


@pytest.fixture(params=BROWSERS)
def browser(request, browsers):
    """Each browser in turn."""
    return browsers(request.param)


class Page:
    """A page with an EventSource, and the plan of what its server sends."""

    def __init__(self, browser, site, key):
        self.browser = browser
        self.site = site
        self.path = f"/streams/{key}"
        browser.open(site.url + "/")

    @property
    def other_origin(self):
        """The URL of the stream on another origin than the page's."""
        return f"http://{self.site.extra[-1]}{self.path}"

    def plan(self, *visits, path=None, **options):
        """Plan what each visit gets."""
        self.send("PUT", path or self.path, {"visits": visits, "options": options})

    def begin(self, url=None, *, until=END, types=(), credentials=False, linger=0):
        """Open an EventSource, which is closed at the first entry with this prefix."""
        how = {"until": until, "types": sorted(TYPES.union(types))}
        how |= {"credentials": credentials, "linger": linger}
        self.browser.run("watch(...arguments)", url or self.path, how)

    def so_far(self):
        """Return what has happened up to now."""
        return self.browser.run("return log")

    def all(self):
        """Return what has happened at the end."""
        return self.browser.run("return await finished")

    def watch(self, *arguments, **options):
        """Return what happens to an EventSource."""
        self.begin(*arguments, **options)
        return self.all()

    def requests(self, path=None):
        """Return the requests that the server got."""
        return self.site.json((path or self.path).replace("streams", "requests"))

    def last_event_ids(self, path=None):
        """Return the last event ID of each visit."""
        return [visit["last_event_id"] for visit in self.requests(path)]

    def send(self, method, path, body):
        """Send JSON to the server."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.site.port)) as client:
            client.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            answer = client.getresponse()
            assert answer.status in (200, 204), answer.read()


@pytest.fixture
def page(browser, sites, key):
    """A page whose streams are generators."""
    return Page(browser, sites["gunicorn-gevent"], key)


@pytest.fixture(params=WORKERS)
def room(request, browser, sites, key):
    """A page whose stream is a channel: written by a greenlet, or handed off."""
    page = Page(browser, sites[request.param], key)
    page.path = f"/channels/{key}"
    return page


def test_browser(browser, sites):
    """The tests' foundation: values both ways, console errors, pictures."""
    browser.open(sites["gunicorn-gevent"].url + "/")
    value = [None, 1.5, {"é": "\0\u2028\U0001f600"}]
    assert browser.run("return await Promise.resolve([...arguments])", *value) == value
    browser.run("console.error('oops')")
    assert ["oops" in error for error in browser.errors()].count(True) == 1
    assert not any("oops" in error for error in browser.errors())
    assert browser.screenshot().startswith(b"\x89PNG")


# Format. Most names are those of the Web Platform Tests' files.

# Text arrives as it is.
TEXTS = {
    "bom": ("\ufeffbyte order mark", "\ufeff", "in the \ufeff middle"),
    "empty-lines": ("\n", "\n\n", "\n\n\n", "a\n", "\na"),
    "field-data": ("data", "data:", "data: data", ":", ": comment", "a: b", "", "0"),
    "field-parsing": ("x\nid: 9\nevent: y\nretry: 1\n\ndata: z\n\n:", "id", "event", "retry: 9"),
    "leading-space": (" one", "  two", "\ttab", " \n ", "trailing "),
    "no-newlines": ("\u2028", "a\u2029b", "a\x85b", "a\x0bb\x0cc\x1cd\x1ee", "\u2028\u2028"),
    "utf-8": ("ok…", "é", "\U0001f600", "\U0010ffff", "\ufffd\ufffe\uffff", "\x7f\x80\x9f"),
}
# What is yielded, and what arrives.
FORMATS = {name: [(text, message(text)) for text in texts] for name, texts in TEXTS.items()} | {
    "comments": [
        ({"comment": ""}, None),
        ({"comment": "data: no\ndata: no\r\rdata: no\r\n\r\ndata: no"}, None),
        ({"comment": "\0\u2028\ufeff: " + "x" * 5000}, None),
        ({"comment": "before", "data": "after"}, message("after")),
    ],
    "field-event": [
        ({"event": "test", "data": "x"}, message("x", type="test")),
        ({"event": "message", "data": "explicit"}, message("explicit")),
        ("the type is forgotten", message("the type is forgotten")),
        ({"event": "a: b", "data": ""}, message("", type="a: b")),
        ({"event": " é\u2028\ufeff", "data": "x"}, message("x", type=" é\u2028\ufeff")),
    ],
    "field-event-empty": [({"event": "", "data": "x"}, message("x"))],
    "field-id": [
        ({"id": "1", "data": "a"}, message("a", "1")),
        ("stays", message("stays", "1")),
        ({"id": 0, "data": "a value"}, message("a value", "0")),
        ({"id": "…", "data": "b"}, message("b", "…")),
        ({"id": "\ufeffé: x", "data": "c"}, message("c", "\ufeffé: x")),
        ({"id": "", "data": "forgotten"}, message("forgotten")),
        ("for good", message("for good")),
    ],
    "field-order": [
        (
            {"comment": "c", "event": "test", "id": "7", "retry": 30, "data": "a\nb"},
            message("a\nb", "7", "test"),
        )
    ],
    "field-retry": [({"retry": 0}, None), ({"retry": 999_999_999}, None), ("x", message("x"))],
    "json": [
        ([1, None, "é\n"], message(r'[1, null, "\u00e9\n"]')),
        ({"data": {"data": "x\n\ny"}}, message(r'{"data": "x\n\ny"}')),
        (0, message("0")),
        (False, message("false")),
    ],
    "newlines": [
        ("a\nb", message("a\nb")),
        ("a\rb", message("a\nb")),
        ("a\r\nb", message("a\nb")),
        ("a\n\rb", message("a\n\nb")),
        ("a\r\n\r\nb", message("a\n\nb")),
        ("\r", message("\n")),
        ("\r\n", message("\n")),
    ],
}


@pytest.mark.parametrize("steps", FORMATS.values(), ids=FORMATS)
def test_format(page, steps):
    """What a generator yields arrives unchanged, except for the kind of line break."""
    page.plan([yielded for yielded, _ in steps])
    seen = [seen for _, seen in steps if seen is not None]
    assert page.watch(types={type for type, *_ in seen}) == [OPEN, *seen, END]


def test_null_character(page):
    """NUL is data in Chromium; Firefox drops it after a space."""
    texts = ["\0", "a\0b", "\0\n\0"]
    page.plan(texts)
    seen = texts if page.browser.name == "chromium" else ["", "ab", "\n"]
    assert page.watch() == [OPEN, *map(message, seen), END]


REFUSED = [
    {"data": "x", "event": "a\nb"},
    {"data": "x", "event": "a\rb"},
    {"event": "without data"},
    {"data": "x", "id": "a\0b"},
    {"data": "x", "id": "a\r\nb"},
    {"data": "x", "id": "a\x01b"},
    {"data": "x", "id": " a"},
    {"data": "x", "id": "i" * 1025},
    *({"data": "x", "retry": bogus} for bogus in ("3000", "1000x", "", -1, 1.5, True)),
    {"data": "lone surrogate \ud800"},
    {"comment": "\udfff"},
    {},
]


@pytest.mark.parametrize("fields", REFUSED, ids=repr)
def test_refused(fields):
    """An event that browsers would ignore or misread cannot be created."""
    with pytest.raises(EventError):
        ServerSentEvent(**fields)


def test_long_lines(page):
    """A megabyte in one line, and characters that are split between packets."""
    texts = ["x" * 1_000_000, "é\U0001f600" * 50_000, "\n" * 10_000]
    type, id = "t" * 5000, "i" * 1024
    page.plan([*texts, {"event": type, "data": "x", "id": id}])
    seen = page.watch(types=[type])
    assert seen == [OPEN, *map(message, texts), message("x", id, type), END]


def test_many_events(page):
    """Thousands of events, in order."""
    page.plan([{"id": number, "data": str(number)} for number in range(5000)])
    assert page.watch() == [OPEN, *(message(str(n), str(n)) for n in range(5000)), END]


def test_heartbeats_are_no_events(page):
    """Heartbeats are invisible to the page."""
    page.plan(["a", {"wait": 0.3}, "b"], heartbeat=0.02)
    assert page.watch() == [OPEN, message("a"), message("b"), END]


# Channels.


def wait_until_open(room):
    """Wait until what is published reaches the page."""
    wait_for(lambda: "stream-open" in [entry[0] for entry in room.so_far()], "the stream to open")


# What is published, and what arrives of it beside the id.
PUBLISHED = [
    *(({"data": text}, ["message", text]) for texts in TEXTS.values() for text in texts),
    ({"data": "a\rb\r\nc", "event": "message"}, ["message", "a\nb\nc"]),
    ({"data": "", "event": "test"}, ["test", ""]),
    ({"data": "x" * 500_000, "event": ""}, ["message", "x" * 500_000]),
    ({"data": {"é": [None, 1.5]}}, ["message", r'{"\u00e9": [null, 1.5]}']),
    ({"data": "last"}, ["message", "last"]),
]


def test_channel(room):
    """Published events arrive in the same way, each with its own id."""
    room.begin(until=["message", "last"], types=["test"])
    wait_until_open(room)
    if "handoff" in str(room.site.kind):
        wait_for(lambda: room.site.json("/statistics")["handed_off"], "the stream to be handed off")
    room.send("POST", room.path, [event for event, _ in PUBLISHED])
    opened, begun, *events = room.all()
    assert (opened, begun[:2]) == (OPEN, ["stream-open", ""])
    assert [event[:2] for event in events] == [expected for _, expected in PUBLISHED]
    assert len({event[2] for event in (begun, *events)}) == 1 + len(PUBLISHED)


def test_channel_resumes(room):
    """Clients that the server disconnects come back and miss nothing."""
    room.begin(until=["message", "last"])
    wait_until_open(room)
    room.send("POST", room.path, [{"data": "one"}, {"data": "two"}])
    room.send("POST", room.path + "/disconnect", {"for_good": False})
    room.send("POST", room.path, [{"data": "three"}, {"data": "last"}])
    entries = [entry[:2] for entry in room.all()]
    assert entries == [
        *(OPEN, ["stream-open", ""], ["message", "one"], ["message", "two"]),
        *(["stream-disconnect", ""], RECONNECTING, OPEN),
        *(["message", "three"], ["message", "last"]),
    ]


def test_channel_ends(room):
    """Clients that are disconnected for good get 204, and do not come back."""
    room.begin(until=CLOSED, linger=LINGER)
    wait_until_open(room)
    room.send("POST", room.path + "/disconnect", {"for_good": True, "reason": "bye\nbye"})
    entries = room.all()
    assert entries[2:] == [message("bye\nbye", END_ID, "stream-end"), RECONNECTING, CLOSED]


# Opening, closing and reconnecting.


def test_open(page):
    """A stream is open before its first event."""
    page.plan([{"wait": 60}])
    assert page.watch(until=OPEN) == [OPEN]
    reason = wait_for(lambda: page.requests()[0]["reason"], "the server to see the end")
    assert reason == "CLIENT_GONE"


def test_request(page):
    """An EventSource's request and the library's answer match each other."""
    page.browser.run("document.cookie = 'visitor=me; path=/'")
    page.plan(["x"])
    assert page.watch(until=["message"]) == [OPEN, message("x")]
    (visit,) = page.requests()
    assert visit["method"] == "GET"
    assert visit["headers"]["Accept"] == "text/event-stream"
    assert visit["headers"]["Cache-Control"] == "no-cache"
    assert visit["headers"]["Cookie"] == "visitor=me"
    assert visit["last_event_id"] is None
    answer = "const { headers } = await fetch(location.origin + arguments[0]); return [...headers]"
    page.plan(["x"])  # Now the answer.
    headers = dict(page.browser.run(answer, page.path))
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-transform"


def test_end(page):
    """A browser reconnects once after the end, gets 204, and stays away."""
    page.plan([{"data": "x", "id": "1"}])
    log = page.watch(until=CLOSED, linger=LINGER)
    assert log == [OPEN, message("x", "1"), END, RECONNECTING, CLOSED]
    assert page.last_event_ids() == [None, END_ID]


def test_finished_body(page):
    """After an end without the marker, the browser keeps reconnecting."""
    page.plan(["one"], [{"data": "two", "id": "2"}], ["three"])
    assert page.watch() == [
        *(OPEN, message("one"), RECONNECTING),
        *(OPEN, message("two", "2"), RECONNECTING),
        *(OPEN, message("three", "2"), END),
    ]
    assert page.last_event_ids() == [None, None, "2"]


def test_broken_connection(page):
    """After a broken connection, the browser sends the id of the last event."""
    page.plan([{"data": "one", "id": "1"}, {"break": True}, "lost"], ["two"])
    log = page.watch()
    assert log == [OPEN, message("one", "1"), RECONNECTING, OPEN, message("two", "1"), END]
    assert page.last_event_ids() == [None, "1"]


def test_failing_reconnection(page):
    """A browser that is refused when it reconnects gives up."""
    page.plan(["opened"], ["reconnected"], {"status": 404})
    assert page.watch(until=CLOSED, linger=LINGER) == [
        *(OPEN, message("opened"), RECONNECTING),
        *(OPEN, message("reconnected"), RECONNECTING, CLOSED),
    ]
    assert len(page.requests()) == 3


# The Fetch standard calls some of these unsafe in a request to another origin.
IDS = {
    "ascii": "1",
    "zero": "0",
    "unicode": "… é \U0001f600 \u2028 \ufeff",
    "unsafe": '"a b\tc" <d>: (e), {f}; @[g]?\\',
    "long": "i" * 1024,
}


@pytest.mark.parametrize("id", IDS.values(), ids=IDS)
def test_last_event_id(page, id):
    """An id is sent back unchanged."""
    page.plan([{"data": "x", "id": id}], ["y"])
    assert page.watch() == [OPEN, message("x", id), RECONNECTING, OPEN, message("y", id), END]
    assert page.last_event_ids() == [None, id]


def test_empty_last_event_id(page):
    """An empty id makes browsers forget the last."""
    page.plan([{"data": "x", "id": "1"}, {"data": "y", "id": ""}], ["z"])
    page.watch()
    first, second = page.requests()
    assert first["last_event_id"] is None
    assert second["last_event_id"] is None
    assert "Last-Event-Id" not in second["headers"]


def test_id_without_data(page):
    """Chromium keeps an id without data; Firefox ignores it. The end has data."""
    page.plan([{"data": "x", "id": "1"}, {"id": "2"}], ["y"])
    taken = {"chromium": "2", "firefox": "1"}[page.browser.name]
    log = page.watch()
    assert log == [OPEN, message("x", "1"), RECONNECTING, OPEN, message("y", taken), END]
    assert page.last_event_ids() == [None, taken]


def test_retry(page):
    """Browsers wait for the reconnection time; the next stream's first bytes reset it."""
    page.plan([{"retry": 4000}], ["one"], ["two"])
    assert page.watch()[-2:] == [message("two"), END]
    first, second, third = (visit["at"] for visit in page.requests())
    assert third - second < 3.9 < second - first


# Status codes, types and redirects.

FATAL = [204, 205, 210, 299, 401, 403, 404, 410, 500, 503]


@pytest.mark.parametrize("status", FATAL)
def test_status(page, status):
    """Any status but 200 makes browsers give up at once and for good."""
    body = None if status in (204, 205) else "data: x\n\n"
    page.plan({"status": status, "body": body, "headers": {"Content-Type": "text/event-stream"}})
    assert page.watch(until=CLOSED) == [CLOSED]
    assert len(page.requests()) == 1


@pytest.mark.parametrize("type", ["text/x-bogus", "text/plain", "text/html", "application/json"])
def test_wrong_type(page, type):
    """So does a wrong content type."""
    page.plan({"status": 200, "body": "data: x\n\n", "headers": {"Content-Type": type}})
    assert page.watch(until=CLOSED) == [CLOSED]
    assert len(page.requests()) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(page, status):
    """
    A view may redirect to its stream.

    By the standard, browsers reconnect to the URL that the page has named. Chromium reconnects to
    the target, and Firefox does so after a permanent redirect. All of them get 204.
    """
    target = page.path + "-target"
    page.plan({"status": status, "headers": {"Location": target}})
    page.plan([{"data": "x", "id": "1"}], path=target)
    log = page.watch(until=CLOSED)
    assert log == [OPEN, message("x", "1"), END, RECONNECTING, CLOSED]
    moved = page.browser.name == "chromium" or status in (301, 308)
    assert page.last_event_ids() == ([None] if moved else [None, END_ID])
    assert page.last_event_ids(target) == ([None, END_ID] if moved else [None])


# Other origins.

PAGE, LISTED = "the page's", "http://listed.example"
# The stream's options, whether the page wants credentials, and whether it may read the stream.
OTHER_ORIGINS = {
    "nothing": ({}, False, False),
    "not-listed": ({"cors_origins": [LISTED]}, False, False),
    "listed": ({"cors_origins": [PAGE, LISTED]}, False, True),
    "any": ({"cors_origins": ["*"]}, False, True),
    "credentials-nothing": ({}, True, False),
    "credentials-not-listed": ({"cors_origins": [LISTED], "cors_credentials": True}, True, False),
    "credentials-not-allowed": ({"cors_origins": [PAGE]}, True, False),
    "credentials-any": ({"cors_origins": ["*"]}, True, False),
    "credentials": ({"cors_origins": [PAGE], "cors_credentials": True}, True, True),
    "credentials-not-wanted": ({"cors_origins": [PAGE], "cors_credentials": True}, False, True),
}


@pytest.mark.parametrize(
    ("options", "credentials", "allowed"), OTHER_ORIGINS.values(), ids=OTHER_ORIGINS
)
def test_other_origin(page, options, credentials, allowed):
    """A page of a listed origin reads a stream, with cookies if these are allowed."""
    page.browser.run("document.cookie = 'visitor=me; path=/'")
    origins = [page.site.url if it == PAGE else it for it in options.get("cors_origins", ())]
    page.plan(["x"], **{**options, "cors_origins": origins})
    log = page.watch(page.other_origin, until=CLOSED, credentials=credentials)
    came_back = [OPEN, message("x"), END, RECONNECTING, CLOSED]
    assert log == (came_back if allowed else [CLOSED])
    cookies = [visit["headers"].get("Cookie") for visit in page.requests()]
    assert cookies == ["visitor=me" if credentials else None] * (2 if allowed else 1)


def test_redirect_to_other_origin(page):
    """A redirect to another origin needs that one's permission."""
    target = page.path + "-target"
    page.plan({"status": 307, "headers": {"Location": page.other_origin + "-target"}})
    page.plan(["x"], path=target)
    assert page.watch(until=CLOSED) == [CLOSED]
    page.plan({"status": 307, "headers": {"Location": page.other_origin + "-target"}})
    page.plan(["x"], path=target, cors_origins=[page.site.url])
    assert page.watch() == [OPEN, message("x"), END]


@pytest.mark.parametrize("id", IDS.values(), ids=IDS)
def test_last_event_id_of_other_origin(page, id):
    """An id is sent back to another origin, too, without a preflight."""
    page.plan([{"data": "x", "id": id}], ["y"], cors_origins=[page.site.url])
    log = page.watch(page.other_origin)
    assert log == [OPEN, message("x", id), RECONNECTING, OPEN, message("y", id), END]
    asked = [(visit["method"], visit["last_event_id"]) for visit in page.requests()]
    assert asked == [("GET", None), ("GET", id)]
