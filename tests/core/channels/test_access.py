"""Who may read a channel that the client names."""

import pytest

from sse_sync import ConfigurationError
from sse_sync.channels.access import (
    AccessRefused,
    check_fixed,
    is_allowed,
    load_hook,
    what_is_wrong_with,
)


def allow(channel):
    return channel == "mine"


def test_hook():
    """A hook is a function or its dotted path; a mistake is reported."""
    assert load_hook(None) is None
    assert load_hook(allow) is allow
    assert load_hook(f"{__name__}.allow") is allow
    for wrong in ("nowhere.allow", f"{__name__}.nothing", "allow", f"{__name__}.pytest"):
        with pytest.raises(ConfigurationError, match="authorize names"):
            load_hook(wrong)


class Query:
    def __init__(self, *channels):
        self._channels = channels

    def getlist(self, name):
        return self._channels if name == "channel" else []


def test_fixed_channels(caplog):
    """A client may name an endpoint's own channels, and no other."""
    for names in ([], ["a"], ["b", "a"]):
        check_fixed(Query(*names), ("a", "b"))
    assert caplog.text == ""
    with pytest.raises(AccessRefused, match=r"fixed: leave out \?channel=") as caught:
        check_fixed(Query("a", "c"), ("a", "b"))
    assert caught.value.status == 400
    assert "'c': the endpoint relays a, b" in caplog.text


@pytest.mark.parametrize("answer", [False, None, "", 0])
def test_refused(answer, caplog):
    """Only True, for each channel, allows."""
    assert not is_allowed(["mine", "other"], allow)
    assert "refused a client the channel 'other'" in caplog.text
    assert not is_allowed(["mine"], lambda channel: answer)
    assert not is_allowed(["mine"], None)
    assert "no authorize function is set to allow it" in caplog.text
    assert is_allowed(["mine"], allow)


@pytest.mark.parametrize(
    ("channels", "problem"),
    [
        ([], "name 1 to 100 channels"),
        (["a"] * 101, "name 1 to 100 channels"),
        (["a", ""], "channel must have 1 to 200"),
        (["a\r\nb"], "printable"),
        (["a" * 201], "1 to 200"),
        (["a\u2028"], "printable"),
    ],
)
def test_what_cannot_be_named(channels, problem):
    """Channel names are checked before the hook is called."""
    assert problem in what_is_wrong_with(channels)
    assert what_is_wrong_with(["a", "ä b", "\N{SNOWMAN}"]) == ""
