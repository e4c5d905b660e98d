"""
Functions that publish at intervals, or when something has happened on a channel.

Every worker calls them at the same moments, and they publish with a token that names the moment.
The first publish with a token counts, and the others are none: each event is published once.
"""

import logging
import time
from threading import Thread

from sse_sync import listen, statistics
from sse_sync.django import hub

logger = logging.getLogger(__name__)

LOOPS = []
THREADS = []


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
        for event in listen(hub(), channel):
            if event.event in types:
                yield event.id

    LOOPS.append((loop, function))


def middleware(get_response):
    """Start them in this worker, with its first request: a process that forks later has none."""

    def respond(request):
        response = get_response(request)  # Imports the views, if this is the first request.
        if not THREADS:
            THREADS.extend(Thread(target=run, args=loop, daemon=True) for loop in LOOPS)
            for thread in THREADS:
                thread.start()
        return response

    return respond


def run(loop, function):
    while True:
        try:
            for moment in loop():
                function(moment)
        except Exception:  # Such as BrokerUnavailable.
            logger.exception("%s is tried again", function)
            time.sleep(1)
