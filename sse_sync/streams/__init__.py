"""Streams: each is one response, from its first byte to its end."""

__all__ = ()
