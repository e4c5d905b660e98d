"""How many people have the page open now, over all workers."""

import secrets

from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import present, publish_every, subscribe


@require_GET
def events(request):
    # The page gives each tab a name, so that a tab that reconnects is counted once.
    visitor = request.GET.get("visitor", "")[:40]
    if not visitor.isalnum():
        visitor = secrets.token_hex(8)
    return subscribe(
        request,
        "live-users",
        presence=visitor,
        grace=0.3,
        snapshot=lambda: [ServerSentEvent(number(), event="users")],
    )


@publish_every(0.5, "live-users", event="users")
def number():
    return len(present("live-users"))
