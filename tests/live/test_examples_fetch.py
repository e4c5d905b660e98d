"""The examples whose pages read with fetch(): the model's answers, htmx and Datastar."""

import os
import re
import signal
import urllib.error

import httpx
import openai
import pytest

from example_model import NAME, kettle
from tests.browsers import Chromium
from tests.live.servers import ROOT
from tests.live.test_examples import MARKUP, STATES, Tab, counted, see, serve

SITES = [("flask", "memory", "direct"), ("django", "redis", "nginx")]
# After how many milliseconds each would have asked again.
LIBRARIES = {"htmx": 1500, "datastar": 4000}
# All workers are killed; or the server replaces them, and they drain.
INTERRUPTIONS = {"killed": signal.SIGKILL, "reloaded": signal.SIGHUP}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium.driver


@pytest.fixture(scope="module", params=SITES, ids="-".join)
def site(request, tmp_path_factory):
    with serve(*request.param, tmp_path_factory.mktemp("examples")) as site:
        yield site
        log = site.server.output()
        # Of the model's failures, but of nothing else.
        assert log.count("Traceback") == log.count("RuntimeError: the kettle has boiled over")


@pytest.fixture
def page(site, browser):
    """Open pages in tabs, and close them."""
    before = set(browser.window_handles)
    yield lambda path: Tab(browser, site.url + path)
    for handle in set(browser.window_handles) - before:
        browser.switch_to.window(handle)
        browser.close()
    browser.switch_to.window(browser.window_handles[0])


def interrupt(site, how):
    """Kill the workers, or let the server replace them."""
    before = site.workers()
    for process in before if how == "killed" else {site.server.process.pid}:
        os.kill(process, INTERRUPTIONS[how])
    see(lambda: site.workers() and not site.workers() & before, "new workers")


def opened(page):
    """Open the page of the model, and wait until it is told how generators end."""
    tab = page("/tokens/")
    script = "return document.querySelector('ol.ends').dataset.state"
    see(lambda: tab.run(script) == "open", "the stream of ends")
    return tab


def ask(tab, question):
    tab.type("[name=question]", question)
    tab.click("#ask button")


def talkative(question):
    """Return a seed with which the answer takes long, so that something can happen meanwhile."""
    return max(range(50), key=lambda seed: len(list(kettle.answer(question, seed))))


def ask_for_much(tab, question):
    script = """const [seed, send] = [arguments[0], window.fetch];
        window.fetch = (url, options) => {
          const body = JSON.stringify({ ...JSON.parse(options.body), seed });
          return send(url, { ...options, body });
        };"""
    tab.run(script, talkative(question))
    ask(tab, question)


def said(tab):
    return tab.text("ol.log li:last-child span")


def test_conversation(site, page):
    """Answers arrive in pieces, and each question goes with what was said before."""
    tab = page("/tokens/")
    ask_for_much(tab, MARKUP)
    see(lambda: tab.state() == ("open", "answering") and said(tab), "the answer to begin")
    begun = said(tab)
    # A second question has to wait.
    ask(tab, "Are you there?")
    see(lambda: tab.state() == ("closed", "finished"), "the whole answer")
    answer = said(tab)
    assert answer.startswith(begun)
    assert len(answer) > len(begun)
    tab.run("""const send = window.fetch;
        window.fetch = (url, options) => {
          window.sent = JSON.parse(options.body);
          return send(url, options);
        };""")
    tab.click("#ask button")
    see(lambda: tab.state() == ("closed", "finished") and said(tab) != answer, "the second answer")
    assert tab.run("return sent.messages") == [
        {"role": "user", "content": MARKUP},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": "Are you there?"},
    ]
    lines = tab.texts("ol.log li")
    assert lines[:3] == [f"You: {MARKUP}", f"Kettle: {answer}", "You: Are you there?"]
    assert len(lines) == 4
    assert tab.run("return document.querySelectorAll('img').length") == 0
    assert tab.text("#problem") == ""


def test_stop(site, page):
    """The stop button ends the generator, whose ``finally`` says so, at once."""
    tab = opened(page)
    tab.click("#stop")
    assert tab.state() == ("closed", "ready")
    ask_for_much(tab, "What is a stream?")
    see(lambda: len(said(tab).split()) >= 3, "some words")
    tab.click("#stop")
    shown = len(said(tab).split())
    ends = see(lambda: tab.texts(".ends li"), "the generator to say so")
    assert ends[0].startswith("stopped after ")
    assert shown <= int(ends[0].split()[2]) <= shown + 20  # Of many more.
    see(lambda: tab.state() == ("closed", "stopped by you"), "the page to say so")
    assert len(said(tab).split()) == shown
    assert tab.text("#problem") == ""
    ask(tab, "Go on")
    see(lambda: tab.state() == ("closed", "finished"), "another answer")


def test_model_that_fails(site, page):
    """The page says so, and can try again; another question is answered."""
    tab = opened(page)
    ask(tab, "Please boil over")
    failed = "The model failed: internal error."
    see(lambda: tab.text("#problem") == failed, "the failure")
    assert tab.state() == ("closed", "failed")
    assert len(said(tab).split()) == 8
    tab.click("#again")
    see(lambda: tab.text("#problem") == "", "another try")
    see(lambda: tab.text("#problem") == failed, "the failure")
    assert len(tab.texts("ol.log li")) == 2
    see(lambda: len(tab.texts(".ends li")) == 2, "the generators to say so")
    assert tab.texts(".ends li")[0] == "failed after 8 tokens"
    ask(tab, "Are you well?")
    see(lambda: tab.state() == ("closed", "finished"), "an answer")
    assert tab.text("#problem") == ""
    assert tab.run("return document.querySelector('#again').hidden")


@pytest.mark.parametrize("how", INTERRUPTIONS)
def test_answer_that_is_cut_off(site, page, how):
    """When a worker ends in the middle of an answer, the page says so, and can try again."""
    tab = page("/tokens/")
    ask_for_much(tab, "What is a stream?")
    see(lambda: len(said(tab).split()) >= 3, "some words")
    interrupt(site, how)
    see(lambda: tab.text("#problem") == "The answer was cut off.", "the page to say so")
    assert tab.state() == ("closed", "cut off")
    assert tab.texts("ol.log li.cut") == tab.texts("ol.log li:last-child")
    tab.click("#again")
    see(lambda: tab.state() == ("closed", "finished"), "the whole answer")
    assert tab.text("#problem") == ""
    assert len(tab.texts("ol.log li")) == 2
    assert said(tab).endswith(".")


@pytest.fixture
def client(site):
    """OpenAI's own client."""
    with (
        httpx.Client(verify=site.context or True) as http,
        openai.OpenAI(
            base_url=f"{site.url}/tokens/v1", api_key="none", max_retries=0, http_client=http
        ) as client,
    ):
        yield client


def complete(client, question, seed=7):
    messages = [{"role": "user", "content": question}]
    return client.chat.completions.create(model=NAME, messages=messages, seed=seed, stream=True)


def test_client_of_openai(client):
    """It reads every chunk, and nothing else; the seed decides what the model says."""
    chunks = list(complete(client, "What is a stream?"))
    assert [choice.index for chunk in chunks for choice in chunk.choices] == [0] * len(chunks)
    assert {chunk.model for chunk in chunks} == {NAME}
    assert len({chunk.id for chunk in chunks}) == 1
    tokens = [chunk.choices[0].delta.content for chunk in chunks[1:-1]]
    assert tokens == list(kettle.answer("What is a stream?", 7))
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, "stop"]
    messages = [{"role": "user", "content": "What is a stream?"}]
    with client.chat.completions.stream(model=NAME, messages=messages, seed=7) as stream:
        assert stream.get_final_completion().choices[0].message.content == "".join(tokens)


@pytest.mark.parametrize("site", SITES[:1], ids="-".join, indirect=True)
def test_documented_client(site, capsys):
    """The client in docs/examples.md works as it stands, but for the port."""
    page = (ROOT / "docs/examples.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    exec(code.replace("http://127.0.0.1:8000", site.url), space := {})
    space["client"].close()
    assert capsys.readouterr().out == "".join(kettle.answer("What is a stream?", 7))


def test_client_of_openai_is_told(client):
    """A failure, and a request that is refused, are its own exceptions."""
    seen = []
    with pytest.raises(openai.APIError, match="internal error") as caught:
        seen.extend(complete(client, "boil over"))
    assert caught.value.body == {"message": "internal error", "type": "server_error", "code": None}
    assert len(seen) == 9
    with pytest.raises(openai.BadRequestError, match="a question at their end, and stream=true"):
        client.chat.completions.create(model=NAME, messages=[], stream=True)


def test_client_of_openai_leaves(site, client):
    """When it closes its stream, the generator ends."""
    with site.stream("/tokens/ends") as ends:
        assert ends.take(1)[0].event == "stream-open"
        question = "What is a stream?"
        with complete(client, question, talkative(question)) as stream:
            for _ in range(4):
                next(stream)
        end = ends.take(1)[0]
        assert end.event == "stopped"
        assert 3 <= int(end.data.split()[2]) <= 23  # Of many more.


def test_what_is_no_question(site):
    """A GET, and what is not JSON, are refused."""
    path = "/tokens/v1/chat/completions"
    for method, data, status in (("GET", None, 405), ("POST", b"{", 400)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            site.ask(path, data, method, **{"Content-Type": "application/json"})
        caught.value.close()
        assert caught.value.code == status


def greetings(tab):
    return tab.texts("#greetings li")


def expected(name):
    return [f"Hello {name}, greeting {number} of 5" for number in range(1, 6)]


@pytest.mark.parametrize("name", LIBRARIES)
def test_library(site, page, browser, name):
    """Fragments arrive, input is escaped, and the library stops at the end."""
    browser.get_log("browser")
    tab = page(f"/{name}/")
    see(lambda: tab.state()[0] == "closed", "the page")
    tab.type("main input", MARKUP)
    tab.click("main button")
    see(lambda: tab.state()[0] == "open", "the stream")
    see(lambda: len(greetings(tab)) == 5, "five greetings")
    see(lambda: tab.state() == ("closed", "closed"), "the end")
    assert greetings(tab) == expected(MARKUP)
    assert tab.run("return document.querySelectorAll('img').length") == 0
    stays_closed(tab, name, 1)
    # Another round begins from the start.
    tab.run("document.querySelector('#greetings').replaceChildren()")
    tab.click("main button")
    see(lambda: len(greetings(tab)) == 5, "five more")
    assert greetings(tab) == expected(MARKUP)
    assert browser.get_log("browser") == []


def stays_closed(tab, name, requests):
    """It does not ask again after the end."""
    path = f"/{name}/events"
    script = """const found = performance.getEntriesByType("resource")
        .filter((entry) => new URL(entry.name).pathname === arguments[0]).at(-1);
        return found ? performance.now() - found.responseEnd : 0"""
    see(lambda: tab.run(script, path) > LIBRARIES[name], "some time to pass")
    assert counted(tab, path) == requests
    assert tab.state() == ("closed", "closed")


@pytest.mark.parametrize("how", INTERRUPTIONS)
@pytest.mark.parametrize("name", LIBRARIES)
def test_library_comes_back(site, page, name, how):
    """It goes on where it was, without a gap or a repetition, and stops at the end."""
    tab = page(f"/{name}/")
    tab.run(STATES)
    tab.click("main button")
    see(lambda: greetings(tab), "a greeting")
    interrupt(site, how)
    see(lambda: tab.state() == ("closed", "closed"), "the end")
    assert greetings(tab) == expected("<b>World</b>")
    states = [state for state, _ in tab.run("return states")]
    assert list(dict.fromkeys(states)) == ["connecting", "open", "reconnecting", "closed"]
    assert states[-2:] == ["open", "closed"]
    stays_closed(tab, name, 2)


@pytest.mark.parametrize("name", LIBRARIES)
def test_finished_stream_is_over(site, name):
    """A client that has seen the end, and asks again, is answered 204."""
    with site.stream(f"/{name}/events", last_event_id="5") as stream:
        (end,) = list(stream)
        assert end.event == "stream-end"
    with site.stream(f"/{name}/events", last_event_id=end.id) as stream:
        assert stream.status == 204
