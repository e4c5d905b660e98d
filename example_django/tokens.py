"""A text that is made token by token, until it is finished or nobody reads it any more."""

import re
import time

from django.views.decorators.http import require_GET

from sse_sync import ServerSentEvent
from sse_sync.django import ChannelView, event_stream, last_event_id, publish

TEXT = """\
A language model gives its answer in small pieces, and a reader wants each of them as soon as it \
is there. So the server sends every piece as an event.

When the reader has seen enough, the page closes the connection. The server notices at once, and \
what makes the text is interrupted where it waits: nothing is computed that nobody will read.

That line below is written by the generator itself, in its "finally"."""
TOKENS = re.findall(r"\s*\S+", TEXT)


@require_GET
@event_stream
def events(request):
    made = min(max(0, last_event_id(request, 0, type=int)), len(TOKENS))
    try:
        for token in TOKENS[made:]:
            time.sleep(0.08)  # Thinks.
            made += 1
            yield ServerSentEvent(token, event="token", id=made)
    finally:
        how = "finished" if made == len(TOKENS) else "stopped"
        publish("tokens", f"{how} after {made} of {len(TOKENS)} tokens", event=how)


# What the generators of all workers say at their end.
ends = ChannelView.as_view(channels=["tokens"])
