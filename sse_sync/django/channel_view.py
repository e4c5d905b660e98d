"""
A ready-made view for channels.

"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.views import View

from .publishing import subscribe
from .response import EventSourceResponse

__all__ = ["ChannelView"]


class ChannelView(View):
    """
    Relay channels that the project names.

    ::

        path("orders/events", ChannelView.as_view(channels=["orders"]))

    For channels that depend on the request, override :meth:`get_channels`. They are the view's:
    never return what a client names without asking whether it may read that. Mixins such as
    ``LoginRequiredMixin`` work as on every view.

    """

    channels: Sequence[str] = ()
    """Names of channels."""
    stream_options: dict[str, Any] | None = None
    """Further arguments for :func:`~sse_sync.django.subscribe`, such as ``filter``."""

    def get_channels(self) -> Sequence[str]:
        """
        Return the names of the channels for the current request.

        Raises:
            ImproperlyConfigured: If there are none.

        """
        if isinstance(self.channels, str) or not self.channels:
            name = type(self).__name__
            raise ImproperlyConfigured(f"{name} needs channels=[...] or get_channels()")
        return self.channels

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> EventSourceResponse:
        """
        Answer with the channels' events.

        Args:
            request: The request.
            args: Arguments of the URL.
            kwargs: Arguments of the URL.

        """
        return subscribe(request, *self.get_channels(), **(self.stream_options or {}))
