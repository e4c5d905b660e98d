"""
A ready-made endpoint for channels.

"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask

from .preflights import preflight
from .signing import check_token
from .state import current_state

__all__ = ["make_blueprint"]


def make_blueprint(
    subscribe: Callable[..., flask.Response],
    channels: tuple[str, ...],
    url: str,
    name: str,
    arguments: dict[str, Any],
) -> flask.Blueprint:
    """
    Return what :meth:`.SSE.blueprint` describes.

    Args:
        subscribe: Answers the current request with the events of some channels.
        channels: Their names; empty if the client names them.
        url: Where it is.
        name: Name of the blueprint.
        arguments: Further arguments for ``subscribe``.

    """
    endpoint = flask.Blueprint(name, __name__)
    asked = {name: arguments.pop(name, None) for name in ("user", "presence")}

    def events() -> flask.Response:
        if flask.request.method == "OPTIONS":
            return preflight(arguments)
        whose = {k: v() if callable(v) else v for k, v in asked.items()}
        if channels:
            return subscribe(*channels, **whose, **arguments)
        token = flask.request.args.get("token")
        if token is not None:
            grant = check_token(token)
            if grant is None:
                flask.abort(403)
            configured = arguments.get("lifetime", current_state().options.lifetime)
            lifetime = grant.lifetime(configured)
            given = {**whose, **arguments, "lifetime": lifetime}
            if given["user"] is None:
                given["user"] = grant.user
            return subscribe(*grant.channels, **given)
        names = flask.request.args.getlist("channel")
        return subscribe(*names, authorize=True, **whose, **arguments)

    endpoint.add_url_rule(
        url, "events", events, methods=["GET", "OPTIONS"], provide_automatic_options=False
    )
    return endpoint
