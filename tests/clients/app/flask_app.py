"""The Flask application of the client tests."""

from __future__ import annotations

import logging

from flask import Flask, Response

from sse_sync.flask import SSE, EventSourceResponse, last_event_id

from .routes import OPTIONS, ROUTES, Route, file

logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")

app = Flask(__name__, static_folder=None)
app.config.update({f"SSE_{name}": value for name, value in OPTIONS.items()})
SSE(app)


def add(route: Route) -> None:
    """Serve one of the routes."""

    def view(**variables: str) -> EventSourceResponse:
        reply = route.view(last_event_id(0, type=int), **variables)
        return EventSourceResponse(reply.source, **reply.options)

    app.add_url_rule(f"/{route.path}", route.path, view, methods=[route.method])


for route in ROUTES:
    add(route)


@app.get("/file/<path:path>")
def serve_file(path: str) -> Response:
    """Serve a page, or a file of an npm package."""
    content, kind = file(path)
    return Response(content, content_type=kind)


@app.get("/plain")
def plain() -> str:
    """An ordinary response."""
    return "ok"
