"""Which other origins may read a stream."""

import pytest

from sse_sync import ConfigurationError
from sse_sync.cors import cors_headers, forgery, preflight_headers
from sse_sync.settings import Options, problems

PAGE = "https://app.example.com"
ALLOW = ("Allow", "GET, HEAD, OPTIONS")


def options(**changes):
    return Options().replace(changes)


def headers(origin, **changes):
    environ = {"HTTP_ORIGIN": origin} if origin is not None else {}
    return dict(cors_headers(environ, options(**changes)))


def test_no_origins():
    """Without a list no headers are sent, so that the application can send its own."""
    assert headers(PAGE) == {}
    assert preflight_headers({"HTTP_ORIGIN": PAGE}, Options(), {}) == [ALLOW]


def test_listed():
    """A listed origin is named, with credentials only if they are wanted."""
    allowed = {"Vary": "Origin", "Access-Control-Allow-Origin": PAGE}
    assert headers(PAGE, cors_origins=["http://localhost:3000", PAGE]) == allowed
    with_cookies = headers(PAGE, cors_origins=PAGE, cors_credentials=True)
    assert with_cookies == {**allowed, "Access-Control-Allow-Credentials": "true"}


@pytest.mark.parametrize(
    "origin",
    [
        None, "", "null", "https://evil.example.com", "http://app.example.com", f"{PAGE}.evil.com",
        f"{PAGE}:444", "https://evil-app.example.com", PAGE.upper(), f"{PAGE}/", "*",
    ],
)  # fmt: skip
def test_not_listed(origin):
    """Any other origin gets only the header that caches need."""
    given = {"cors_origins": [PAGE], "cors_credentials": True}
    assert headers(origin, **given) == {"Vary": "Origin"}
    preflight = preflight_headers({"HTTP_ORIGIN": origin}, Options(), given)
    assert preflight == [ALLOW, ("Vary", "Origin")]


def test_all():
    """All origins may be allowed, but never with cookies."""
    assert headers(PAGE, cors_origins="*") == {"Access-Control-Allow-Origin": "*"}
    with pytest.raises(ConfigurationError, match="needs a list of origins"):
        options(cors_origins="*", cors_credentials=True)
    (problem,) = problems({"CORS_ORIGINS": ["*"], "CORS_CREDENTIALS": True})
    assert "needs a list of origins" in str(problem)


def test_preflight():
    """A listed origin may send the headers that fetch() clients send."""
    preflight = dict(preflight_headers({"HTTP_ORIGIN": PAGE}, Options(), {"cors_origins": [PAGE]}))
    assert preflight["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "Last-Event-ID" in preflight["Access-Control-Allow-Headers"]


def asked(method="POST", **changes):
    """A request that a page of another origin sends with its visitor's cookies."""
    given = {
        "REQUEST_METHOD": method, "HTTP_COOKIE": "session=1", "HTTP_ORIGIN": PAGE,
        "HTTP_HOST": "example.com",
    }  # fmt: skip
    given.update(changes)
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_forged(method):
    """What may change something needs a listed origin, if it comes with cookies."""
    assert forgery(asked(method), Options())
    assert forgery(asked(method), options(cors_origins="*"))
    assert forgery(asked(method, HTTP_ORIGIN="null"), Options())
    assert forgery(asked(method, HTTP_SEC_FETCH_SITE="same-site"), Options())
    assert forgery(asked(method, HTTP_ORIGIN="http://["), Options())
    assert forgery(asked(method, HTTP_ORIGIN="null", HTTP_HOST=""), Options())
    assert "the Host header" in forgery(asked(method), Options())
    assert not forgery(asked(method), options(cors_origins=[PAGE]))
    assert not forgery(asked(method), Options(), lambda origin: origin == PAGE)
    assert forgery(asked(method), Options(), lambda origin: origin != PAGE)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "GET"},
        {"method": "HEAD"},
        {"HTTP_COOKIE": None},
        {"HTTP_ORIGIN": None},
        {"HTTP_HOST": "app.example.com"},
        {"HTTP_X_FORWARDED_HOST": "app.example.com"},
        {"HTTP_SEC_FETCH_SITE": "same-origin"},
        # proxy_set_header Host $host:$server_port, and $host where the port is another.
        {"HTTP_HOST": "app.example.com:443"},
        {"HTTP_HOST": "app.example.com", "HTTP_ORIGIN": f"{PAGE}:8443"},
        {"HTTP_HOST": "App.example.com"},
        # Each of several proxies appends its own name.
        {"HTTP_X_FORWARDED_HOST": "app.example.com, inner"},
        {"HTTP_HOST": "[::1]:8000", "HTTP_ORIGIN": "http://[::1]:8000"},
        {"HTTP_HOST": None, "SERVER_NAME": "app.example.com"},
    ],
    ids=str,
)
def test_not_forged(changes):
    """Reading, no cookies, no browser, and the application's own pages."""
    assert not forgery(asked(**changes), Options())


@pytest.mark.parametrize(
    ("wanted", "methods", "allowed"),
    [
        ("POST", None, "GET, HEAD, POST"),
        ("POST", {"POST", "OPTIONS"}, "POST"),
        ("POST", {"GET", "HEAD", "OPTIONS"}, "GET, HEAD"),
        ("GET", None, "GET, HEAD"),
        ("BREW", None, "GET, HEAD"),
        ("DELETE", {"POST", "OPTIONS"}, "POST"),
        (None, {"POST", "OPTIONS"}, "POST"),
        (None, None, "GET, HEAD"),
    ],
)
def test_methods_of_a_preflight(wanted, methods, allowed):
    """The route's methods are named, or where nobody knows them, the one that is asked for."""
    environ = {"HTTP_ORIGIN": PAGE}
    if wanted is not None:
        environ["HTTP_ACCESS_CONTROL_REQUEST_METHOD"] = wanted
    headers = dict(preflight_headers(environ, Options(), {"cors_origins": [PAGE]}, methods))
    assert headers["Access-Control-Allow-Methods"] == allowed
    assert headers["Allow"] == f"{allowed}, OPTIONS"


@pytest.mark.parametrize(
    "origins",
    [
        "app.example.com", f"{PAGE}/", f"{PAGE}/path", "https://*.example.com", 5, [5], "null",
        "https://App.example.com", "https://a.example:443", "http://a.example:80",
        "https://b\u00fccher.example", f"{PAGE}\n", {"a": 1},
    ],
)  # fmt: skip
def test_what_is_no_origin(origins):
    """An origin that no browser would send is refused in the configuration."""
    with pytest.raises(ConfigurationError, match="cors_origins must be a list of origins"):
        options(cors_origins=origins)
