"""
A ready-made view for channels.

"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import BadRequest, ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views import View

from ..access import is_allowed, what_is_wrong_with
from ..cors import preflight_headers
from .publishing import may_read, subscribe
from .response import EventSourceResponse, configured, wsgi_environ
from .signing import check_token

__all__ = ["ChannelView", "RequestedChannelView"]


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

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """
        Answer what a browser asks before it lets a page of another origin read the stream.

        Args:
            request: The request.
            args: Arguments of the URL.
            kwargs: Arguments of the URL.

        """
        response = super().options(request, *args, **kwargs)
        given = self.stream_options or {}
        changes = {k: v for k, v in given.items() if k.startswith("cors_")}
        wanted = configured().replace(changes)
        for name, value in preflight_headers(wsgi_environ(request), wanted):
            response[name] = value
        return response


class RequestedChannelView(ChannelView):
    """
    Relay channels that the client names: in the URL's ``channel``, or ``?channel=a&channel=b``.

    ::

        path("rooms/<str:channel>/events", RequestedChannelView.as_view())
        path("events/", include("sse_sync.django.urls"))

    Nothing is relayed that :meth:`authorize` does not allow: the answer is a 403, which makes a
    browser stop. A client may bring a token of :func:`~sse_sync.django.sign_channels` instead, in
    ``?token=``; then nobody is asked.

    """

    def get_channels(self) -> Sequence[str]:
        """
        Return what the client names, if it may read all of it.

        Raises:
            BadRequest: If it names nothing, too much, or what is no channel.
            PermissionDenied: If it may not read one of them.

        """
        token = self.request.GET.get("token")
        if token is not None:
            grant = check_token(token)
            # A channel in the URL has to be one of those that were signed.
            if grant is None or self.kwargs.get("channel", grant.channels[0]) not in grant.channels:
                raise PermissionDenied
            return [self.kwargs["channel"]] if "channel" in self.kwargs else grant.channels
        named = self.kwargs.get("channel")
        names = [named] if named is not None else self.request.GET.getlist("channel")
        problem = what_is_wrong_with(names)
        if problem:
            raise BadRequest(problem)
        if not is_allowed(names, self.authorize):
            raise PermissionDenied
        return names

    def authorize(self, channel: str) -> bool:
        """
        Return whether the client may read a channel. By default the setting ``AUTHORIZE`` is asked.

        Args:
            channel: What the client names; anything.

        """
        return may_read(self.request, channel)
