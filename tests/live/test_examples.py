"""The examples, as a person sees them in a browser, and on the frameworks' own servers."""

import time

import pytest
from selenium.webdriver.common.by import By

from sse_sync import END_ID
from tests.browsers import Chromium
from tests.live.servers import GUNICORN_OPTIONS, Kind, Server, wait_for

CONTROL = tuple({"--no-control-socket"} & GUNICORN_OPTIONS)
GUNICORN = [
    Kind(
        "gunicorn",
        "example",
        ("{bin}/gunicorn", *CONTROL, "-c", f"example_{name}/gunicorn.conf.py"),
        True,
        "/",
    )
    for name in ("flask", "django")
]
DEVELOPMENT = [
    Kind(
        "flask-run",
        "example",
        ("{bin}/flask", "--app", "example_flask.app", "run", "--port", "{port}"),
        False,
        "/",
    ),
    Kind(
        "runserver",
        "example",
        (
            *("{bin}/python", "example_django/manage.py", "runserver", "--noreload"),
            "127.0.0.1:{port}",
        ),
        False,
        "/",
    ),
]


def name_of(kind):
    return " ".join(kind.command[-3:]).replace("{port}", "port")


@pytest.fixture(scope="module", params=GUNICORN, ids=["flask", "django"])
def site(request, tmp_path_factory):
    """The examples on gunicorn with gevent workers, started as the documentation says."""
    log = tmp_path_factory.mktemp("examples") / "log"
    env = {"DJANGO_SETTINGS_MODULE": "example_django.settings"}
    with Server(request.param, log, env) as server:
        yield server


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless Chromium, as Selenium knows it."""
    with Chromium(tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium.driver


@pytest.fixture
def page(site, browser):
    """Open a page; afterwards its console must be empty."""

    def open_page(path):
        browser.get(site.url + path)
        return browser

    browser.get("about:blank")
    browser.get_log("browser")
    yield open_page
    assert browser.get_log("browser") == []
    browser.get("about:blank")


def state(browser):
    element = browser.find_element(By.CSS_SELECTOR, ".state")
    return element.get_attribute("data-state"), element.text


def items(browser):
    """The list of events, oldest first, as (text, id)."""
    script = """return [...document.querySelectorAll("ol.events li")].map(
        (item) => [...item.children].map((part) => part.textContent)).reverse()"""
    return [tuple(item) for item in browser.execute_script(script)]


def click(browser, identifier):
    browser.find_element(By.ID, identifier).click()


EXPECTED = [(f"count {number}", f"id {number}") for number in range(1, 11)]


def test_index(page):
    """The index leads to every example."""
    browser = page("/")
    links = [a.get_attribute("href") for a in browser.find_elements(By.CSS_SELECTOR, "h2 a")]
    assert [link.rsplit("/", 2)[1] for link in links] == ["counter", "clock", "progress"]


def test_counter_is_closed_by_the_page(page):
    """The page stops at five, and stays closed."""
    browser = page("/counter/")
    click(browser, "five")
    wait_for(lambda: state(browser) == ("closed", "closed by this page"), "the page to close")
    assert items(browser) == EXPECTED[:5]


def test_finished_counter_stays_finished(page):
    """At the end the browser comes back once, is answered 204, and gives up for good."""
    browser = page("/counter/")
    click(browser, "all")
    wait_for(lambda: len(items(browser)) == 10, "ten events", 15)
    wait_for(lambda: state(browser) == ("closed", "closed"), "the browser to stop", 15)
    assert items(browser) == EXPECTED
    requests = browser.execute_script(
        "return performance.getEntriesByType('resource')"
        ".filter((entry) => entry.name.endsWith('/counter/events')).length"
    )
    assert requests <= 2


def test_clock_resumes(page):
    """After the server broke the connection no tick is missing or repeated."""
    browser = page("/clock/")
    wait_for(lambda: len(items(browser)) >= 2, "two ticks")
    assert state(browser)[0] == "open"
    click(browser, "restart")
    wait_for(lambda: state(browser) == ("connecting", "reconnecting"), "the connection to break")
    wait_for(lambda: state(browser)[0] == "open", "the browser to reconnect")
    before = len(items(browser))
    wait_for(lambda: len(items(browser)) >= before + 2, "more ticks")
    ids = [int(identifier.removeprefix("id ")) for _, identifier in items(browser)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    last = browser.find_element(By.ID, "last").text
    assert int(last) in (ids[-1], ids[-1] + 1)


def percent(browser):
    return int(browser.find_element(By.ID, "percent").text.removesuffix(" %"))


def test_progress_survives_a_reload(page):
    """The bar goes to its end, and goes on where the job is when the page is reloaded."""
    browser = page("/progress/")
    click(browser, "start")
    wait_for(lambda: percent(browser) >= 20, "progress")
    browser.refresh()
    reached = wait_for(lambda: percent(browser), "progress after the reload")
    assert 20 <= reached < 100
    wait_for(lambda: percent(browser) == 100, "the end", 20)
    value = browser.find_element(By.CSS_SELECTOR, "progress").get_attribute("value")
    assert float(value) == 100
    wait_for(lambda: state(browser) == ("closed", "closed"), "the browser to stop", 15)


@pytest.mark.parametrize("kind", DEVELOPMENT, ids=["flask-run", "runserver"])
def test_development_server(kind, tmp_path):
    """The examples run on the framework's own server, too."""
    env = {"DJANGO_SETTINGS_MODULE": "example_django.settings"}
    with Server(kind, tmp_path / "log", env) as server:
        assert b"<title>Counter" in server.get("/counter/")
        with server.stream("/counter/events") as stream:
            events = list(stream)
        assert [event.id for event in events] == [*map(str, range(1, 11)), END_ID]
        began = time.monotonic()
        with server.stream("/clock/events", last_event_id=str(int(time.time() / 2) - 3)) as clock:
            ticks = [int(event.id) for event in clock.take(3)]
        assert ticks == list(range(ticks[0], ticks[0] + 3))
        assert time.monotonic() - began < 3  # Two of them were missed, and come at once.
