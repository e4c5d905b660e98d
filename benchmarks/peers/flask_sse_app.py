"""flask-sse: every client has a subscription of its own on Redis."""

from __future__ import annotations

import os

from flask import Flask, request
from flask_sse import sse

from benchmarks.pace import paced

app = Flask(__name__)
app.config["REDIS_URL"] = os.environ["REDIS_URL"]
app.register_blueprint(sse, url_prefix="/events")


@app.get("/ping")
def ping():
    """Any other request."""
    return "ok"


@app.get("/publish")
def publish():
    """Publish to its default channel."""
    for text in paced(int(request.args["n"]), int(request.args["pause"])):
        sse.publish(text)
    return "ok"
