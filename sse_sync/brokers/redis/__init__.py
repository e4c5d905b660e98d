"""The broker on Redis."""

from __future__ import annotations

from .broker import RedisBroker

__all__ = ["RedisBroker"]
