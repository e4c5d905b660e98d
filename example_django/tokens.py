"""A text that is generated token by token, until it is finished or its reader leaves."""

import re
import time

from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import ChannelView, event_stream, last_event_id, publish

TEXT = """\
A language model answers in small pieces, and a reader wants to see each of them at once. So the \
server sends every piece as an event.

When the reader has seen enough, the page closes the connection. The server notices at once, and \
interrupts the generator where it waits: nothing is computed that nobody will read.

The generator itself writes the line below, in its "finally"."""
TOKENS = re.findall(r"\s*\S+", TEXT)


@require_GET
@event_stream
def events(request):
    made = min(max(0, last_event_id(request, 0, type=int)), len(TOKENS))
    try:
        for token in TOKENS[made:]:
            time.sleep(0.08)  # Thinking.
            made += 1
            yield ServerSentEvent(token, event="token", id=made)
    finally:
        how = "finished" if made == len(TOKENS) else "stopped"
        publish("tokens", f"{how} after {made} of {len(TOKENS)} tokens", event=how)


# The generators of all workers publish here when they end.
ends = ChannelView.as_view(channels=["tokens"])
