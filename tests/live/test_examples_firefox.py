"""The examples in Firefox, which differs from Chromium in ids, ends and reconnections."""

import contextlib
import os
import signal
import time

import pytest

from sse_sync import connect
from tests.browsers import Firefox
from tests.live.test_examples import (
    EXPECTED,
    RESTART,
    STATES,
    Tab,
    assert_consecutive,
    ids_of,
    number,
    request,
    see,
    serve,
)

SITES = [("flask", "memory", "direct"), ("django", "redis", "nginx")]
# Its console reports a 204, and a broken connection, as an error.
KNOWN = ("establish a connection", "connection to", "was interrupted")


class FirefoxTab(Tab):
    """A tab of Firefox."""

    def __init__(self, browser, url):
        self.browser = browser
        self.handle = browser.new_tab()
        browser.open(url)

    def run(self, script, *arguments):
        self.browser.switch_to(self.handle)
        return self.browser.run(script, *arguments)


@pytest.fixture(scope="module", params=SITES, ids="-".join)
def site(request, tmp_path_factory):
    with serve(*request.param, tmp_path_factory.mktemp("examples")) as site:
        yield site
        assert "Traceback" not in site.server.output()


@pytest.fixture
def page(site, tmp_path):
    """Open pages in tabs; the console may show only known messages."""
    with Firefox(tmp_path) as firefox:
        yield lambda path, url=site.named_url: FirefoxTab(firefox, url + path)
        assert [e for e in firefox.errors() if not any(known in e for known in KNOWN)] == []


def test_ids_and_ends(site, page):
    """Finished streams stay finished, even if an id is not committed; broken ones resume."""
    paths = ("/counter/", "/counter/", "/clock/", "/progress/")
    five, finished, clock, progress = [page(path) for path in paths]
    # By another host name, which allows six more connections.
    tokens, updates = page("/tokens/", site.url), page("/updates/", site.url)
    tokens.click("#ask button")
    five.click("#five")
    finished.click("#all")
    clock.run(RESTART)
    progress.click("#start")
    reached = see(lambda: number(progress.text("#percent")), "progress")
    progress.reload()

    see(lambda: five.state() == ("closed", "closed by this page"), "the page to close")
    assert five.items() == EXPECTED[:5]

    see(lambda: len(finished.items()) == 10, "ten events")
    see(lambda: finished.state() == ("closed", "closed"), "the browser to stop")
    assert finished.items() == EXPECTED

    see(lambda: "reconnecting" in clock.run("return states"), "the connection to break")
    see(lambda: clock.state()[0] == "open", "the browser to reconnect")
    before = len(clock.items())
    see(lambda: len(clock.items()) >= max(3, before + 1), "more ticks")
    ids = ids_of(clock)
    assert ids == list(range(ids[0], ids[0] + len(ids)))

    see(lambda: number(progress.text("#percent")) >= reached, "progress after the reload")
    see(lambda: number(progress.text("#percent")) == 100, "the end")
    see(lambda: progress.state() == ("closed", "closed"), "the browser to stop")

    see(lambda: tokens.state() == ("closed", "finished"), "the whole answer")
    assert tokens.text("ol.log li:last-child span").endswith(".")
    see(lambda: len(updates.items()) >= 2, "two updates of another origin")
    assert_consecutive(updates)


def test_workers_are_killed(site, page):
    """Pages reconnect to new workers by themselves, and miss nothing."""
    chat, clock, orders = page("/chat/?id=1&name=Ada"), page("/clock/"), page("/orders/")
    see(lambda: chat.texts(".people li") == ["Ada"], "the chat")
    see(lambda: clock.items(), "a tick")
    chat.run(STATES)
    killed = site.workers()
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    see(lambda: ["reconnecting"] * 2 in chat.run("return states"), "the page to notice")
    if site.broker_url:
        with connect(site.broker_url) as hub:
            meanwhile = {"message": "meanwhile", "id": "2", "name": "Bob"}
            hub.publish("chat", meanwhile, event="message")
    see(lambda: site.workers() and not site.workers() & killed, "new workers")
    assert ordered(site, "while the page was away")
    tabs = (chat, clock, orders)
    for name, tab in zip(("chat", "clock", "orders"), tabs, strict=True):
        see(lambda tab=tab: tab.state()[0] == "open", f"the browser to reconnect the {name}")
    see(lambda: orders.texts("td:nth-child(2)") == ["while the page was away"], "the order")
    see(lambda: said(site), "the chat to work")
    expected = ["Bob: meanwhile", "Kim: back"] if site.broker_url else ["Kim: back"]
    see(lambda: chat.texts(".said") == expected, "what was said")
    before = len(clock.items())
    see(lambda: len(clock.items()) > before, "the clock to go on")
    ids = ids_of(clock)
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def ordered(site, item):
    def order():
        with contextlib.suppress(OSError):
            return request(site, "/orders/", item=item, quantity="1")[0] == 201

    return see(order, "the order to be taken")


def said(site):
    with contextlib.suppress(OSError):
        return request(site, "/chat/message", message="back", id="3", name="Kim")[0] == 200
    time.sleep(0.1)
    return False
