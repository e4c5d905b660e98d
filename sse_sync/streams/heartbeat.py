"""
What keeps a quiet connection alive.

"""

from __future__ import annotations

__all__ = ["HEARTBEAT"]

HEARTBEAT = b":\n\n"
"""A comment, sent when there was nothing else to send for a while."""
