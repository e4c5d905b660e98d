"""
The examples in Flask: a module with a blueprint for each, and the pages that both frameworks share.

Environment variables:

SSE_BROKER_URL    the broker; several workers need redis://
SSE_CORS_ORIGINS  other origins whose pages may read the streams, separated by commas
DATABASE          the database file
"""

import os
from pathlib import Path

from flask import Flask, abort, json, send_from_directory
from sqlalchemy.schema import CreateTable
from werkzeug.exceptions import HTTPException

from . import (
    assistant,
    chat,
    clock,
    counter,
    datastar,
    htmx,
    live_users,
    orders,
    progress,
    smart_home,
    tokens,
    updates,
    workers,
)
from .extensions import db, sse

HERE = Path(__file__).resolve().parent
PAGES = HERE.parent / "example_pages"
EXAMPLES = (
    *(counter, clock, live_users, smart_home, chat, updates),
    *(progress, tokens, assistant, orders, htmx, datastar, workers),
)
SOURCES = {f"{module.__name__.rpartition('.')[2]}.py" for module in EXAMPLES}
PORT = int(os.environ.get("PORT", "8000"))
# gunicorn.conf.py listens on two ports, so that you can try it with a second origin.
ORIGINS = ",".join(
    f"http://{host}:{port}" for host in ("127.0.0.1", "localhost") for port in (PORT, PORT + 1)
)


def create_app():
    app = Flask(__name__, static_folder=None, template_folder=PAGES / "fragments")
    app.config.update(
        SSE_BROKER_URL=os.environ.get("SSE_BROKER_URL", "memory://"),
        SSE_CORS_ORIGINS=os.environ.get("SSE_CORS_ORIGINS", ORIGINS).split(","),
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{os.environ.get('DATABASE', HERE / 'flask.sqlite3')}",
    )
    db.init_app(app)
    sse.init_app(app)
    for module in EXAMPLES:
        app.register_blueprint(module.bp)
    app.register_error_handler(HTTPException, explain)
    app.add_url_rule("/", view_func=index)
    app.add_url_rule("/<name>/", view_func=page)
    app.add_url_rule("/<any(updates):folder>/<any(react,vue):name>/", view_func=page)
    app.add_url_rule("/source/<name>", view_func=source)
    app.add_url_rule("/pages/<any('style.css','live.js','origin.js'):name>", view_func=file)
    app.add_url_rule("/pages/<any(built,react,vue):folder>/<name>", view_func=file)
    with app.app_context():
        # Not create_all(), because several workers may do this at once.
        for table in db.metadata.sorted_tables:
            db.session.execute(CreateTable(table, if_not_exists=True))
        db.session.commit()
    return app


def explain(error):
    response = error.get_response()  # With its headers, such as Allow.
    response.data = json.dumps({"error": error.description})
    response.content_type = "application/json"
    return response


def index():
    return send_from_directory(PAGES, "index.html")


def page(name, folder="."):
    return send_from_directory(PAGES / folder, f"{name}.html")


def file(name, folder="."):
    return send_from_directory(PAGES / folder, name)


def source(name):
    if name not in SOURCES:
        abort(404)
    return send_from_directory(HERE, name, mimetype="text/plain")
