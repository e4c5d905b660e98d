"""Commands for ``manage.py``."""

__all__ = ()
