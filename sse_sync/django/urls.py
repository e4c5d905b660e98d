"""
A ready-made endpoint for channels that the client names.

::

    path("events/", include("sse_sync.django.urls"))

``/events/?channel=a&channel=b`` is refused unless the setting ``AUTHORIZE`` allows each channel.
"""

from __future__ import annotations

from django.urls import path

from .channel_view import RequestedChannelView

__all__ = ["app_name", "urlpatterns"]

app_name = "sse_sync"
urlpatterns = [path("", RequestedChannelView.as_view(), name="events")]
