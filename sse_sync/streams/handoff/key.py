"""Which streams can share a fan-out."""

from __future__ import annotations

from dataclasses import dataclass

from ...channels.mailbox import Overflow
from ...channels.selection import Match
from ...channels.subscription import Subscription
from ...closing import CloseReason, End
from ...settings import Options
from ..dialect import Dialect

__all__ = ["FanoutKey"]


@dataclass(frozen=True)
class FanoutKey:
    """What connections must have in common to share a fan-out."""

    channels: tuple[str, ...]
    """The channels they relay."""
    chunked: bool
    """Whether they are framed in HTTP/1.1 chunks."""
    bounds: tuple[int, int, Overflow]
    """How many events and bytes may wait for a client, and what happens beyond that."""
    match: Match
    """What the meta of their events must have."""
    until: frozenset[str]
    """Event types after which they end."""
    finish: End | None
    """How they end then; :obj:`None` if nothing ends them so."""
    tell_degraded: bool
    """Whether clients get ``stream-degraded`` events."""
    has_snapshot: bool
    """Whether a client that starts anew needs a snapshot or the history, which only its request can
    give it."""
    heartbeat: float | None
    """Quiet seconds after which a comment is sent."""
    write_timeout: float | None
    """Seconds that a client may take to accept what was sent."""
    dialect: Dialect
    """What the library itself says in their streams."""

    @classmethod
    def of(
        cls, subscription: Subscription, options: Options, dialect: Dialect, *, chunked: bool
    ) -> FanoutKey:
        """
        Return the key of a stream.

        Args:
            subscription: What it relays.
            options: How it behaves.
            dialect: What the library itself says in it.
            chunked: Whether it is framed in HTTP/1.1 chunks.
        """
        until = subscription.selection.until
        finish = End(CloseReason.FINISHED, final=not options.reconnect) if until else None
        return cls(
            channels=subscription.channels,
            chunked=chunked,
            bounds=(subscription.max_events, subscription.max_bytes, subscription.overflow),
            match=subscription.selection.match,
            until=until,
            finish=finish,
            tell_degraded=subscription.tell_degraded and not dialect.is_plain,
            has_snapshot=subscription.snapshot is not None or subscription.is_whole,
            heartbeat=options.heartbeat,
            write_timeout=options.write_timeout,
            dialect=dialect.shared(),
        )
