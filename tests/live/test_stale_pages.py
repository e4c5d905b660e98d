"""A page that was rendered a while ago gets what was published since, once, in a real browser."""

import pytest

from tests.browsers import BROWSERS
from tests.waiting import wait_for

MISSED = list(range(100))


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request, tmp_path_factory):
    """Each browser in turn."""
    with BROWSERS[request.param](tmp_path_factory.mktemp(request.param)) as browser:
        yield browser


@pytest.mark.parametrize("name", ["gunicorn-gevent-django", "gunicorn-handoff-gevent-flask"])
def test_page_that_is_born_stale(start, browser, key, name):
    """Its stream starts where it was rendered, also when the user comes back to it."""
    server = start(name)

    def seen(count):
        def enough():
            found = browser.run("return seen")
            return found if len(found) >= count else None

        return wait_for(enough, f"{count} events in the page")

    browser.open(f"{server.url}/page/{key}")
    server.get(f"/publish/{key}?count=100")
    browser.run("start()")
    assert seen(100) == MISSED
    server.get(f"/publish/{key}?first=100&count=1")
    assert seen(101) == [*MISSED, 100]
    browser.open(f"{server.url}/plain")
    server.get(f"/publish/{key}?first=101&count=1")
    browser.run("history.back()")
    wait_for(
        lambda: browser.run("return typeof start") == "function", "the browser to have gone back"
    )
    # The browser shows the page as it was rendered, or as the user left it.
    if not browser.run("return seen.length"):
        browser.run("start()")
    assert seen(102) == [*MISSED, 100, 101]
    assert browser.run("return kinds") == []
