"""Jobs: work that outlives the request that started it."""

__all__ = ()
