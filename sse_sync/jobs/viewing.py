"""What a viewer's stream draws from: a job's channel, or the news that the job is gone."""

from __future__ import annotations

import contextvars

from ..brokers.jobs import JobRecord
from ..brokers.messages import JOB_END, Position
from ..channels.selection import Selection
from ..channels.subscription import Subscription
from ..channels.user_stream import UserStream
from ..closing import CloseReason, End
from ..event import ServerSentEvent
from ..feed import Encode, Feed, FeedSource
from ..runtime import Signal
from .manager import Jobs

__all__ = ["Gone", "view"]

# Events that may wait for a viewer that was handed off. A model's are small.
MAX_EVENTS = 10_000

_EVERYTHING = Selection(replay="all", until=frozenset((JOB_END,)))


def view(
    jobs: Jobs, record: JobRecord | None, last_event_id: str | None, user_stream: UserStream | None
) -> FeedSource | None:
    """
    Return what a client's stream draws from; :obj:`None` if there is nothing for the client.

    A client that has received some of a job that is gone, or of an earlier run, must not take that
    for the whole.

    Args:
        jobs: The process's jobs.
        record: The job; :obj:`None` if there is none.
        last_event_id: Where the client left off; untrusted.
        user_stream: Under what the stream is counted.
    """
    if record is None:
        return None if last_event_id is None else Gone()
    if last_event_id is not None:
        seen = Position.parse(last_event_id)
        if seen is not None and _is_after(seen, record.ends):
            return None
        if seen is None or seen.number < record.begins.number:
            last_event_id = ""  # Of an earlier run, or of none.
    jobs.watch(record)
    return Subscription(
        hub=jobs.hub,
        channels=(record.channel,),
        last_event_id=last_event_id,
        selection=_EVERYTHING,
        max_events=MAX_EVENTS,
        user_stream=user_stream,
        is_whole=True,
    )


def _is_after(seen: Position, end: Position | None) -> bool:
    # A position of another epoch says nothing: the client may lack all of it.
    return end is not None and seen.epoch == end.epoch and seen.number >= end.number


class Gone(FeedSource):
    """The source of a stream whose client has received some of a job that is gone."""

    is_at_hand = True

    def open(
        self, signal: Signal, encode: Encode, context: contextvars.Context, *, plain: bool = False
    ) -> Feed:
        """Return a feed that says so and ends."""
        return _GoneFeed(signal, plain)


class _GoneFeed:
    def __init__(self, signal: Signal, plain: bool) -> None:
        self.done = False
        self.error: BaseException | None = None
        self.reason = CloseReason.LOST
        self.end: End | None = End(
            CloseReason.LOST, final=True, message="its output is no longer kept", of_job=True
        )
        self._signal = signal
        self._chunk = None if plain else ServerSentEvent("", event="stream-reset").encode()

    def start(self) -> None:
        """Nothing has to be started."""

    def take(self) -> bytes | None:
        chunk, self._chunk = self._chunk, None
        self.done = chunk is None
        return chunk

    def rest(self, end: End) -> tuple[bytes, End]:
        return self._chunk or b"", end

    def wait(self) -> None:
        self._signal.wait()

    def stop(self) -> None:
        self.done = True
