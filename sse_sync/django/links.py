"""The URLs with which a page opens streams."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from ..channels.links import stream_query
from .app import app_hub
from .signing import sign_channels

__all__ = ["stream_url"]


def stream_url(
    viewname: str, *channels: str, token: bool | str = False, since: Any = None, **kwargs: Any
) -> str:
    """
    Return the URL with which a page opens a stream that begins where the page was rendered.

    In a template:

    .. code-block:: html+django

        {% load sse_sync %}
        <body data-events="{% sse_url 'order-events' %}">
        <body data-events="{% sse_url 'sse_sync:events' 'orders' 'news' token=True %}">

    Args:
        viewname: As for :func:`django.urls.reverse`.
        channels: Channels that the client names; none for a view that knows its channels.
        token: Whether the URL gets a token of :func:`sign_channels` for the channels, or a token.
        since: The :func:`position` before the page's data was read; by default the present one.
        kwargs: What the URL's path captures.

    Raises:
        NoReverseMatch: If there is no such view.
    """
    if token is True:
        token = sign_channels(*channels)
    query = stream_query(app_hub().hub(), channels, token or None, since)
    return f"{reverse(viewname, kwargs=kwargs)}?{urlencode(query, doseq=True)}"
