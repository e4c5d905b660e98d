"""What servers, bridges and test clients put into the environ, copied from their source."""

import io
import sys
import types


def class_named(name, **attributes):
    """An instance of a class that claims to be from another module."""
    module, _, short = name.rpartition(".")
    return type(short, (), {"__module__": module, **attributes})()


def environs(sock):
    """What each server with a known socket puts into its environ."""
    rfile = sock.makefile("rb")
    channel = types.SimpleNamespace(socket=sock)
    waitress = types.MethodType(lambda self: False, channel)
    limited = class_named("django.core.handlers.wsgi.LimitedStream", _read=rfile.read)
    return rfile, {
        "gunicorn": {"gunicorn.socket": sock},
        "gunicorn gevent_pywsgi": {"gunicorn.sock": sock},
        "Werkzeug": {"werkzeug.socket": sock},
        "waitress": {"waitress.client_disconnected": waitress},
        "uWSGI": {"uwsgi.version": b"2.0"},
        "gevent.pywsgi": {"wsgi.input": class_named("gevent.pywsgi.Input", rfile=rfile)},
        "cheroot": {"wsgi.input": class_named("cheroot.server.KnownLengthRFile", rfile=rfile)},
        "runserver": {"wsgi.input": limited},
        "wsgiref": {"wsgi.input": rfile},
    }


REQUEST = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/events",
    "QUERY_STRING": "",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_HOST": "127.0.0.1:8000",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def of_bridges():
    """For each server that gives no name: the module by which it is told, and its environ."""
    body = {"wsgi.input": io.BytesIO()}
    return {
        # a2wsgi/wsgi.py, build_environ.
        "a2wsgi": (
            None,
            {
                **REQUEST,
                "asgi.scope": {"type": "http"},
                "wsgi.input": class_named("a2wsgi.wsgi.Body"),
                "REMOTE_PORT": "50000",
            },
        ),
        # asgiref/wsgi.py, WsgiToAsgiInstance.build_environ, called by __call__ with the body.
        "asgiref's WsgiToAsgi": (
            None,
            {**REQUEST, "wsgi.input": class_named("tempfile.SpooledTemporaryFile")},
        ),
        # hypercorn/app_wrappers.py, _build_environ.
        "hypercorn": ("hypercorn.app_wrappers", {**REQUEST, **body, "SERVER_PORT": 8000}),
        # uvicorn/middleware/wsgi.py, build_environ.
        "the WSGI middleware of uvicorn or Starlette": (
            None,
            {**REQUEST, **body, "SERVER_PORT": 8000},
        ),
        # bjoern/request.c, on_message_complete and _initialize_request_module.
        "bjoern": (
            "_bjoern",
            {
                **REQUEST,
                **body,
                "wsgi.file_wrapper": type,
                "wsgi.input_terminated": True,
                "wsgi.multithread": False,
            },
        ),
        # tornado/wsgi.py, WSGIContainer.environ.
        "Tornado": ("tornado.wsgi", {**REQUEST, **body, "wsgi.multithread": False}),
    }


def of_test_clients():
    """What each test client puts into its environ."""
    body = {"wsgi.input": io.BytesIO()}
    blank = {"SERVER_NAME": "localhost", "SERVER_PORT": "80", "HTTP_HOST": "localhost"}
    return {
        # werkzeug/test.py, EnvironBuilder.get_environ; flask/testing.py, EnvironBuilder, and
        # FlaskClient with its environ_base.
        "Werkzeug": {
            **REQUEST,
            **blank,
            **body,
            "REQUEST_URI": "/events",
            "RAW_URI": "/events",
            "HTTP_USER_AGENT": "Werkzeug/3.1.3",
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
        },
        # The same with an upload of the test's own.
        "Werkzeug with a file": {
            **REQUEST,
            **blank,
            "REQUEST_URI": "/events",
            "RAW_URI": "/events",
            "wsgi.input": class_named("tempfile.SpooledTemporaryFile"),
        },
        # django/test/client.py, RequestFactory._base_environ; also rest_framework/test.py,
        # APIRequestFactory.
        "Django": {
            **REQUEST,
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "HTTP_COOKIE": "",
            "wsgi.input": class_named("django.test.client.FakePayload"),
            "wsgi.errors": io.BytesIO(),
            "wsgi.multithread": False,
        },
        # webob/request.py, environ_from_url, and webtest/app.py, TestApp.do_request, with what
        # webtest/lint.py, middleware, puts around the input.
        "WebTest": {
            **REQUEST,
            **blank,
            "SERVER_PROTOCOL": "HTTP/1.0",
            "wsgi.input": class_named("webtest.lint.InputWrapper"),
            "wsgi.errors": class_named("webtest.lint.ErrorWrapper"),
            "paste.throw_errors": True,
            "paste.testing": True,
            "paste.testing_variables": {},
        },
        # wsgiref/util.py, setup_testing_defaults.
        "wsgiref": {
            **REQUEST,
            **body,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.0",
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": 0,
            "wsgi.multiprocess": 0,
            "wsgi.run_once": 0,
        },
        # The same through wsgiref/validate.py, validator.
        "wsgiref, validated": {
            **REQUEST,
            "wsgi.input": class_named("wsgiref.validate.InputWrapper"),
            "wsgi.errors": class_named("wsgiref.validate.ErrorWrapper"),
        },
        "by hand": {"PATH_INFO": "/events", "HTTP_ACCEPT": "text/event-stream"},
        "by hand, and empty": {},
    }
