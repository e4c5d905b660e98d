"""What a job may yield: events with data, whose ids are their positions in the output."""

from __future__ import annotations

import re

from ..channels.publishing import MAX_EVENT
from ..exceptions import EventError
from ..feed import Encode

__all__ = ["checked"]

_ID = re.compile(rb"(?:^|[\r\n])id[:\r\n]")
_DATA = re.compile(rb"(?:^|[\r\n])data[:\r\n]")


def checked(encode: Encode) -> Encode:
    """
    Return a function that also refuses what cannot be an event of a job.

    Args:
        encode: Encodes an item of a source. The result raises :exc:`EventError` as it does, and if
            the event has an id of its own, has no data, or is larger than 1 MiB.
    """

    def encoded(item: object) -> bytes:
        body = encode(item)
        if len(body) > MAX_EVENT:
            raise EventError(
                "data",
                f"makes an event of {len(body):,} bytes, more than the {MAX_EVENT:,} of a job's"
                " event: yield it in parts",
            )
        if _ID.search(body):
            raise EventError("id", "cannot be given: a job's events have ids of their own")
        if not _DATA.search(body):
            raise EventError("data", "is missing: a job is kept alive without comments")
        return body

    return encoded
