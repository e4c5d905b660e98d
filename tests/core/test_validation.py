"""What an option may be: each check returns the value as it is used, or says what it must be."""

from datetime import timedelta

import pytest

from sse_sync import validation
from sse_sync.fields import MAX_RETRY


def function():
    """A function of the application."""


@pytest.mark.parametrize(
    ("check", "given", "used"),
    [
        ("count", 1, 1),
        ("count", 10**9, 10**9),
        ("seconds", 5, 5.0),
        ("seconds", 0.5, 0.5),
        ("seconds", timedelta(minutes=1), 60.0),
        ("milliseconds", 0, 0),
        ("milliseconds", MAX_RETRY, MAX_RETRY),
        ("milliseconds", timedelta(seconds=1.5), 1500),
        ("flag", True, True),
        ("flag", False, False),
        ("url", "redis://localhost/0", "redis://localhost/0"),
        ("histories", {}, {}),
        ("histories", {"x": [5, timedelta(minutes=1)]}, {"x": (5, 60.0)}),
        ("origins", "*", ("*",)),
        ("origins", "https://a.example", ("https://a.example",)),
        ("origins", ["https://a.example:8443", "null://x"], ("https://a.example:8443", "null://x")),
        ("origins", [], ()),
        ("hook", None, None),
        ("hook", function, function),
        ("hook", "app.auth.may_read", "app.auth.may_read"),
        ("prefix", "sse:", "sse:"),
        ("prefix", "x" * 100, "x" * 100),
    ],
)
def test_good(check, given, used):
    """A good value is returned in the form in which it is used."""
    value = getattr(validation, check)(given)
    assert value == used
    assert type(value) is type(used)


@pytest.mark.parametrize(
    ("check", "values", "wanted"),
    [
        ("count", [0, -1, 1.0, True, "1", None], "a positive whole number"),
        (
            "seconds",
            [0, -1, 1e9, float("nan"), float("inf"), True, "1", None, timedelta(0)],
            "a positive number of seconds",
        ),
        (
            "milliseconds",
            [-1, MAX_RETRY + 1, 1.5, True, "1", None, timedelta(days=-1), timedelta(days=30)],
            "a whole number of milliseconds, 0 to 2,147,483,647",
        ),
        ("flag", [0, 1, None, "true"], "True or False"),
        ("url", ["redis", "", None, 5, b"redis://"], "a URL such as redis://localhost/0"),
        (
            "histories",
            [None, [], {"a": 5}, {"a": (1,)}, {"a": (1, 2, 3)}, {1: (1, 1)}, {"a": "xy"}],
            "a dictionary of channel patterns to (events, seconds)",
        ),
        ("histories", [{"a": (0, 1)}, {"a": (True, 1)}], "a positive whole number"),
        ("histories", [{"a": (1, 0)}], "a positive number of seconds"),
        (
            "origins",
            [
                *(None, 5, [5], "", "a.example", "https://a.example/", "https://A.example"),
                *("https://a.example:443", "http://a.example:80", "https://*.a.example"),
                *("https://u@a.example", "https://caf\u00e9.example", "https://a.example\n"),
            ],
            'a list of origins such as "https://app.example.com", or "*"',
        ),
        ("hook", [5, b"x", ["x"]], "a function, or the dotted path of one"),
        (
            "prefix",
            ["", "x" * 101, "a\n", "{a}", "a}", None, 5],
            "1 to 100 printable characters, without braces",
        ),
    ],
)
def test_bad(check, values, wanted):
    """A bad value is refused with what it must be."""
    for value in values:
        with pytest.raises(ValueError) as caught:
            getattr(validation, check)(value)
        assert str(caught.value) == wanted, value


def test_none():
    """Where None is allowed, it passes, and whoever gives something bad is told so."""
    check = validation.or_none(validation.count, "None for any number")
    assert check(None) is None
    assert check(3) == 3
    with pytest.raises(ValueError) as caught:
        check(0)
    assert str(caught.value) == "a positive whole number, or None for any number"
    with pytest.raises(ValueError, match=r"or None for never$"):
        validation.or_none(validation.seconds)(0)


@pytest.mark.parametrize(
    ("value", "is_whole", "is_number"),
    [(1, True, True), (1.5, False, True), (True, False, False), ("1", False, False)],
)
def test_numbers(value, is_whole, is_number):
    """True and False are no numbers."""
    assert validation.is_whole(value) is is_whole
    assert validation.is_number(value) is is_number
