"""Tags for templates."""

__all__ = ()
