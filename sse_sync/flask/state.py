"""What the extension stores in a Flask application, and in each request."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import flask

from ..channels.app import AppHub
from ..settings import Options

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["OwnContext", "State", "current_state", "runner_of"]

CONTEXT_KEY = "sse_sync.flask.context"


@dataclass(frozen=True)
class State:
    """What the extension stores in ``app.extensions["sse_sync"]``."""

    options: Options
    """How the application's streams behave."""
    app_hub: AppHub
    """Makes the application's hub when it is first used."""


def current_state() -> State:
    """
    Return the state of the current application's extension.

    Raises:
        RuntimeError: If the application has no extension.
    """
    state = flask.current_app.extensions.get("sse_sync")
    if not isinstance(state, State):
        raise RuntimeError(
            "this application has no SSE extension: call SSE(app) where it is made,"
            " or sse.init_app(app) in its factory"
        )
    return state


class OwnContext:
    """
    WSGI middleware that runs every request in context variables of its own.

    Flask binds a request context to the variables in which it was pushed. A stream pops it long
    after the request, when the thread may have served other requests, or from another thread.
    """

    def __init__(self, wsgi_app: WSGIApplication) -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "werkzeug.debug.preserve_context" in environ:
            # "with client:" pushes the request's context in the test's own variables.
            return self._wsgi_app(environ, start_response)
        context = contextvars.copy_context()
        environ[CONTEXT_KEY] = context
        try:
            return context.run(self._wsgi_app, environ, start_response)
        finally:
            # The variables refer to the request, and the request to the environ.
            environ.pop(CONTEXT_KEY, None)


def runner_of(environ: WSGIEnvironment) -> Callable[..., Any]:
    """Return a function that calls another in the context variables of the current request."""
    context = environ.get(CONTEXT_KEY)
    if isinstance(context, contextvars.Context):
        return context.run
    return lambda function, *args: function(*args)
