"""
Streams: one response each, from its first byte to its end.

"""

__all__ = ()
