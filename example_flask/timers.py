"""
Functions that publish at intervals, or when something has happened on a channel.

Every worker calls them at the same moments, and they publish with a token that names the moment.
The first publish with a token counts, and the others are none: each event is published once.
"""

import time
from threading import Thread

from flask import current_app

from sse_sync import listen, statistics

from .extensions import sse

LOOPS = []


def every(seconds, function):
    """Call a function every so many seconds, with the name of the moment."""

    def loop():
        while True:
            moment = int(time.time() / seconds) + 1
            time.sleep(max(0.0, moment * seconds - time.time()))
            if statistics().open:  # Otherwise there is nobody here to be told.
                yield str(moment)

    LOOPS.append((loop, function))


def after(channel, types, function):
    """Call a function after each event of some types, with the event's id."""

    def loop():
        for event in listen(sse.hub, channel):
            if event.event in types:
                yield event.id

    LOOPS.append((loop, function))


def start():
    """Start them in this worker, with its first request: a process that forks later has none."""
    app = current_app._get_current_object()
    if "timers" not in app.extensions:
        app.extensions["timers"] = [
            Thread(target=run, args=(app, *loop), daemon=True) for loop in LOOPS
        ]
        for thread in app.extensions["timers"]:
            thread.start()


def run(app, loop, function):
    while True:
        try:
            with app.app_context():
                for moment in loop():
                    function(moment)
        except Exception:  # Such as BrokerUnavailable.
            app.logger.exception("%s is tried again", function)
            time.sleep(1)
