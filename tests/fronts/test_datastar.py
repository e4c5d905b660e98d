"""
What Datastar's SDKs have to send, over POST, made by datastar-py and streamed by both fronts.

The cases are our own, written after the SDK's specification ("ServerSentEventGenerator", which
says what each call writes and in what order), in the form of its test suite: the client posts the
calls as JSON, and the server makes them.
"""

import json

import flask
import pytest
from datastar_py import ServerSentEventGenerator
from django.test import RequestFactory

from sse_sync import django as sse_sync_django
from sse_sync import flask as sse_sync_flask

CALLS = {
    "patchElements": ServerSentEventGenerator.patch_elements,
    "removeElements": ServerSentEventGenerator.remove_elements,
    "patchSignals": ServerSentEventGenerator.patch_signals,
    "executeScript": ServerSentEventGenerator.execute_script,
}
ARGUMENTS = {
    "eventId": "event_id",
    "retryDuration": "retry_duration",
    "useViewTransition": "use_view_transition",
    "onlyIfMissing": "only_if_missing",
    "autoRemove": "auto_remove",
}


def elements(*lines, fields=""):
    data = "".join(f"data: {line}\n" for line in lines)
    return f"event: datastar-patch-elements\n{fields}{data}\n"


def signals(*lines, fields=""):
    data = "".join(f"data: {line}\n" for line in lines)
    return f"event: datastar-patch-signals\n{fields}{data}\n"


LATER = {"eventId": "e-7", "retryDuration": 4000}
NEVER = {"retryDuration": 1000}  # The default, which is not sent.
FIELDS = "id: e-7\nretry: 4000\n"
CASES = {
    "elements": (
        [{"type": "patchElements", "elements": "<p id='a'>1</p>"}],
        elements("elements <p id='a'>1</p>"),
    ),
    "elements in lines": (
        [{"type": "patchElements", "elements": "<ul id='a'>\n  <li>ä € 🙂</li>\n</ul>"}],
        elements("elements <ul id='a'>", "elements   <li>ä € 🙂</li>", "elements </ul>"),
    ),
    "elements with everything": (
        [
            {
                "type": "patchElements",
                "elements": "<b>1</b>\n<b>2</b>",
                "selector": "#a > .b",
                "mode": "prepend",
                "useViewTransition": True,
                **LATER,
            }
        ],
        elements(
            "mode prepend",
            "selector #a > .b",
            "useViewTransition true",
            "elements <b>1</b>",
            "elements <b>2</b>",
            fields=FIELDS,
        ),
    ),
    "elements with the defaults": (
        [
            {
                "type": "patchElements",
                "elements": "<p id='a'>1</p>",
                "mode": "outer",
                "useViewTransition": False,
                **NEVER,
            }
        ],
        elements("elements <p id='a'>1</p>"),
    ),
    "removed elements": (
        [{"type": "removeElements", "selector": "#a, #b"}],
        elements("mode remove", "selector #a, #b"),
    ),
    "removed elements with everything": (
        [{"type": "removeElements", "selector": "#a", **LATER}],
        elements("mode remove", "selector #a", fields=FIELDS),
    ),
    "signals": (
        [{"type": "patchSignals", "signals": {"n": 1, "user": {"name": ""}}}],
        signals('signals {"n":1,"user":{"name":""}}'),
    ),
    "signals in lines": (
        [{"type": "patchSignals", "signals": '{\n  "n": 1\n}'}],
        signals("signals {", 'signals   "n": 1', "signals }"),
    ),
    "signals with everything": (
        [{"type": "patchSignals", "signals": {"n": 1}, "onlyIfMissing": True, **LATER}],
        signals("onlyIfMissing true", 'signals {"n":1}', fields=FIELDS),
    ),
    "signals with the defaults": (
        [{"type": "patchSignals", "signals": {"n": 1}, "onlyIfMissing": False, **NEVER}],
        signals('signals {"n":1}'),
    ),
    "removed signals": (
        [{"type": "patchSignals", "signals": {"n": None, "user": {"name": None}}}],
        signals('signals {"n":null,"user":{"name":null}}'),
    ),
    "script": (
        [{"type": "executeScript", "script": "go()"}],
        elements(
            "mode append",
            "selector body",
            'elements <script data-effect="el.remove()">go()</script>',
        ),
    ),
    "script in lines": (
        [{"type": "executeScript", "script": "if (1) {\n  go()\n}", "autoRemove": False}],
        elements(
            "mode append",
            "selector body",
            "elements <script>if (1) {",
            "elements   go()",
            "elements }</script>",
        ),
    ),
    "script with everything": (
        [
            {
                "type": "executeScript",
                "script": "go()",
                "autoRemove": False,
                "attributes": {"type": "module", "async": "true"},
                **LATER,
            }
        ],
        elements(
            "mode append",
            "selector body",
            'elements <script type="module" async="true">go()</script>',
            fields=FIELDS,
        ),
    ),
    "one after the other": (
        [
            {"type": "patchSignals", "signals": {"n": 1}, "eventId": "1"},
            {"type": "removeElements", "selector": "#a"},
        ],
        signals('signals {"n":1}', fields="id: 1\n") + elements("mode remove", "selector #a"),
    ),
    "nothing": ([], ""),
}


def make(body):
    """Make the events that a client has posted."""
    for call in json.loads(body)["events"]:
        given = {ARGUMENTS.get(name, name): value for name, value in call.items()}
        yield CALLS[given.pop("type")](**given)


def post_to_flask(body):
    app = flask.Flask("datastar")
    sse_sync_flask.SSE(app)

    @app.post("/test")
    @sse_sync_flask.event_stream
    def test():
        return make(flask.request.get_data())

    return app.test_client().post("/test", data=body, content_type="application/json").data


def post_to_django(body):
    view = sse_sync_django.event_stream(lambda request: make(request.body))
    request = RequestFactory().post("/test", body, content_type="application/json")
    return b"".join(view(request).streaming_content)


@pytest.mark.django_db
@pytest.mark.parametrize("post", [post_to_flask, post_to_django])
@pytest.mark.parametrize("case", CASES)
def test_datastar(case, post):
    """After the opening comment, the body is what the specification says, byte for byte."""
    calls, expected = CASES[case]
    comment, _, events = post(json.dumps({"events": calls})).partition(b"\n")
    assert comment == b":"
    assert events.decode() == expected
