"""Options: one table, and clear errors."""

import dataclasses
import datetime

import pytest

from sse_sync import ConfigurationError
from sse_sync.settings import OPTIONS, Options, StreamOptions, misspelt, problems


def test_table_and_class_agree():
    """Every option has an entry in the table, in the same order, and a default that passes."""
    assert [option.name for option in OPTIONS] == [f.name for f in dataclasses.fields(Options)]
    for option in OPTIONS:
        assert option.checked(option.default, option.name) == option.default
        assert option.meaning.endswith(".")
    assert StreamOptions.__optional_keys__ <= {option.name for option in OPTIONS}


def test_read():
    """A configuration is read by prefix; missing options have their defaults."""
    given = {"SSE_RETRY": 5, "SSE_HEARTBEAT": 1, "RETRY": 6, "SSE_OTHER": object()}
    options = Options.read(given, "SSE_", debug=True)
    assert options == Options(retry=5, heartbeat=1.0, debug=True)


@pytest.mark.parametrize(
    ("name", "value", "checked"),
    [
        ("heartbeat", 1, 1.0),
        ("heartbeat", None, None),
        ("heartbeat", datetime.timedelta(minutes=1), 60.0),
        ("retry", 0, 0),
        ("retry", None, None),
        ("retry", datetime.timedelta(seconds=2), 2000),
        ("lifetime", 0.5, 0.5),
        ("reconnect", True, True),
        ("max_streams", 7, 7),
        ("max_streams", None, None),
    ],
)
def test_values(name, value, checked):
    """Valid values are normalised."""
    assert getattr(Options.read({name.upper(): value}, ""), name) == checked


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("heartbeat", 0),
        ("heartbeat", -1),
        ("heartbeat", True),
        ("heartbeat", "15"),
        ("heartbeat", float("nan")),
        ("heartbeat", float("inf")),
        ("retry", -1),
        ("retry", 1.5),
        ("retry", True),
        ("retry", datetime.timedelta(seconds=-1)),
        ("reconnect", 1),
        ("reconnect", None),
        ("max_streams", 0),
        ("max_streams", True),
        ("max_streams", 2.0),
    ],
)
def test_unusable_values(name, value):
    """An invalid value is refused under the name that the user wrote."""
    key = f"X_{name.upper()}"
    with pytest.raises(ConfigurationError, match=f"^{key} must be .*, not ") as caught:
        Options.read({key: value}, "X_")
    assert caught.value.option == key


def test_replace():
    """A stream may override per-stream options."""
    options = Options(retry=5)
    assert options.replace({}) is options
    assert options.replace({"heartbeat": None}) == Options(retry=5, heartbeat=None)
    with pytest.raises(ConfigurationError, match="did you mean reconnect"):
        options.replace({"reconnects": True})
    with pytest.raises(ConfigurationError, match="known are cors_credentials, cors_origins, debug"):
        options.replace({"colour": 1})
    with pytest.raises(ConfigurationError, match="max_streams is not an option"):
        options.replace({"max_streams": 1})


def test_problems():
    """All mistakes in a dictionary of options are found at once."""
    found = problems({"RETRY": -1, "HEARTBEAT": 15, "COLOUR": 1, 5: 6})
    assert [str(problem).split(",")[0] for problem in found] == [
        "RETRY must be a whole number of milliseconds",
        "COLOUR is not an option; known are AUTHORIZE",
        "5 is not an option; known are AUTHORIZE",
    ]


def test_misspelt():
    """A misspelt option is reported; other keys are left alone."""
    given = {"SSE_HEARTBEET": 1, "SSE_REDIS_URL": "x", "OTHER": 1, "SSE_RETRY": 1}
    assert [str(problem) for problem in misspelt(given, "SSE_")] == [
        "SSE_HEARTBEET is not an option; did you mean SSE_HEARTBEAT?"
    ]


def test_key_of_flask_sse():
    """The broker's URL is not ignored because it is under flask-sse's key."""
    with pytest.raises(ConfigurationError, match=r"^SSE_REDIS_URL is flask-sse's key: set SSE_BRO"):
        Options.read({"SSE_REDIS_URL": "redis://a"}, "SSE_")
    both = {"SSE_REDIS_URL": "redis://a", "SSE_BROKER_URL": "redis://b"}
    assert Options.read(both, "SSE_").broker_url == "redis://b"
    (problem,) = problems({"REDIS_URL": "redis://a"})
    assert "did you mean BROKER_URL?" in str(problem)


@pytest.mark.parametrize("name", ["RECHECK", "RECHECK_EVERY"])
def test_removed(name):
    """An option that is no more says what replaces it."""
    with pytest.raises(ConfigurationError, match=rf"^X_{name} was removed: .*reauthorize\(\)"):
        Options.read({f"X_{name}": None}, "X_")
    (problem,) = problems({name: None})
    assert "lifetime" in str(problem)
