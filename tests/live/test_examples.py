"""The examples, as seen in a browser, and on the frameworks' own servers."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Keys

from sse_sync import END_ID, connect
from sse_sync.testing import LiveStream
from tests.browsers import Chromium
from tests.live.servers import GUNICORN_OPTIONS, ROOT, Kind, Server
from tests.nginx import Nginx
from tests.redis_server import RedisServer
from tests.waiting import PATIENCE, wait_for

CONTROL = tuple({"--no-control-socket"} & GUNICORN_OPTIONS)
GUNICORN = {
    name: Kind(
        "gunicorn",
        "example",
        ("{bin}/gunicorn", *CONTROL, "-c", f"example_{name}/gunicorn.conf.py"),
        True,
        "/",
    )
    for name in ("flask", "django")
}
APPS = {"flask": "example_flask.app:create_app()", "django": "example_django.wsgi:application"}
# Each framework with one worker and with three, directly and behind nginx; the soak runs all.
SITES = [
    *(("flask", "memory", "direct"), ("flask", "redis", "nginx")),
    *(("django", "memory", "nginx"), ("django", "redis", "direct")),
]
if "ALL_EXAMPLES" in os.environ:
    SITES = list(itertools.product(GUNICORN, ("memory", "redis"), ("direct", "nginx")))
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
MARKUP = "<img src=x onerror=alert(1)>"


class Site:
    """The examples on gunicorn, and where to find them."""

    def __init__(self, server, nginx=None):
        self.server = server
        self.scheme = "http" if nginx is None else "https"
        self.port = server.port if nginx is None else nginx.port
        self.other_port = server.port + 1 if nginx is None else nginx.other_port
        self.context = None if nginx is None else nginx.client_context()
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self.other_url = f"{self.scheme}://127.0.0.1:{self.other_port}"
        self.named_url = f"{self.scheme}://localhost:{self.port}"

    def ask(self, path, data=None, method="GET", **headers):
        """Return an ordinary response's body."""
        asked = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=PATIENCE, context=self.context) as response:
            return response.read()

    def stream(self, path, **arguments):
        """Open an event stream."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        if self.context is not None:
            sock = self.context.wrap_socket(sock, server_hostname="127.0.0.1")
        return LiveStream(self.url + path, connection=sock, timeout=PATIENCE, **arguments)

    def workers(self):
        """Return the worker processes."""
        return self.server.workers()


@contextlib.contextmanager
def serve(name, broker, proxy, folder):
    """The examples as documented: one worker, or three with Redis; and with nginx."""
    folder.mkdir(exist_ok=True)
    kind = GUNICORN[name]
    env = {
        "DJANGO_SETTINGS_MODULE": "example_django.settings",
        "DATABASE": str(folder / "database"),
    }
    with contextlib.ExitStack() as stack:
        if broker == "redis":
            redis = stack.enter_context(RedisServer(folder))
            env |= {"SSE_BROKER_URL": redis.url, "WEB_CONCURRENCY": "3"}
        nginx = None
        if proxy == "nginx":
            nginx = Nginx(folder, folder / "gunicorn.sock")
            kind = behind_nginx(name, nginx)
            hosts = itertools.product(("127.0.0.1", "localhost"), (nginx.port, nginx.other_port))
            env["SSE_CORS_ORIGINS"] = ",".join(f"https://{host}:{port}" for host, port in hosts)
            if name == "django":
                # As in a deployment, where the server does not migrate.
                migrate = [
                    sys.executable,
                    "example_django/manage.py",
                    "migrate",
                    "--verbosity",
                    "0",
                ]
                subprocess.run(migrate, cwd=ROOT, env={**os.environ, **env}, check=True)
        server = stack.enter_context(Server(kind, folder / "log", env))
        if nginx is not None:
            stack.enter_context(nginx)
        site = Site(server, nginx)
        site.name, site.broker, site.broker_url = name, broker, env.get("SSE_BROKER_URL")
        yield site


def behind_nginx(name, nginx):
    bind = ("-b", "127.0.0.1:{port}", "-b", f"unix:{nginx.upstream}")
    command = ("{bin}/gunicorn", *CONTROL, "-c", "deploy/gunicorn.conf.py", *bind, APPS[name])
    return Kind("gunicorn-nginx", "example", command, True, "/")


@pytest.fixture(scope="module", params=SITES, ids="-".join)
def site(request, browser, tmp_path_factory):
    with serve(*request.param, tmp_path_factory.mktemp("examples")) as site:
        site.slow = open_slow(site, browser)
        yield site
        for tab in site.slow.values():
            tab.close()
        browser.switch_to.window(browser.window_handles[0])
        log = site.server.output()
        assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless Chromium of Debian's."""
    with Chromium(tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium.driver


def see(condition, what, timeout=PATIENCE):
    """Wait for what a page shows, without polling so often that it loads the machine."""

    def look():
        value = condition()
        if not value:
            time.sleep(0.05)
        return value

    return wait_for(look, what, timeout)


class Tab:
    """A tab with a page. Its text is read whether or not the tab is in front."""

    def __init__(self, browser, url):
        self.browser = browser
        browser.switch_to.new_window("tab")
        self.handle = browser.current_window_handle
        browser.get(url)

    def run(self, script, *arguments):
        self.browser.switch_to.window(self.handle)
        return self.browser.execute_script(script, *arguments)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def texts(self, selector):
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        return self.run(script, selector)

    def state(self):
        return tuple(
            self.run(
                "const e = document.querySelector('.state'); "
                "return e ? [e.dataset.state, e.textContent] : ['', '']"
            )
        )

    def items(self):
        """The list of events, oldest first, as (text, id)."""
        script = """return [...document.querySelectorAll("ol.events li")].map(
            (item) => [...item.children].map((part) => part.textContent)).reverse()"""
        return [tuple(item) for item in self.run(script)]

    def click(self, selector):
        self.run("document.querySelector(arguments[0]).click()", selector)

    def type(self, selector, text):
        script = """const field = document.querySelector(arguments[0]);
            field.value = arguments[1];
            field.dispatchEvent(new Event("input", {bubbles: true}))"""
        self.run(script, selector, text)

    def reload(self):
        self.run("location.reload()")

    def close(self):
        self.browser.switch_to.window(self.handle)
        self.browser.close()


@pytest.fixture
def console(browser):
    """The console's messages; unless the test reads them, there must be none at its end."""
    first = browser.window_handles[0]
    browser.switch_to.window(first)
    browser.get_log("browser")

    def read():
        return [entry["message"] for entry in browser.get_log("browser")]

    yield read
    browser.switch_to.window(first)
    assert read() == []


@pytest.fixture
def page(site, browser, console):
    """Open each page in its own tab, and close the tabs at the end."""
    before = set(browser.window_handles)
    yield lambda path: Tab(browser, site.url + path)
    for handle in set(browser.window_handles) - before:
        browser.switch_to.window(handle)
        browser.close()


# Records the states of the connection that the page shows.
STATES = """window.states = [];
const state = document.querySelector(".state");
new MutationObserver(() => states.push([state.dataset.state, state.textContent]))
  .observe(state, {childList: true, characterData: true, subtree: true});"""
# Restarts the stream at the first tick, and records the states that the page shows.
RESTART = """window.states = [];
const state = document.querySelector(".state");
new MutationObserver(() => states.push(state.textContent)).observe(state, {childList: true});
new MutationObserver((records, observer) => {
  observer.disconnect();
  document.querySelector("#restart").click();
}).observe(document.querySelector("ol.events"), {childList: true});"""


# The page's time in seconds, and how often each room has measured since it was opened.
COUNTS = """return [performance.now() / 1000,
    ...[...document.querySelectorAll(".count")].map((e) => Number(e.textContent))]"""


@pytest.fixture(scope="module")
def slow(site):
    """Pages on which something takes time. Tests that look at them run last."""
    return site.slow


def open_slow(site, browser):
    # By another host name: a browser opens at most six connections to one.
    paths = {
        "five": "/counter/",
        "all": "/counter/",
        "clock": "/clock/",
        "home": "/smart-home/",
        "progress": "/progress/",
    }
    tabs = {name: Tab(browser, site.named_url + path) for name, path in paths.items()}
    tabs["five"].click("#five")
    tabs["all"].click("#all")
    tabs["clock"].run(RESTART)
    home, bar = tabs["home"], tabs["progress"]
    see(lambda: home.state()[0] == "open", "the stream of the smart home")
    home.began = home.run(COUNTS)
    bar.click("#start")
    bar.reached = see(lambda: number(bar.text("#percent")) >= 15 and bar.text("#percent"), "15 %")
    bar.job = bar.run("return location.hash")
    bar.reload()
    see(lambda: number(bar.text("#percent")) >= number(bar.reached), "at least as much")
    return tabs


def request(site, path, method="POST", **fields):
    """Send a form, and return the status and the JSON."""
    data = urllib.parse.urlencode(fields).encode() if method == "POST" else None
    asked = urllib.request.Request(site.url + path, data, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE, context=site.context) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def number(text):
    return int("".join(filter(str.isdigit, text)) or 0)


EXPECTED = [(f"count {number}", f"id {number}") for number in range(1, 11)]


def test_index(site, page):
    """The index links to every example and its source, and shows which worker has its stream."""
    tab = page("/")
    links = tab.run("return [...document.querySelectorAll('h2 a')].map((a) => a.pathname)")
    names = ["counter", "clock", "live-users", "smart-home", "chat", "updates", "updates/react"]
    names += ["updates/vue", "progress", "tokens", "assistant", "orders", "htmx", "datastar"]
    assert links == [f"/{name}/" for name in names]
    for link in links:
        text = site.ask(link)
        assert b"<title>" in text
        assert b"<noscript>" in text
    sources = tab.run("return [...document.querySelectorAll('.soft a')].map((a) => a.pathname)")
    for source in sources:
        assert site.ask(source) in {
            (ROOT / f"example_{site.name}" / Path(source).name).read_bytes()
            if source.startswith("/source/")
            else (ROOT / f"example_{source[1:]}").read_bytes()
        }
    assert len(sources) == 16
    see(lambda: tab.texts("#workers tr"), "a worker with a stream")
    assert tab.text("#framework").lower() == site.name
    workers = tab.texts("#workers td:first-child")
    assert {int(pid) for pid in workers} <= site.workers()
    figures = """const sum = (selector) => [...document.querySelectorAll(selector)]
            .reduce((total, element) => total + Number(element.textContent), 0);
        const figures = [sum("#workers td:nth-child(2)"), sum("#workers td:nth-child(3)")];
        return figures.every((figure) => figure >= 1) && figures[0] === sum("#open") &&
            figures[1] === sum("#handed-off")"""
    see(lambda: tab.run(figures), "the streams, this page's among them, and their sums")


@pytest.mark.parametrize("path", ["app.pyc", "settings.py", "..%2f..%2fsetup.cfg", "extensions.py"])
def test_other_files_are_not_shown(site, path):
    """Only sources of examples are served."""
    # nginx itself refuses paths outside the root.
    with pytest.raises(urllib.error.HTTPError, match=r"40[04]") as caught:
        site.ask(f"/source/{path}")
    caught.value.close()


def test_counter_is_closed_by_the_page(slow, console):
    """The page stops at five, and stays closed."""
    tab = slow["five"]
    see(lambda: tab.state() == ("closed", "closed by this page"), "the page to close")
    assert tab.items() == EXPECTED[:5]


def test_finished_counter_stays_finished(slow, console):
    """At the end the browser reconnects once, gets 204, and gives up for good."""
    tab = slow["all"]
    see(lambda: len(tab.items()) == 10, "ten events")
    see(lambda: tab.state() == ("closed", "closed"), "the browser to stop")
    assert tab.items() == EXPECTED
    assert counted(tab, "/counter/events") <= 2  # Some browsers do not list a request answered 204.


def ids_of(tab):
    return [number(identifier) for _, identifier in tab.items()]


def test_closed_counter_stays_closed(slow, console):
    """Nothing arrived, and nothing was requested, after the page closed its stream."""
    tab = slow["five"]
    # The entry appears some time after the stream was closed.
    script = """const found = performance.getEntriesByType('resource')
        .find((entry) => entry.name.endsWith('/counter/events'));
        return found ? performance.now() - found.responseEnd : 0"""
    # Longer than the browser waits before it reconnects.
    see(lambda: tab.run(script) > 4000, "four seconds to pass")
    assert tab.items() == EXPECTED[:5]
    assert tab.state() == ("closed", "closed by this page")
    assert counted(tab, "/counter/events") == 1


def counted(tab, path):
    script = """return performance.getEntriesByType('resource')
        .filter((entry) => new URL(entry.name).pathname === arguments[0]).length"""
    return tab.run(script, path)


def test_clock_resumes(slow, console):
    """After the server has restarted the stream, no tick is missing or repeated."""
    tab = slow["clock"]
    see(lambda: "reconnecting" in tab.run("return states"), "the connection to break")
    see(lambda: tab.state()[0] == "open", "the browser to reconnect")
    before = len(tab.items())
    see(lambda: len(tab.items()) >= max(3, before + 1), "more ticks")
    ids = ids_of(tab)
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert int(tab.text("#last")) in (ids[-1], ids[-1] + 1)


def test_progress_survives_a_reload(site, slow, console):
    """After a reload the bar goes on where the job is, to its end; then there is the report."""
    tab = slow["progress"]
    see(lambda: number(tab.text("#percent")) == 100, "the end")
    assert tab.run("return document.querySelector('progress').value") == 100
    see(lambda: tab.state() == ("closed", "closed"), "the browser to stop")
    # Nothing has begun another job.
    assert (tab.run("return location.hash"), counted(tab, "/progress/")) == (tab.job, 0)
    report = tab.run("return document.querySelector('#download').getAttribute('href')")
    assert report == f"/progress/{tab.job[1:]}.csv"
    rows = site.ask(report).decode().splitlines()
    assert (rows[0], rows[9], len(rows)) == ("number,square,root", "9,81,3.000000", 100_001)
    tab.reload()
    see(lambda: tab.run("return document.querySelector('#download')?.hidden") is False, "the link")
    assert number(tab.text("#percent")) == 100


def test_live_users(page):
    """Joins and leaves are counted at once, on every worker and in every tab."""
    first = page("/live-users/")
    see(lambda: first.text("#users") == "1", "one person")
    others = [page("/live-users/") for _ in range(3)]
    for tab in (first, *others):
        see(lambda tab=tab: tab.text("#users") == "4", "four people")
    assert_leaving_is_noticed(first, "#users", others)
    see(lambda: first.text("#users") == "1", "three to leave")
    assert first.state()[0] == "open"
    # Every second, even without a change.
    told = int(first.text("#told"))
    see(lambda: int(first.text("#told")) >= told + 2, "two more numbers")
    assert first.text("#users") == "1"
    # The same number is not set again: a screen reader would read it each time.
    assert first.run("return changes.length") == len(others)


def assert_leaving_is_noticed(tab, selector, others):
    """Close the other tabs, one by one; the page has to show it at once."""
    # One success in three will do, because the machine may be busy. A heartbeat that fails would
    # tell it, too, up to 15 s later.
    seconds = []
    tab.run(
        "window.changes = []; new MutationObserver(() => changes.push(Date.now() / 1000))"
        ".observe(document.querySelector(arguments[0]), {childList: true})",
        selector,
    )
    for number, other in enumerate(others, 1):
        began = time.time()
        other.close()
        see(lambda n=number: len(tab.run("return changes")) >= n, "somebody to leave")
        seconds.append(tab.run("return changes.at(-1)") - began)
    assert min(seconds) < 5, seconds


def test_live_users_are_tabs(page):
    """A tab is one person, also after a reload; a duplicate is another person."""
    tab = page("/live-users/")
    see(lambda: tab.text("#users") == "1", "one person")
    name = tab.run("return sessionStorage.name")
    tab.reload()
    see(lambda: tab.text("#users") == "1", "the page")
    assert tab.run("return sessionStorage.name") == name
    # Like a duplicated tab, this one starts with a copy of the storage.
    tab.run("window.open(location.href)")
    see(lambda: tab.text("#users") == "2", "two people")


def test_smart_home(slow, page):
    """Each room has its own interval, and a switch changes on every page."""
    home = slow["home"]
    see(lambda: number(home.text("#bedroom .count")) >= 2, "two events of the bedroom")
    now = home.run(COUNTS)
    seconds, *counts = [later - began for later, began in zip(now, home.began, strict=True)]
    for count, interval in zip(counts, (1.0, 1.8, 2.6), strict=True):
        assert abs(count - seconds / interval) < 3, (counts, seconds)
    for room in ("kitchen", "livingroom", "bedroom"):
        texts = home.texts(f"#{room} td")
        assert sum(text.endswith((" °C", " %")) for text in texts) == 2, texts
    tab = page("/smart-home/")
    box = "return document.querySelector(`[aria-label='oven in the kitchen']`)?.checked"
    see(lambda: tab.run(box) is False and home.run(box) is False, "the switch")
    tab.click("[aria-label='oven in the kitchen']")
    see(lambda: home.run(box) is True, "the other page to show it")
    tab.reload()
    see(lambda: tab.run(box) is True, "it to stay")


def test_quick_switches(page, browser, console):
    """The last click counts, even if the previous request is slow or fails."""
    tab, other = page("/smart-home/"), page("/smart-home/")
    light, television = (
        f"[aria-label='{name} in the livingroom']" for name in ("light", "television")
    )
    box = f'return document.querySelector("{light}")?.checked'
    see(lambda: tab.run(box) is False and other.run(box) is False, "the switch")
    tab.run("""const send = window.fetch;
        let wait = 700;
        window.answers = 0;
        window.fetch = async (...arguments) => {
          const before = wait;
          wait = 0;
          await new Promise((resolve) => setTimeout(resolve, before));
          const answer = await send(...arguments);
          answers += 1;
          return answer;
        };""")
    tab.click(light)
    tab.click(light)
    see(lambda: tab.run("return answers") == 2, "both answers")
    # Once this is seen, the earlier switches have been, too.
    tab.click(television)
    see(lambda: other.run(box.replace(light, television)) is True, "the television")
    assert tab.run(box) is False
    assert other.run(box) is False
    cut_off(tab)
    for _ in range(3):
        tab.click(light)
    see(lambda: "That did not work" in tab.text("#problem"), "the problem")
    see(lambda: tab.run(box) is False, "the switch to go back")
    cut_off(tab, False)
    tab.click(light)
    see(lambda: other.run(box) is True, "the next click")
    assert tab.text("#problem") == ""
    assert all("ERR_INTERNET_DISCONNECTED" in message for message in console())


def cut_off(tab, is_cut_off=True):
    """Let the page's requests fail from now on, or work again. Its stream stays."""
    tab.browser.switch_to.window(tab.handle)
    conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    tab.browser.execute_cdp_cmd("Network.enable", {})
    tab.browser.execute_cdp_cmd(
        "Network.emulateNetworkConditions", {"offline": is_cut_off, **conditions}
    )


@pytest.mark.parametrize(
    ("path", "button"),
    [
        ("/clock/", "#restart"),
        ("/progress/", "#start"),
        ("/orders/", "#order"),
        ("/chat/?id=5&name=Zoe", "#say button"),
        ("/htmx/", "main button"),
        ("/tokens/", "#ask button"),
    ],
)
def test_what_cannot_be_sent(page, console, path, button):
    """While the server is unreachable, the page says so."""
    tab = page(path)
    fill = "for (const field of document.querySelectorAll(':required')) field.value ||= 'Tea'"
    tab.run(fill)
    cut_off(tab)
    tab.click(button)
    see(lambda: tab.text("#problem").startswith("That did not work"), "the problem")
    assert "ERR_INTERNET_DISCONNECTED" in "".join(console())
    cut_off(tab, False)
    tab.run(fill)
    tab.click(button)
    sent = """return performance.getEntriesByType("resource").some((entry) =>
        ["fetch", "xmlhttprequest"].includes(entry.initiatorType) &&
        entry.responseStatus >= 200 && entry.responseStatus < 300)"""
    see(lambda: tab.run(sent), "the answer")
    see(lambda: tab.text("#problem") == "", "the problem to go away")


def test_many_switches(site):
    """Simultaneous switches, on any worker, cause no error."""

    def switch(number):
        body = json.dumps({"device": "heating", "on": number % 2 == 0}).encode()
        return site.ask("/smart-home/bedroom", body, "PUT", **{"Content-Type": "application/json"})

    with ThreadPoolExecutor(12) as pool:
        answers = [json.loads(answer) for answer in pool.map(switch, range(120))]
    assert {"light", "heating"} == set(answers[0]["devices"])


def test_resume_in_the_middle(site):
    """A client that reconnects to a counter gets the rest."""
    with site.stream("/counter/events", last_event_id="8") as stream:
        assert [event.id for event in stream] == ["9", "10", END_ID]


def test_wrong_method(site):
    """A GET to a URL for other methods is answered 405."""
    for path in ("/chat/message", "/clock/restart"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            site.ask(path)
        with caught.value as refused:
            assert refused.code == 405
            assert "POST" in refused.headers["Allow"]


def test_job_that_is_not_there(page, console):
    """The page of an old link says so, and can start another job."""
    tab = page("/progress/#there-is-no-such-job")
    see(lambda: tab.state()[0] == "closed", "the refusal")
    see(lambda: tab.text("#problem") == "There is no such job, or no longer.", "the page to say so")
    tab.click("#start")
    see(lambda: number(tab.text("#percent")), "another job")
    tab.run("document.querySelector('#start').focus()")
    job = tab.run("return location.hash")
    # One request is enough, and the button keeps the focus.
    tab.click("#start")
    assert tab.run("return [location.hash, document.activeElement.id]") == [job, "start"]
    assert tab.run("return document.querySelector('#start').ariaDisabled") == "true"


def test_problems_are_text(site):
    """Form errors are readable text."""
    for path, fields in (
        ("/orders/", {"item": " ", "quantity": "1"}),
        ("/orders/", {"item": "Tea", "quantity": "x"}),
        ("/chat/message", {"message": "x" * 2000, "id": "a@b", "name": "Ada"}),
        ("/chat/message", {"message": "x", "id": "\u200b", "name": "Ada"}),
    ):
        status, answer = request(site, path, **fields)
        assert (status, type(answer["error"])) == (400, str)
    said = {"message": "Hello", "id": "a@b.example", "name": "Ada"}
    assert request(site, "/chat/message", **said) == (200, said)


def test_what_cannot_be_switched(site):
    """Unknown rooms and devices, and a body that is not JSON, are refused."""
    for room, body, status in (
        ("cellar", {"device": "light", "on": True}, 404),
        ("kitchen", {"device": "heating", "on": True}, 400),
        ("kitchen", {"device": "light", "on": "yes"}, 400),
        ("kitchen", ["light", True], 400),
    ):
        body = json.dumps(body).encode()
        with pytest.raises(urllib.error.HTTPError) as caught:
            site.ask(f"/smart-home/{room}", body, "PUT", **{"Content-Type": "application/json"})
        caught.value.close()
        assert caught.value.code == status


def test_chat(page):
    """Users are listed, messages reach everybody as text, and leaving is noticed."""
    ada = page("/chat/?id=1&name=Ada")
    see(lambda: ada.texts(".people li") == ["Ada"], "Ada")
    bob = page("/chat/?id=2&name=Bob")
    see(lambda: ada.texts(".people li") == ["Ada", "Bob"], "Bob at Ada's")
    see(lambda: bob.texts(".people li") == ["Ada", "Bob"], "both at Bob's")
    bob.type("[name=message]", MARKUP)
    bob.click("#say button")
    for tab in (ada, bob):
        see(lambda tab=tab: tab.texts(".said") == [f"Bob: {MARKUP}"], "the message")
        assert tab.run("return document.querySelectorAll('img').length") == 0
    others = [page(f"/chat/?id={number}&name={name}") for number, name in ((3, "Kim"), (4, "Eve"))]
    see(lambda: ada.texts(".people li") == ["Ada", "Bob", "Kim", "Eve"], "all of them")
    assert_leaving_is_noticed(ada, "ol.log", [bob, *others])
    see(lambda: ada.texts(".people li") == ["Ada"], "all others to leave")
    log = ["Ada is here", "Bob is here", f"Bob: {MARKUP}", "Kim is here", "Eve is here"]
    log += ["Bob has left", "Kim has left", "Eve has left"]
    see(lambda: [line for line in ada.texts(".log li") if line in log] == log, "all lines")


def test_chat_without_a_name(page):
    """A visitor without a name is asked for one."""
    tab = page("/chat/")
    assert tab.run("return document.querySelector('#room').hidden")
    tab.type("[name=name]", "Mia")
    tab.click("#join button")
    see(lambda: tab.text("#me") == "You are Mia", "the chat")
    see(lambda: tab.state()[0] == "open", "the stream")


def test_chat_says_what_is_missing(site):
    """Streams and messages require their parameters."""
    assert "missing: id" in request(site, "/chat/events?name=Ada", "GET")[1]["error"]
    assert "missing: name" in request(site, "/chat/events?id=1", "GET")[1]["error"]
    for name in ("message", "id", "name"):
        fields = {"message": "Hello", "id": "1", "name": "Ada", name: " "}
        status, answer = request(site, "/chat/message", **fields)
        assert (status, answer["error"]) == (400, f"missing: {name}")
    assert request(site, "/chat/events?id=%E2%80%8B1&name=Ada", "GET")[0] == 400
    said = {"message": "Hello", "id": "1", "name": "Ada"}
    assert request(site, "/chat/message", **said) == (200, said)


def test_chat_stream(site):
    """First all users, then each join, and all users every two seconds."""
    with site.stream("/chat/events?id=77&name=Lea") as stream:
        events = stream.take(2)
        assert [event.event for event in events] == ["stream-open", "all-users"]
        assert {"id": "77", "name": "Lea"} in json.loads(events[1].data)
        found = {}
        # Others may be leaving still, and the list of all may come first.
        while not {"new-user", "users"} <= found.keys():
            event = next(stream)
            found.setdefault(event.event, json.loads(event.data))
        assert found["new-user"] == {"user": "77", "info": {"name": "Lea"}}
        assert {"id": "77", "name": "Lea"} in found["users"]


def test_updates_of_another_origin(site, page):
    """A page reads the stream of the other port, with times as ids."""
    tab = page("/updates/")
    see(lambda: len(tab.items()) >= 2, "two updates")
    assert tab.text("#origin") == site.other_url
    assert_consecutive(tab)


def assert_consecutive(tab):
    at = [datetime.fromisoformat(identifier.removeprefix("id ")) for _, identifier in tab.items()]
    assert at == [at[0] + timedelta(seconds=n) for n in range(len(at))]


def test_updates_for_no_other_origin(site, browser, page, console):
    """A page of any other origin gets nothing."""
    tab = page("/updates/")
    browser.get("data:text/html,<title>elsewhere</title>")
    tab.run(
        "const source = new EventSource(arguments[0]);"
        "source.onopen = () => { document.title = 'open'; };"
        "source.onerror = () => { document.title = `refused ${source.readyState}`; };",
        f"{site.url}/updates/events",
    )
    see(lambda: tab.run("return document.title") == "refused 2", "the refusal")
    assert any("CORS policy" in message for message in console())
    for origin, allowed in ((site.named_url, True), ("https://evil.test", False)):
        with site.stream("/updates/events", headers={"Origin": origin}) as stream:
            permission = stream.headers.get("Access-Control-Allow-Origin")
            assert permission == (origin if allowed else None)
            assert stream.headers["Vary"] == "Origin"


def test_clients_of_frameworks(site, page, console):
    """With React and Vue, events arrive, stop when closed, and resume without a gap."""
    tabs = [page("/updates/react/"), page("/updates/vue/")]
    for tab in tabs:
        see(lambda tab=tab: len(tab.items()) >= 1 and tab.state()[0] == "open", "an update")
        assert tab.text("#origin") == site.other_url
        tab.click("#close")
        see(lambda tab=tab: tab.state()[0] == "closed", "it to be closed")
    items = [len(tab.items()) for tab in tabs]
    closed = time.time()
    see(lambda: time.time() > closed + 1.2, "more than a second to pass")
    for tab, before in zip(tabs, items, strict=True):
        assert len(tab.items()) == before
        tab.click("#restart")
    for tab, before in zip(tabs, items, strict=True):
        see(lambda tab=tab, n=before + 2: len(tab.items()) >= n, "what was missed, and more")
        assert tab.state()[0] == "open"
        assert_consecutive(tab)


PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
CONTROLS = """return [...document.querySelectorAll("a, button, input:not([type=hidden])")]
    .filter((element) => element.checkVisibility()).map((element) => element.outerHTML)"""
FOCUSED = """const element = document.activeElement;
    return [element.outerHTML, getComputedStyle(element).outlineStyle]"""
# Pages, and how many controls they have.
PAGES = {
    "/": 30,
    "/counter/": 4,
    "/clock/": 3,
    "/live-users/": 2,
    "/smart-home/": 8,
    "/chat/": 4,
    f"/chat/?id=6&name={'W' * 50}": 4,
    "/updates/": 4,
    "/updates/react/": 5,
    "/updates/vue/": 5,
    "/progress/": 3,
    "/tokens/": 6,
    "/assistant/": 5,
    "/orders/": 6,
    "/htmx/": 4,
    "/datastar/": 4,
}


@pytest.mark.parametrize("site", SITES[:1], ids="-".join, indirect=True)
@pytest.mark.parametrize(("path", "number"), PAGES.items(), ids=[path[:14] for path in PAGES])
def test_phone_and_keyboard(page, browser, path, number):
    """No page is wider than a phone; Tab leads to every control, and each shows its focus."""
    tab = page(path)
    see(lambda: len(tab.run(CONTROLS)) == number, f"{number} controls")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    browser.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    # It takes effect some time after the command was answered.
    script = "return [innerWidth, document.documentElement.scrollWidth]"
    see(lambda: tab.run(script) == [PHONE["width"]] * 2, "a page as wide as the phone")
    tab.run("document.activeElement.blur()")
    controls = tab.run(CONTROLS)
    styles = {}
    # Scrolling lists can have the focus, too, and so can the browser's own controls.
    for _ in range(3 * len(controls)):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        element, style = tab.run(FOCUSED)
        styles[element] = style
        if styles.keys() >= set(controls):
            break
    assert styles.keys() >= set(controls)
    assert {styles[element] for element in controls} <= {"auto", "solid"}


def says_what_to_run(tab, console):
    script = "return document.querySelector('#missing')?.hidden"
    see(lambda: tab.run(script) is False, "the hint")
    assert "make pages" in tab.text("#missing")
    assert [line for line in console() if "/pages/built/" not in line] == []


def test_page_without_npm(site, browser, page, console):
    """A page whose library is missing says what to run; each site tests another page."""
    paths = ("/updates/react/", "/updates/vue/", "/htmx/", "/datastar/")
    path = dict(zip(sorted({site[:2] for site in SITES}), paths, strict=True))
    tab = page("/")
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/pages/built/*"]})
    tab.run("location = arguments[0]", path[site.name, site.broker])
    says_what_to_run(tab, console)


def test_orders(site, page, console):
    """First the list, then each order once it is committed, and never the others."""
    tabs = [page("/orders/"), page("/orders/")]
    for tab in tabs:
        see(lambda tab=tab: tab.state()[0] == "open", "the stream")
    tabs[0].type("[name=item]", MARKUP)
    tabs[0].click("#order")
    for tab in tabs:
        see(lambda tab=tab: MARKUP in tab.texts("td:nth-child(2)"), "the order")
        assert tab.text("#newest").endswith(MARKUP)
    rows = tabs[0].texts("tbody tr")
    tabs[0].type("[name=item]", "never")
    tabs[0].click("#fail")
    see(lambda: "That did not work: something failed" in tabs[0].text("#problem"), "the failure")
    assert ["409" in message for message in console()] == [True]
    # Later events arrive later.
    tabs[0].type("[name=item]", "afterwards")
    tabs[0].click("#order")
    for tab in tabs:
        see(lambda tab=tab: "afterwards" in tab.text("tbody"), "the next order")
        assert len(tab.texts("tbody tr")) == len(rows) + 1
        assert tab.run("return document.querySelectorAll('img').length") == 0
    tabs[1].reload()
    see(lambda: len(tabs[1].texts("tbody tr")) == len(rows) + 1, "the list")
    assert request(site, "/orders/", item="", quantity="1")[0] == 400


@pytest.mark.parametrize(("name", "broker", "proxy"), SITES, ids=map("-".join, SITES))
def test_workers_are_killed(name, broker, proxy, browser, console, tmp_path):
    """Pages reconnect to new workers by themselves, and miss nothing."""
    with serve(name, broker, proxy, tmp_path) as site:
        paths = ("/clock/", "/chat/?id=1&name=Ada", "/orders/", "/updates/react/", "/updates/vue/")
        tabs = clock, chat, orders, react, vue = [Tab(browser, site.url + path) for path in paths]
        for tab in tabs:
            see(lambda tab=tab: tab.state()[0] == "open", "the stream")
            tab.run(STATES)
        see(lambda: clock.items() and react.items() and vue.items(), "events")
        see(lambda: chat.texts(".people li") == ["Ada"], "the chat")
        killed = site.workers()
        for worker in killed:
            os.kill(worker, signal.SIGKILL)
        for tab in tabs:
            see(
                lambda tab=tab: ["reconnecting"] * 2 in tab.run("return states"), "it to be noticed"
            )
        if broker == "redis":
            with connect(site.broker_url) as hub:
                meanwhile = {"message": "meanwhile", "id": "2", "name": "Bob"}
                hub.publish("chat", meanwhile, event="message")
        see(lambda: site.workers() and not site.workers() & killed, "new workers")
        assert request(site, "/orders/", item="meanwhile", quantity="2")[0] == 201
        before = len(clock.items())
        for tab in tabs:
            see(lambda tab=tab: tab.state()[0] == "open", "the browser to reconnect")
        for tab in (react, vue):
            shown = len(tab.items())
            see(lambda tab=tab, n=shown: len(tab.items()) > n, "updates to go on")
            assert_consecutive(tab)
        see(lambda: orders.texts("td:nth-child(2)") == ["meanwhile"], "the order")
        request(site, "/chat/message", message="back", id="3", name="Kim")
        see(lambda: "Kim: back" in chat.texts(".said"), "the chat to go on")
        if broker == "redis":
            assert chat.texts(".said") == ["Bob: meanwhile", "Kim: back"]
        see(lambda: len(clock.items()) >= before + 1, "the clock to go on")
        ids = ids_of(clock)
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        for tab in tabs:
            tab.close()
        # The console reports broken connections, and nothing else.
        browser.switch_to.window(browser.window_handles[0])
        assert all("net::ERR" in message for message in console())


def test_several_workers_need_redis(tmp_path):
    """Several workers on memory:// are refused: events would stay in one of them."""
    env = {"DATABASE": str(tmp_path / "database"), "WEB_CONCURRENCY": "2"}
    with Server(GUNICORN["flask"], tmp_path / "log", env) as server:
        with pytest.raises(urllib.error.HTTPError, match="500") as caught:
            server.get("/orders/events")
        caught.value.close()
        assert "SSE_BROKER_URL is memory://, the default, which serves a sin" in server.output()


@pytest.mark.parametrize("kind", DEVELOPMENT, ids=["flask-run", "runserver"])
def test_development_server(kind, tmp_path):
    """The examples run on the framework's own server, too."""
    env = {
        "DJANGO_SETTINGS_MODULE": "example_django.settings",
        "DATABASE": str(tmp_path / "database"),
    }
    with Server(kind, tmp_path / "log", env) as server:
        assert b"<title>Counter" in server.get("/counter/")
        with server.stream("/counter/events") as stream:
            events = list(stream)
        assert [event.id for event in events] == [*map(str, range(1, 11)), END_ID]
        last = int(time.time() / 2) - 3
        with server.stream("/clock/events", last_event_id=str(last)) as clock:
            ticks = [int(event.id) for event in clock.take(3)]
        assert ticks == list(range(last + 1, last + 4))  # Those that were missed.
