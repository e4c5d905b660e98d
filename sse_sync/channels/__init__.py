"""Channels: this process's subscribers, and what applications call to reach them."""

__all__ = ()
