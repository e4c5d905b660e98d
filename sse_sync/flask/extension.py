"""
The Flask extension.

"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import flask

from ..admission import admission
from ..registry import registry
from ..settings import Options, misspelt

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["SSE", "State", "current_state"]

logger = logging.getLogger("sse_sync")

CONTEXT_KEY = "sse_sync.flask.context"


@dataclass(frozen=True)
class State:
    """
    What the extension keeps in ``app.extensions["sse_sync"]``.

    """

    options: Options
    """How the application's streams behave."""


class SSE:
    """
    Give a Flask application event streams.

    One instance may serve several applications; it keeps nothing of any of them.

    Args:
        app: An application to initialise at once.

    """

    def __init__(self, app: flask.Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """
        Read the configuration keys ``SSE_*``, and prepare the application.

        The keys are the upper-case names in :data:`sse_sync.settings.OPTIONS`, such as
        ``SSE_HEARTBEAT`` and ``SSE_RETRY``.

        Args:
            app: The application.

        Raises:
            ConfigurationError: If a value is unusable.
            RuntimeError: If the application has the extension already.

        """
        if "sse_sync" in app.extensions:
            raise RuntimeError("this application has an SSE extension already: use that one")
        app.extensions["sse_sync"] = State(Options.read(app.config, "SSE_"))
        for problem in misspelt(app.config, "SSE_"):
            logger.warning("%s", problem)
        app.wsgi_app = _OwnContext(app.wsgi_app)  # type: ignore[method-assign]
        admission().prepare({}, registry())


class _OwnContext:
    # Runs every request in context variables of its own. Flask binds a request context to the
    # variables it was pushed in, and a stream has to pop it long after the request,
    # when other requests may have used the thread, or from another thread.

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


def current_state() -> State:
    """
    Return the state of the current application's extension.

    Raises:
        RuntimeError: If the application has none.

    """
    state = flask.current_app.extensions.get("sse_sync")
    if not isinstance(state, State):
        raise RuntimeError(
            "this application has no SSE extension: call SSE(app) where it is made,"
            " or sse.init_app(app) in its factory"
        )
    return state


def runner_of(environ: WSGIEnvironment) -> Callable[..., Any]:
    """
    Return what calls a function in the context variables of a request.

    Args:
        environ: The environ of the current request.

    """
    context = environ.get(CONTEXT_KEY)
    if isinstance(context, contextvars.Context):
        return context.run
    return lambda function, *args: function(*args)
