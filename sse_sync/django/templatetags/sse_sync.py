"""The tag ``sse_url``: ``{% load sse_sync %}``."""

from __future__ import annotations

from django import template

from ..links import stream_url

__all__ = ["register"]

register = template.Library()
register.simple_tag(stream_url, name="sse_url")
