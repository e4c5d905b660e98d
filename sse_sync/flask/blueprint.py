"""A ready-made endpoint for channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask

from ..brokers.base import check_channel
from ..channels.access import AccessRefused, Grant, check_fixed, requested
from ..channels.app import SubscribeOptions
from ..channels.selection import SelectOptions
from .response import preflight
from .state import current_state

__all__ = ["make_blueprint"]


def make_blueprint(
    subscribe: Callable[..., flask.Response],
    check_token: Callable[[str], Grant | None],
    channels: tuple[str, ...],
    url: str,
    name: str,
    options: SubscribeOptions,
) -> flask.Blueprint:
    """Make what :meth:`.SSE.blueprint` describes. Both functions are methods of the extension."""
    for channel in channels:
        check_channel(channel)  # Here, where the mistake is, and not at the first request.

    def events() -> flask.Response:
        if flask.request.method == "OPTIONS":
            return preflight(options)
        asked = _ask(options)
        try:
            if channels:
                check_fixed(flask.request.args, channels)
                return subscribe(*channels, **asked)
            names, grant = requested(flask.request.args, check_token)
        except AccessRefused as exc:
            flask.abort(exc.status, exc.problem or None)
        if grant is None:
            return subscribe(*names, authorize=True, **asked)
        return subscribe(*names, **current_state().app_hub.granted(grant, asked))

    endpoint = flask.Blueprint(name, __name__)
    endpoint.add_url_rule(
        url, "events", events, methods=["GET", "OPTIONS"], provide_automatic_options=False
    )
    return endpoint


# What may depend on the request: who it is, and what is selected for them.
_ASKED = {"user", "presence"} | SelectOptions.__optional_keys__


def _ask(options: SubscribeOptions) -> SubscribeOptions:
    asked: Any = {
        name: value() if name in _ASKED and callable(value) else value
        for name, value in options.items()
    }
    return asked  # type: ignore[no-any-return]
