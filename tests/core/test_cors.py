"""Which other origins may read a stream."""

import pytest

from sse_sync import ConfigurationError
from sse_sync.cors import cors_headers, preflight_headers
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
