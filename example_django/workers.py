"""How many streams are open, and on which worker."""

import os
import time
from threading import Lock, Thread

from sse_sync import BrokerUnavailable, statistics
from sse_sync.django import ChannelView, publish

STARTED = Lock()

events = ChannelView.as_view(channels=["workers"])


def middleware(get_response):
    def respond(request):
        # In each worker, at its first request: a thread started before the fork would be lost.
        if STARTED.acquire(blocking=False):
            Thread(target=tell_each_second, daemon=True).start()
        return get_response(request)

    return respond


def tell_each_second():
    # Not publish_every(), because every worker reports itself, even without subscribers there.
    while True:
        time.sleep(1.0)
        if statistics().open:
            tell()


def tell():
    figures = statistics()
    data = {"worker": os.getpid(), "open": figures.open, "handed_off": figures.handed_off}
    try:
        publish("workers", {**data, "framework": "Django"}, event="worker")
    except BrokerUnavailable:
        pass  # The next report will get through.
