"""How many streams are open, and on which worker."""

import os

from flask import Blueprint

from sse_sync import statistics

from . import timers
from .extensions import sse

bp = Blueprint("workers", __name__, url_prefix="/workers")
bp.register_blueprint(sse.blueprint("workers"))


def publish_statistics(moment):
    # Without a token: each worker tells of itself.
    figures = statistics()
    data = {"worker": os.getpid(), "open": figures.open, "handed_off": figures.handed_off}
    sse.publish("workers", {**data, "framework": "Flask"}, event="worker")


timers.every(1.0, publish_statistics)
