"""What the decorator of each front does with a view."""

import asyncio

import pytest

from sse_sync import ConfigurationError, SourceError
from sse_sync.views import call, check_view, last_event_id_as, report_late_answer, report_page


def test_class_is_no_view():
    """A decorated class is refused with what to decorate instead."""
    with pytest.raises(SourceError, match=r"decorate the class's method instead, such as get\(\)"):
        check_view(type("View", (), {}), {})


def test_unknown_option():
    """A decorator's option is looked at when the view is defined, not at its first request."""
    with pytest.raises(ConfigurationError, match="did you mean heartbeat"):
        check_view(lambda: None, {"heartbeats": 5})
    check_view(lambda: None, {"heartbeat": 5, "plain": True, "user": "ann"})


def test_call(runtime):
    """A view is called; an asynchronous one runs on the loop of the sources."""

    async def view(a, *, b):
        await asyncio.sleep(1)
        return a, b

    assert call(lambda a, *, b: (a, b), 1, b=2) == call(view, 1, b=2) == (1, 2)


@pytest.mark.parametrize(
    ("sent", "type", "expected"),
    [("7", int, 7), ("x", int, 0), (None, int, 0), ("7", None, "7"), ("\xff", None, 0)],
)
def test_last_event_id_as(sent, type, expected):
    """What a client sends is a usable value, or the default."""
    environ = {} if sent is None else {"HTTP_LAST_EVENT_ID": sent}
    assert last_event_id_as(environ, 0, type) == expected


def test_late_answer(caplog):
    """The log names the function that tried to answer something else."""

    def orders():
        raise LookupError

    try:
        orders()
    except LookupError as error:
        report_late_answer(error.with_traceback(error.__traceback__.tb_next), 404)
    report_late_answer(LookupError(), 404)
    first, second = caplog.messages
    assert first.startswith("orders raised a 404, which cannot be the answer any more")
    assert second.startswith("the generator raised a 404")


def test_page_instead_of_a_stream(caplog):
    """The log names the page, once."""
    report_page.cache_clear()
    for page in ("/login", "/login", "/account"):
        report_page(page)
    assert [message.split(" instead")[0] for message in caplog.messages] == [
        "an EventSource has got the page /login",
        "an EventSource has got the page /account",
    ]
    assert "answer it 401 or 403 instead of redirecting it: is_event_source()" in caplog.text
