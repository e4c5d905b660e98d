"""
What keeps a quiet connection alive.

"""

from __future__ import annotations

__all__ = ["HEARTBEAT"]

HEARTBEAT = b":\n"
"""
A comment, sent when there was nothing else to send for a while. Without a blank line, which many
clients that are no browsers take for an event without data.

"""
