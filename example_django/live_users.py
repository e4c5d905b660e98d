"""How many people look at the page now, by all workers: every second, and at each change."""

import secrets

from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import present, publish, subscribe

from . import timers


@require_GET
def events(request):
    # The page gives each tab a name, so that a connection that is opened anew counts once.
    visitor = request.GET.get("visitor", "")[:40]
    if not visitor.isalnum():
        visitor = secrets.token_hex(8)
    return subscribe(
        request,
        "live-users",
        presence=visitor,
        grace=0.5,
        announce=True,
        snapshot=lambda: [ServerSentEvent(len(present("live-users")), event="users")],
    )


def publish_number(moment):
    people = len(present("live-users"))
    publish("live-users", people, event="users", token=f"live-users {moment}")


timers.every(1.0, publish_number)
timers.after("live-users", ("presence-join", "presence-leave"), publish_number)
