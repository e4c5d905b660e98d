"""The Flask application of the live tests."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import asdict
from pathlib import Path

from flask import Flask, g, jsonify, render_template_string, request

from sse_sync.flask import SSE, EventSourceResponse, event_stream, last_event_id
from tests.apps import middleware
from tests.apps.async_sources import ASYNC_SOURCES
from tests.apps.jobs import options_of, response_options, source_of
from tests.apps.sources import MARKS, SOURCES, figures, mark, openai_error

logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
logging.getLogger("sse_sync").setLevel(logging.INFO)

PAGE = Path(__file__).with_name("page.html")

app = Flask(__name__)
app.config["SECRET_KEY"] = "test"
app.config["SSE_HEARTBEAT"] = float(os.environ.get("TEST_HEARTBEAT", "0.3"))
app.config["SSE_RETRY"] = 1234
if "TEST_WRITE_TIMEOUT" in os.environ:
    app.config["SSE_WRITE_TIMEOUT"] = float(os.environ["TEST_WRITE_TIMEOUT"])
if "TEST_LIFETIME" in os.environ:
    app.config["SSE_LIFETIME"] = float(os.environ["TEST_LIFETIME"])
app.config["SSE_BROKER_URL"] = os.environ.get("TEST_BROKER_URL", "memory://")
if "TEST_MAX_STREAMS_PER_ADDRESS" in os.environ:
    app.config["SSE_MAX_STREAMS_PER_ADDRESS"] = int(os.environ["TEST_MAX_STREAMS_PER_ADDRESS"])
    app.config["SSE_TRUSTED_PROXIES"] = ["127.0.0.1"]
if "TEST_JOB_GRACE" in os.environ:
    app.config["SSE_JOB_GRACE"] = float(os.environ["TEST_JOB_GRACE"])
sse = SSE(app)


if "TEST_MIDDLEWARE" in os.environ:
    app.wsgi_app = getattr(middleware, os.environ["TEST_MIDDLEWARE"])(app.wsgi_app)


@app.teardown_request
def note_teardown(error):
    """Count teardowns of streams."""
    if "key" in g:
        mark(g.key, "teardown")


@app.get("/stream/<name>")
def stream(name):
    """Serve one of the sources."""
    g.key = request.args.get("key", "")
    return EventSourceResponse(
        {**SOURCES, **ASYNC_SOURCES}[name](g.key), on_close=lambda reason: mark(g.key, reason.name)
    )


@app.route("/api/<name>", methods=["GET", "POST"])
def api(name):
    """Serve one of the sources to a client of an API."""
    key = request.args.get("key", "")
    error = openai_error if "error" in request.args else None
    return EventSourceResponse(SOURCES[name](key), plain=True, error=error)


@app.get("/async/generator")
@event_stream
async def generator():
    """A view that is an asynchronous generator, and uses the request."""
    for _ in range(2):
        yield {"path": request.path, "key": request.args["key"]}
        await asyncio.sleep(0)


@app.get("/async/view")
@event_stream
async def view():
    """An asynchronous view that returns one."""
    await asyncio.sleep(0)
    return ASYNC_SOURCES[request.args["source"]](request.args["key"])


@app.route("/subscribe/<name>", methods=["GET", "POST"])
def subscribe(name):
    """Relay a channel."""
    return sse.subscribe(
        name,
        *request.args.getlist("also"),
        max_events=int(request.args.get("max_events", "1000")),
    )


@app.get("/selected/<name>")
def selected(name):
    """Relay what the history has of a channel, and what follows, until it is done."""
    return sse.subscribe(
        name,
        replay="all",
        match={"visible": True},
        until="done",
        sender=request.args.get("tab"),
    )


@app.get("/page/<name>")
def page(name):
    """A page that a browser may keep, with the URL of a stream for whatever follows."""
    text = PAGE.read_text().replace("URL", "{{ sse_url('subscribe', name=name) }}")
    return render_template_string(text, name=name), {"Cache-Control": "max-age=600"}


@app.get("/publish/<name>")
def publish(name):
    """Publish events with numbers; a GET keeps the tests simple."""
    first, count = int(request.args.get("first", "0")), int(request.args.get("count", "1"))
    padding = "x" * int(request.args.get("size", "0"))
    options = {
        "event": request.args.get("event", "n"),
        "meta": {"visible": "hidden" not in request.args},
        "sender": request.args.get("tab"),
    }
    ids = [sse.publish(name, f"{n}{padding}", **options) for n in range(first, first + count)]
    return jsonify(ids)


@app.get("/room/<name>")
def room(name):
    """Relay a channel, with presence."""
    return sse.subscribe(
        name,
        presence=request.args["user"],
        grace=float(request.args.get("grace", "5")),
        announce=True,
        headers={"X-Worker": str(os.getpid())},
    )


@app.get("/present/<name>")
def present(name):
    """Return who is present."""
    return jsonify([present.user for present in sse.present(name)])


@app.get("/kick")
def kick():
    """End streams for good; a GET keeps the tests simple."""
    sse.disconnect(user=request.args["user"], reason="kicked", for_good=True)
    return "ok"


@app.post("/jobs/<key>")
def start_job(key):
    """Start a job, and show it."""
    query, user = request.args, request.args.get("user")
    job = sse.start(key, source_of(key, query), user=user, **options_of(key, query))
    return job.response(location=f"/jobs/{key}", **response_options(query))


@app.get("/jobs/<key>")
def attach_job(key):
    """Show a job."""
    query = request.args
    plain = True if "plain" in query else None
    return sse.attach(key, user=query.get("user"), plain=plain, **response_options(query))


@app.delete("/jobs/<key>")
def cancel_job(key):
    """Cancel a job."""
    return jsonify(sse.cancel(key, user=request.args.get("user")))


@app.get("/jobs/<key>/status")
def job_status(key):
    """Return what is known of a job."""
    status = sse.job_status(key, user=request.args.get("user"))
    return jsonify(None if status is None else asdict(status))


@app.get("/jobs")
def jobs():
    """Return the keys of a user's jobs."""
    return jsonify([status.key for status in sse.jobs(user=request.args.get("user"))])


@app.get("/last")
def last():
    """Return the last event ID."""
    return jsonify(last_event_id())


@app.get("/marks/<key>")
def marks(key):
    """Return the recorded marks."""
    return jsonify(MARKS[key])


@app.get("/figures")
def show_figures():
    """Return the process's figures."""
    return jsonify(figures())


@app.get("/plain")
def plain():
    """An ordinary response."""
    return "ok"
