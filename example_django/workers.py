"""How many streams are open, and on which worker."""

import os

from sse_sync import statistics
from sse_sync.django import ChannelView, publish

from . import timers

events = ChannelView.as_view(channels=["workers"])


def publish_statistics(moment):
    # Without a token: each worker tells of itself.
    figures = statistics()
    data = {"worker": os.getpid(), "open": figures.open, "handed_off": figures.handed_off}
    publish("workers", {**data, "framework": "Django"}, event="worker")


timers.every(1.0, publish_statistics)
