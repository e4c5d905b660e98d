"""A ready-made view for channels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import BadRequest, ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views import View

from ..channels.access import AccessRefused, Grant, check_fixed, requested
from .app import app_hub
from .preflights import is_preflight, preflight
from .publishing import may_read, subscribe
from .response import EventSourceResponse
from .signing import check_token

__all__ = ["ChannelView", "RequestedChannelView"]


class ChannelView(View):
    """
    Relay channels that the project names.

    ::

        path("orders/events", ChannelView.as_view(channels=["orders"]))

    For channels that depend on the request, override :meth:`get_channels`. Never return a name
    from the client without checking that it may read that channel. Mixins such as
    ``LoginRequiredMixin`` work as on any view, and so do permission classes such as those of
    Django REST framework.
    """

    channels: Sequence[str] = ()
    """Names of channels."""
    stream_options: dict[str, Any] | None = None
    """Further arguments for :func:`~sse_sync.django.subscribe`, such as ``filter``."""
    permission_classes: Sequence[type[Any]] = ()
    """Classes whose ``has_permission(request, view)`` must all return true."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        """
        Return the view. It answers preflights before mixins see them, because browsers send them
        without cookies.
        """
        view = super().as_view(**initkwargs)
        given = initkwargs.get("stream_options", cls.stream_options) or {}

        @functools.wraps(view)
        def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if is_preflight(request):
                return preflight(request, given)
            return view(request, *args, **kwargs)

        return answering

    def get_user(self) -> Any:
        """Return whose stream it is: the logged-in user's primary key, or :obj:`None`."""
        user = getattr(self.request, "user", None)
        return user.pk if user is not None and user.is_authenticated else None

    def get_channels(self) -> Sequence[str]:
        """
        Return the names of the channels for the current request.

        Raises:
            ImproperlyConfigured: If there are none.
        """
        name, channels = type(self).__name__, self.channels
        if not channels:
            raise ImproperlyConfigured(f"{name} needs channels=[...] or get_channels()")
        if isinstance(channels, str):
            problem = f"{name} takes a list, not text: write channels=[{channels!r}]"
            raise ImproperlyConfigured(problem)
        return self.channels

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> EventSourceResponse:
        """Answer with the channels' events."""
        for permission in self.permission_classes:
            if not permission().has_permission(request, self):
                raise PermissionDenied
        channels = self.get_channels()
        if channels is self.channels:
            try:
                check_fixed(request.GET, channels)
            except AccessRefused as exc:
                raise BadRequest(exc.problem) from None
        return subscribe(request, *channels, **self.get_stream_options())

    def get_stream_options(self) -> dict[str, Any]:
        """Return the keywords for :func:`.subscribe`, once the channels are known."""
        given = dict(self.stream_options or {})
        if given.get("presence") is None:
            given.setdefault("user", self.get_user())
        return given


class RequestedChannelView(ChannelView):
    """
    Relay channels that the client names: in the URL's ``channel``, or ``?channel=a&channel=b``.

    ::

        path("rooms/<str:channel>/events", RequestedChannelView.as_view())
        path("events/", include("sse_sync.django.urls"))

    A channel that :meth:`authorize` does not allow is refused with a 403, which makes a browser
    stop. A client may send a token from :func:`~sse_sync.django.sign_channels` in ``?token=``
    instead; then :meth:`authorize` is not called.
    """

    _grant: Grant | None = None

    def get_channels(self) -> Sequence[str]:
        """
        Return what the client names, or what its token grants.

        :meth:`authorize` is called later, once an order to end the stream cannot be missed.

        Raises:
            PermissionDenied: If its token is not valid, or does not grant the URL's channel.
        """
        named = self.kwargs.get("channel")
        try:
            names, self._grant = requested(self.request.GET, check_token)
        except AccessRefused:
            raise PermissionDenied from None
        # A channel in the URL must be one of those that the token grants.
        if named is not None and self._grant is not None and named not in names:
            raise PermissionDenied
        return names if named is None else [named]

    def get_stream_options(self) -> dict[str, Any]:
        """Return the keywords for :func:`.subscribe`; a token's stream ends when it expires."""
        given: Any = super().get_stream_options()
        if self._grant is None:
            return {**given, "authorize": self.authorize}
        return dict(app_hub().granted(self._grant, given))

    def authorize(self, channel: str) -> bool:
        """Return whether the client may read a channel; by default, ask ``AUTHORIZE``."""
        return may_read(self.request, channel)
