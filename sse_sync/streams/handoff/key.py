"""
What streams have in common that can share a fan-out.

"""

from __future__ import annotations

from dataclasses import dataclass

from ...channels.mailbox import Overflow
from ...channels.subscription import Subscription
from ...settings import Options

__all__ = ["FanoutKey"]


@dataclass(frozen=True)
class FanoutKey:
    """What connections have in common that share a fan-out."""

    channels: tuple[str, ...]
    """What they relay."""
    chunked: bool
    """Whether they are framed as in HTTP/1.1."""
    bounds: tuple[int, int, Overflow]
    """Events and bytes that may wait for a client, and what happens when there are more."""
    tell_degraded: bool
    """Whether clients are told when nothing can arrive."""
    has_snapshot: bool
    """Whether a client that starts anew wants the state, which only its request can tell."""
    heartbeat: float | None
    """Seconds without anything sent after which a comment is sent."""
    write_timeout: float | None
    """Seconds that a client may take to accept what was sent."""
    closing_bytes: tuple[int, int, int, bool]
    """What of the options concerns the end: reconnection times, and whether it debugs."""

    @classmethod
    def of(cls, subscription: Subscription, options: Options, *, chunked: bool) -> FanoutKey:
        """
        Return the key of a stream.

        Args:
            subscription: What it relays.
            options: How it behaves.
            chunked: Whether it is framed as in HTTP/1.1.

        """
        return cls(
            channels=subscription.channels,
            chunked=chunked,
            bounds=(subscription.max_events, subscription.max_bytes, subscription.overflow),
            tell_degraded=subscription.tell_degraded,
            has_snapshot=subscription.snapshot is not None,
            heartbeat=options.heartbeat,
            write_timeout=options.write_timeout,
            closing_bytes=(
                *(options.retry, options.retry_stopping, options.retry_failed),
                options.debug,
            ),
        )
