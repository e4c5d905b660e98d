"""Connections that outlive their request."""

__all__ = ()
