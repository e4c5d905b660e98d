"""
The bytes that keep a quiet connection alive.

"""

from __future__ import annotations

__all__ = ["HEARTBEAT"]

HEARTBEAT = b":\n\n"
"""A comment, sent when nothing else has been sent for a while."""
