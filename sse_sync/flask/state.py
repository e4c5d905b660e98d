"""What the extension stores in a Flask application, and in each request."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import flask

from ..channels.app import AppHub
from ..settings import OPTIONS, Options, misspelt

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["OwnContext", "Setup", "State", "current_setup", "current_state", "runner_of"]

logger = logging.getLogger("sse_sync")

CONTEXT_KEY = "sse_sync.flask.context"

KEYS = [f"SSE_{option.name.upper()}" for option in OPTIONS]


@dataclass(frozen=True)
class State:
    """What streams and publishers of one application use."""

    options: Options
    """How the application's streams behave."""
    app_hub: AppHub
    """Makes the application's hub when it is first used."""


class Setup:
    """
    What the extension keeps in ``app.extensions["sse_sync"]``.

    The configuration is read at the first stream or publish, as Flask reads its own when it needs
    it, so that a factory may set it after ``init_app``, and a test after the factory.

    Args:
        config: The application's configuration.
        make_hub: Makes what gives the application its hub.

    Raises:
        ConfigurationError: If a value is unusable already.
    """

    def __init__(self, config: Mapping[str, Any], make_hub: Callable[[Options], AppHub]) -> None:
        self._config = config
        self._make_hub = make_hub
        self._lock = threading.Lock()
        self._state: State | None = None
        self._given: dict[str, Any] = {}
        self._told: set[str] = set()
        Options.read(config, "SSE_")
        self._tell_misspelt()

    def state(self) -> State:
        """
        Return the state, which does not change any more.

        Raises:
            ConfigurationError: If a value of the configuration is unusable.
        """
        if self._state is None:
            with self._lock:
                if self._state is None:
                    self._state = self._make()
        return self._state

    def tell_ignored(self) -> None:
        """Log which keys have changed since the configuration was read."""
        given = self._own_keys()
        if given != self._given:
            before, self._given = self._given, given
            changed = [key for key in KEYS if before.get(key, _UNSET) != given.get(key, _UNSET)]
            logger.warning(
                "%s changed after the application's first stream or publish, and the change is"
                " ignored: set it before",
                ", ".join(changed),
            )

    def _make(self) -> State:
        self._tell_misspelt()
        self._given = self._own_keys()
        options = Options.read(self._config, "SSE_")
        return State(options, self._make_hub(options))

    def _own_keys(self) -> dict[str, Any]:
        config = self._config
        return {key: config[key] for key in KEYS if key in config}

    def _tell_misspelt(self) -> None:
        for problem in misspelt(self._config, "SSE_"):
            if problem.option not in self._told:
                self._told.add(problem.option)
                logger.warning("%s", problem)


_UNSET = object()


def current_setup() -> Setup:
    """
    Return what the current application keeps of the extension.

    Raises:
        RuntimeError: If it has no extension, or there is no current application.
    """
    try:
        setup = flask.current_app.extensions.get("sse_sync")
    except RuntimeError:
        raise RuntimeError(
            "there is no application context, from which SSE gets its broker: write"
            " with app.app_context(): around the call, or, where there is no application,"
            " as in a script, publish with sse_sync.connect(broker_url)"
        ) from None
    if not isinstance(setup, Setup):
        raise RuntimeError(
            "this application has no SSE extension: call SSE(app) where it is made,"
            " or sse.init_app(app) in its factory"
        )
    return setup


def current_state() -> State:
    """
    Return the state of the current application's extension.

    Raises:
        RuntimeError: If the application has no extension, or there is no current application.
        ConfigurationError: If a value of the configuration is unusable.
    """
    return current_setup().state()


class OwnContext:
    """
    WSGI middleware that runs every request in context variables of its own.

    Flask binds a request context to the variables in which it was pushed. A stream pops it long
    after the request, when the thread may have served other requests, or from another thread.

    Args:
        wsgi_app: The application.
        before_first: Called before the first request, when every view is registered.
    """

    def __init__(self, wsgi_app: WSGIApplication, before_first: Callable[[], object]) -> None:
        self._wsgi_app = wsgi_app
        self._before_first: Callable[[], object] | None = before_first

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        before_first = self._before_first  # Another thread may be faster.
        if before_first is not None:
            before_first()
            self._before_first = None
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
