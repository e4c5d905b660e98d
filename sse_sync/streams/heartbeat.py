"""
What keeps a quiet connection alive.

A :class:`~sse_sync.streams.watchdog.Watchdog` sends it for a stream that has its request, and a
:class:`~sse_sync.streams.handoff.fanout.Fanout` for all connections that were handed off to it.
"""

from __future__ import annotations

__all__ = ["HEARTBEAT"]

HEARTBEAT = b":\n"
"""
A comment, sent when nothing else has been sent for a while. No blank line follows it: many clients
that are no browsers take a comment with one for an event without data.
"""
