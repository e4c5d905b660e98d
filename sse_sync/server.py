"""
Tell which WSGI server a request came through, or that a test client made it.

Servers are recognised by what they put into the environ, test clients by what only they put there.
Whatever is left is a server that this module does not know: PEP 3333 does not require that a server
gives its name, and bridges from ASGI give none.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["SERVERS", "UNKNOWN", "Server", "find_server", "find_worker"]


@dataclass(frozen=True)
class Server:
    """Describe one WSGI server."""

    name: str
    """The name that its documentation uses."""
    matches: Callable[[WSGIEnvironment], bool]
    """Returns whether a request came through this server."""
    fileno: Callable[[WSGIEnvironment], int] | None = None
    """Returns the descriptor of the client's socket; :obj:`None` if the server does not show it."""
    may_close_early: bool = False
    """Whether the server may close the socket before the response ends."""
    passes_connection: bool = False
    """Whether the server leaves the ``Connection`` header to the application."""
    can_break_off: bool = False
    """Whether a body can end without its last chunk: the server writes at once, frames HTTP/1.1
    bodies in chunks, and logs nothing when the connection breaks."""
    can_break_off_tls: bool = False
    """The same for what came over TLS, to the server itself or to a proxy."""
    may_never_close: bool = False
    """Whether the server may leave a response that it has iterated to its end unclosed."""
    knows_processes: bool = True
    """Whether its ``wsgi.multiprocess`` says how many processes there are, and is no constant."""
    problem: str = ""
    """What does not work there, and what to do instead. Logged at the first stream."""


def find_worker() -> Any:
    """
    Return this process's gunicorn worker, or :obj:`None`.

    gunicorn/workers/base.py, ``init_signals``, installs a method of the worker as the SIGTERM
    handler. Without configuration there is no other way to find the worker.
    """
    base = sys.modules.get("gunicorn.workers.base")
    if base is None:
        return None
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return worker if isinstance(worker, base.Worker) else None


def find_server(environ: WSGIEnvironment) -> Server | None:
    """
    Return the server that a request came through: :data:`UNKNOWN` if it is none of
    :data:`SERVERS`, and :obj:`None` if there is none, because a test made the environ.

    Args:
        environ: The request's WSGI environ.
    """
    if _is_of_test(environ):
        return None
    for server in SERVERS:
        if server.matches(environ):
            return server
    return UNKNOWN


def _is_of_test(environ: WSGIEnvironment) -> bool:
    # webtest/app.py, TestApp.do_request. The key is Paste's, and stands for any test.
    if "paste.testing" in environ:
        return True
    # No test client names a server; a test that does wants to be served.
    if "SERVER_SOFTWARE" in environ:
        return False
    # django/test/client.py, RequestFactory._base_environ and generic. The test client inherits
    # them, and so do the ones of Django REST framework.
    if _input_class(environ) == "django.test.client.FakePayload":
        return True
    # werkzeug/test.py, EnvironBuilder.get_environ, which Flask's test client and
    # test_request_context() use, too: no server has both without its name.
    if "RAW_URI" in environ and "REQUEST_URI" in environ:
        return True
    # Made by hand: PEP 3333 requires an input of servers. wsgiref/util.py, setup_testing_defaults,
    # gives one, and errors that nobody would read; wsgiref/validate.py, validator, wraps them.
    errors = _class(environ.get("wsgi.errors"))
    is_read = errors not in ("_io.StringIO", "wsgiref.validate.ErrorWrapper")
    return "wsgi.input" not in environ or not is_read


def _has(key: str) -> Callable[[WSGIEnvironment], bool]:
    return lambda environ: key in environ


def _fileno_of(key: str) -> Callable[[WSGIEnvironment], int]:
    return lambda environ: int(environ[key].fileno())


def _input(environ: WSGIEnvironment) -> Any:
    return environ["wsgi.input"]


def _input_class(environ: WSGIEnvironment) -> str:
    return _class(environ.get("wsgi.input"))


def _class(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _uwsgi(environ: WSGIEnvironment) -> Any:
    # This module exists only inside uWSGI.
    return sys.modules["uwsgi"]


def _is_nameless(environ: WSGIEnvironment, input_class: str = "_io.BytesIO") -> bool:
    # Servers that read the body first, give no name, and always claim to be multi-process. Where
    # their environs are alike, the module that must be loaded tells them apart.
    is_like = _input_class(environ) == input_class and "SERVER_SOFTWARE" not in environ
    return is_like and bool(environ.get("wsgi.multiprocess"))


def _has_odd_port(environ: WSGIEnvironment) -> bool:
    # PEP 3333: it "must" be a string.
    return type(environ.get("SERVER_PORT")) is int


_UNAWARE = (
    "a stream never learns that its client is gone: it keeps a thread, and holds up a shutdown,"
    " until it ends by itself. Run gunicorn -k gevent; or set a lifetime, after which streams end"
)

_WITHOUT_SOCKET = (
    "the clients' sockets are not known here: a disconnect is noticed only when something is"
    " written, by the second heartbeat at the latest, and open streams hold up a shutdown. Run"
    " gunicorn -k gevent, which notices both at once"
)

SERVERS: tuple[Server, ...] = (
    # gunicorn/http/wsgi.py, default_environ: sync, gthread and gevent workers. It drops the
    # application's Connection header and sends its own.
    Server(
        "gunicorn",
        _has("gunicorn.socket"),
        _fileno_of("gunicorn.socket"),
        can_break_off=True,
        can_break_off_tls=True,
    ),
    # gunicorn/workers/ggevent.py, PyWSGIHandler.get_environ.
    Server(
        "gunicorn gevent_pywsgi",
        _has("gunicorn.sock"),
        _fileno_of("gunicorn.sock"),
        passes_connection=True,
        can_break_off=True,
    ),
    # werkzeug/serving.py, WSGIRequestHandler.make_environ. Sends its own Connection: close. In
    # run_wsgi, a reset that comes after the last byte is raised before close() is called.
    Server(
        "Werkzeug",
        _has("werkzeug.socket"),
        _fileno_of("werkzeug.socket"),
        may_never_close=True,
    ),
    # waitress/task.py, WSGITask.get_environment: a method of the channel. It rejects the header.
    # With channel_request_lookahead its main thread notices the disconnect and closes the socket.
    Server(
        "waitress",
        _has("waitress.client_disconnected"),
        lambda environ: int(environ["waitress.client_disconnected"].__self__.socket.fileno()),
        may_close_early=True,
    ),
    Server(
        "uWSGI",
        lambda environ: "uwsgi.version" in environ and "uwsgi" in sys.modules,
        lambda environ: int(_uwsgi(environ).connection_fd()),
        passes_connection=True,
    ),
    # gevent/pywsgi.py, class Input.
    Server(
        "gevent.pywsgi",
        lambda environ: _input_class(environ) == "gevent.pywsgi.Input",
        lambda environ: int(_input(environ).rfile.fileno()),
        passes_connection=True,
        can_break_off=True,
    ),
    # cheroot/server.py: KnownLengthRFile and similar classes wrap the connection's makefile.
    Server(
        "cheroot",
        lambda environ: _input_class(environ).startswith("cheroot."),
        lambda environ: int(_input(environ).rfile.fileno()),
        passes_connection=True,
    ),
    # django/core/servers/basehttp.py, ServerHandler: a LimitedStream that keeps the read method
    # of the connection's makefile. wsgiref rejects the header.
    Server(
        "runserver",
        lambda environ: _input_class(environ) == "django.core.handlers.wsgi.LimitedStream",
        lambda environ: int(_input(environ)._read.__self__.fileno()),
    ),
    # wsgiref/simple_server.py: the connection's makefile itself. CGI looks the same, but its
    # standard input is not a socket.
    Server(
        "wsgiref",
        lambda environ: _input_class(environ) == "_io.BufferedReader",
        lambda environ: int(_input(environ).fileno()),
    ),
    # granian/wsgi.py, _callback_wrapper.
    Server(
        "granian",
        lambda environ: environ.get("SERVER_SOFTWARE") == "Granian",
        problem=_WITHOUT_SOCKET,
    ),
    # a2wsgi/wsgi.py, build_environ. Also `uvicorn --interface wsgi` where it is installed.
    Server("a2wsgi", _has("asgi.scope"), knows_processes=False, problem=_UNAWARE),
    # asgiref/wsgi.py, WsgiToAsgiInstance: run_wsgi_app runs in the one thread of sync_to_async.
    Server(
        "asgiref's WsgiToAsgi",
        lambda environ: _is_nameless(environ, "tempfile.SpooledTemporaryFile"),
        may_never_close=True,
        knows_processes=False,
        problem="it serves one request at a time, so a stream blocks all others; and " + _UNAWARE,
    ),
    # hypercorn/app_wrappers.py, _build_environ.
    Server(
        "hypercorn",
        lambda environ: (
            "hypercorn.app_wrappers" in sys.modules
            and _is_nameless(environ)
            and _has_odd_port(environ)
        ),
        knows_processes=False,
        problem=_UNAWARE,
    ),
    # uvicorn/middleware/wsgi.py, build_environ, and starlette/middleware/wsgi.py, the same.
    Server(
        "the WSGI middleware of uvicorn or Starlette",
        lambda environ: _is_nameless(environ) and _has_odd_port(environ),
        may_never_close=True,
        knows_processes=False,
        problem=_UNAWARE,
    ),
    # bjoern/request.c, _initialize_request_module.
    Server(
        "bjoern",
        lambda environ: "_bjoern" in sys.modules and _is_nameless(environ),
        knows_processes=False,
        problem="all requests share one thread, which every stream blocks until its next event or"
        " heartbeat. Run gunicorn -k gevent",
    ),
    # tornado/wsgi.py, WSGIContainer.environ; gunicorn -k tornado uses it.
    Server(
        "Tornado",
        lambda environ: "tornado.wsgi" in sys.modules and _is_nameless(environ),
        knows_processes=False,
        problem="it sends a stream only when it has ended. Run gunicorn -k gevent",
    ),
)
"""The servers that can be recognised, in the order tried."""

UNKNOWN = Server("this server", lambda environ: True, problem=_WITHOUT_SOCKET)
"""Any other server."""
