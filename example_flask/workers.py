"""How many streams are open, and on which worker."""

import os
import time
from threading import Lock, Thread

from flask import Blueprint, current_app

from sse_sync import BrokerUnavailable, statistics

from .extensions import sse

bp = Blueprint("workers", __name__, url_prefix="/workers")
bp.register_blueprint(sse.blueprint("workers"))

STARTED = Lock()


@bp.before_app_request
def start():
    # In each worker, at its first request: a thread started before the fork would be lost.
    if STARTED.acquire(blocking=False):
        app = current_app._get_current_object()
        Thread(target=tell_each_second, args=(app,), daemon=True).start()


def tell_each_second(app):
    # Not publish_every(), because every worker reports itself, even without subscribers there.
    while True:
        time.sleep(1.0)
        if statistics().open:
            with app.app_context():
                tell()


def tell():
    figures = statistics()
    data = {"worker": os.getpid(), "open": figures.open, "handed_off": figures.handed_off}
    try:
        sse.publish("workers", {**data, "framework": "Flask"}, event="worker")
    except BrokerUnavailable:
        pass  # The next report will get through.
