"""The examples whose pages read with fetch(): the model's answers, htmx and Datastar."""

import json
import os
import re
import secrets
import signal
import urllib.error
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from example_model import NAME, kettle
from sse_sync import EventStreamParser
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


@pytest.fixture
def chat(page):
    """
    Open the page of the chat in tabs, the first with a new conversation, and wait until it is told
    how generators end.
    """

    def chat():
        tab = page("/tokens/")
        if not chat.tabs:
            tab.run("localStorage.clear()")
            load_again(tab)
        chat.tabs.append(tab)
        script = "return document.querySelector('ol.ends').dataset.state"
        see(lambda: tab.run(script) == "open", "the stream of ends")
        return tab

    chat.tabs = []
    return chat


def load_again(tab):
    tab.browser.get(tab.run("return location.href"))


def ask(tab, question):
    tab.type("[name=question]", question)
    tab.click("#ask button")


def talkative(question):
    """Return a seed with which the answer takes long, so that something can happen meanwhile."""
    return max(range(50), key=lambda seed: len(list(kettle.answer(question, seed))))


def expect_much(tab, question):
    script = """const [seed, send] = [arguments[0], window.fetch];
        window.fetch = (url, options) => {
          if (!options?.body) return send(url, options);
          const body = JSON.stringify({ ...JSON.parse(options.body), seed });
          return send(url, { ...options, body });
        };"""
    tab.run(script, talkative(question))


def ask_for_much(tab, question):
    expect_much(tab, question)
    ask(tab, question)


def said(tab):
    return tab.text("ol.log li:last-child span")


def some_words(tab):
    def words():
        # After the question.
        answer = said(tab) if len(lines(tab)) % 2 == 0 else ""
        return len(answer.split()) >= 3 and answer

    return see(words, "some words")


def test_conversation(chat):
    """Answers arrive in pieces, and each question goes with what was said before."""
    tab = chat()
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
    shown = lines(tab)
    assert shown[:3] == [f"You: {MARKUP}", f"Kettle: {answer}", "You: Are you there?"]
    assert len(shown) == 4
    assert tab.run("return document.querySelectorAll('img').length") == 0
    assert tab.text("#problem") == ""

    tab.click("#new")
    assert tab.texts("ol.log li") == []
    ask(tab, "Hello?")
    see(lambda: tab.state() == ("closed", "finished"), "an answer")
    assert tab.run("return sent.messages") == [{"role": "user", "content": "Hello?"}]


def lines(tab):
    return tab.texts("ol.log li")


def test_reload(site, chat):
    """An answer goes on while its page is loaded again, which then shows all of it, once."""
    tab = chat()
    with site.stream("/tokens/ends") as ends:
        assert ends.take(1)[0].event == "stream-open"
        ask_for_much(tab, "What is a stream?")
        for _ in range(2):
            begun = some_words(tab)
            load_again(tab)
        see(lambda: tab.state() == ("closed", "finished"), "the whole answer")
        answer = said(tab)
        assert lines(tab) == ["You: What is a stream?", f"Kettle: {answer}"]
        assert answer.startswith(begun)
        assert ends.take(1)[0].data == f"finished after {len(answer.split())} tokens"
        ask(tab, "Go on")
        see(lambda: tab.state() == ("closed", "finished"), "another answer")
        # The first one was given once.
        assert ends.take(1)[0].data == f"finished after {len(said(tab).split())} tokens"
    load_again(tab)
    assert len(lines(tab)) == 4
    assert tab.state() == ("closed", "ready")


def test_tabs(chat):
    """What one tab asks, all of them show, from the beginning of the answer."""
    first = chat()
    ask_for_much(first, "What is a stream?")
    some_words(first)
    others = [chat(), chat()]
    tabs = [first, *others]
    for tab in tabs:
        see(lambda tab=tab: tab.state() == ("closed", "finished"), "the whole answer")
    assert lines(others[0]) == lines(others[1]) == lines(first)
    ask(others[0], "Go on")
    for tab in tabs:
        see(lambda tab=tab: tab.state()[0] == "open", "the next answer")
    for tab in tabs:
        see(lambda tab=tab: tab.state() == ("closed", "finished"), "all of it")
    assert len(lines(first)) == 4
    assert lines(others[0]) == lines(others[1]) == lines(first)


def test_stop(chat):
    """The stop button of any tab ends the generator, whose ``finally`` says so, at once."""
    tab = chat()
    tab.click("#stop")
    assert tab.state() == ("closed", "ready")
    ask_for_much(tab, "What is a stream?")
    some_words(tab)
    other = chat()
    some_words(other)
    other.click("#stop")
    for each in (tab, other):
        see(lambda each=each: each.state() == ("closed", "stopped"), "the pages to say so")
    ends = see(lambda: tab.texts(".ends li"), "the generator to say so")
    shown = len(said(tab).split())
    # It may have been about to yield.
    assert ends[0] in [f"stopped after {number} tokens" for number in (shown, shown + 1)]
    assert lines(tab) == lines(other)
    assert tab.text("#problem") == other.text("#problem") == ""
    ask(tab, "Go on")
    for each in (tab, other):
        see(lambda each=each: each.state() == ("closed", "finished"), "another answer")
    assert len(lines(tab)) == 4
    assert lines(tab) == lines(other)


def test_model_that_fails(chat):
    """The page says so, and can try again; another question is answered."""
    tab = chat()
    ask(tab, "Please boil over")
    failed = "The model failed: internal error."
    see(lambda: tab.text("#problem") == failed, "the failure")
    assert tab.state() == ("closed", "failed")
    assert len(said(tab).split()) == 8
    tab.click("#again")
    see(lambda: tab.text("#problem") == "", "another try")
    see(lambda: tab.text("#problem") == failed, "the failure")
    assert len(lines(tab)) == 2
    see(lambda: len(tab.texts(".ends li")) == 2, "the generators to say so")
    assert tab.texts(".ends li")[0] == "failed after 8 tokens"
    # Another try is possible after a reload, too.
    load_again(tab)
    assert lines(tab) == ["You: Please boil over"]
    assert not tab.run("return document.querySelector('#again').hidden")
    ask(tab, "Are you well?")
    see(lambda: tab.state() == ("closed", "finished"), "an answer")
    assert tab.text("#problem") == ""
    assert tab.run("return document.querySelector('#again').hidden")
    assert lines(tab) == ["You: Are you well?", f"Kettle: {said(tab)}"]


@pytest.mark.parametrize("how", INTERRUPTIONS)
def test_workers_end(site, chat, how):
    """A server that restarts lets an answer go on; if its worker is killed, the page says so."""
    tab = chat()
    ask_for_much(tab, "What is a stream?")
    some_words(tab)
    interrupt(site, how)
    if (how, site.broker) == ("reloaded", "redis"):
        see(lambda: tab.state() == ("closed", "finished"), "the whole answer")
    else:
        # With Redis, once the lease of the worker is over.
        see(lambda: tab.text("#problem") == "The answer was cut off.", "the page to say so")
        assert tab.state() == ("closed", "cut off")
        assert tab.texts("ol.log li.cut") == tab.texts("ol.log li:last-child")
        tab.click("#again")
        see(lambda: tab.state() == ("closed", "finished"), "the whole answer")
    assert tab.text("#problem") == ""
    assert lines(tab) == ["You: What is a stream?", f"Kettle: {said(tab)}"]
    assert said(tab).endswith(".")


def test_assistant_resumes(site, page):
    """The AI SDK's hook has all of an answer, once, after a reload and in a second tab."""
    tab = page("/assistant/")
    see(lambda: tab.state() == ("closed", "ready"), "the page")
    expect_much(tab, "What is a stream?")
    tab.click("#ask button")
    begun = some_words(tab)
    chat = tab.run("return location.hash")
    tab.run("window.isOld = true; location.reload()")
    see(lambda: not tab.run("return window.isOld") and tab.state()[0] == "open", "the page again")
    other = page(f"/assistant/{chat}")
    answer = "".join(kettle.answer("What is a stream?", talkative("What is a stream?")))
    assert answer.startswith(begun)
    for each in (tab, other):
        see(lambda each=each: said(each) == answer, "the whole answer")
        see(lambda each=each: each.state() == ("closed", "ready"), "the end")
    assert lines(tab) == lines(other) == ["You: What is a stream?", f"Kettle: {answer}"]
    # An answer that is complete is sent again, and shown once.
    other.run("window.isOld = true; location.reload()")
    see(lambda: not other.run("return window.isOld") and other.state()[0], "the page again")
    see(lambda: counted(other, f"/assistant/chat/{chat[1:]}/stream") == 1, "the answer again")
    assert lines(other) == lines(tab)


def test_assistant_is_stopped(site, page):
    """The stop button of one tab ends the answer in both."""
    tab = page("/assistant/")
    see(lambda: tab.state() == ("closed", "ready"), "the page")
    expect_much(tab, "What is a stream?")
    tab.click("#ask button")
    some_words(tab)
    other = page(f"/assistant/{tab.run('return location.hash')}")
    some_words(other)
    other.click("#stop")
    for each in (tab, other):
        see(lambda each=each: each.state() == ("closed", "ready"), "the end")
    assert lines(tab) == lines(other)
    whole = "".join(kettle.answer("What is a stream?", talkative("What is a stream?")))
    assert len(said(tab)) < len(whole)
    assert whole.startswith(said(tab))


def test_assistant_whose_worker_is_killed(site, page):
    """It says so, and can try again."""
    tab = page("/assistant/")
    see(lambda: tab.state() == ("closed", "ready"), "the page")
    expect_much(tab, "What is a stream?")
    tab.click("#ask button")
    some_words(tab)
    interrupt(site, "killed")
    see(lambda: tab.text("#problem") == "The answer was cut off.", "the page to say so")
    answer = "".join(kettle.answer("What is a stream?", talkative("What is a stream?")))

    def try_again():
        # Until the lease of the worker is over, there is only the answer that was cut off.
        tab.run("document.querySelector('#again')?.click()")
        return lines(tab) == ["You: What is a stream?", f"Kettle: {answer}"]

    see(try_again, "the whole answer")
    see(lambda: tab.state() == ("closed", "ready"), "the end")
    assert tab.text("#problem") == ""


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


def complete(client, question, key=None, seed=7):
    return client.chat.completions.create(
        model=NAME,
        messages=[{"role": "user", "content": question}],
        seed=seed,
        stream=True,
        extra_headers={} if key is None else {"Idempotency-Key": key},
    )


# Its answer is for the client alone, or a job that others can read, too.
@pytest.fixture(params=[False, True], ids=["alone", "job"])
def key(request):
    return secrets.token_hex(16) if request.param else None


def test_client_of_openai(client, key):
    """It reads every chunk, and nothing else; the seed decides what the model says."""
    chunks = list(complete(client, "What is a stream?", key))
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


def test_client_of_openai_is_told(client, key):
    """A failure, and a request that is refused, are its own exceptions."""
    seen = []
    with pytest.raises(openai.APIError, match="internal error") as caught:
        seen.extend(complete(client, "boil over", key))
    assert caught.value.body == {"message": "internal error", "type": "server_error", "code": None}
    assert len(seen) == 9
    with pytest.raises(openai.BadRequestError, match="a question at their end, and stream=true"):
        client.chat.completions.create(model=NAME, messages=[], stream=True)


def data_of(body):
    return [event.data for event in EventStreamParser().feed(body)]


def test_answer_goes_on(site, client):
    """Its client leaves; the same request, and a GET, are answered with all of it."""
    key = secrets.token_hex(16)
    path = f"/tokens/v1/chat/completions/{key}"
    question = "What is a stream?"
    with complete(client, question, key, talkative(question)) as stream:
        assert stream.response.headers["Location"] == path
        begun = [next(stream).id for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        bodies = list(pool.map(lambda _: site.ask(path), range(4)))
    chunks = list(complete(client, "Something else?", key))
    assert {chunk.id for chunk in chunks} == set(begun)
    for body in bodies:
        *data, last = data_of(body)
        assert last == "[DONE]"
        assert [json.loads(each) for each in data] == [each.to_dict() for each in chunks]
    assert json.loads(site.ask(path, method="DELETE")) == {"stopped": False}


def test_answer_that_is_stopped(site, client):
    """Its clients are told so in their own form, also those that come later."""
    key = secrets.token_hex(16)
    path = f"/tokens/v1/chat/completions/{key}"
    question = "What is a stream?"
    stream = complete(client, question, key, talkative(question))
    next(stream)
    assert json.loads(site.ask(path, method="DELETE")) == {"stopped": True}
    with pytest.raises(openai.APIError, match="cancelled"):
        list(stream)
    assert json.loads(data_of(site.ask(path))[-1])["error"]["type"] == "cancelled"


def test_keys_of_answers(site, client):
    """Without a job there is nothing to read or to stop; a key is letters and digits."""
    for key in (secrets.token_hex(16), "x" * 300, "%0A"):
        path = f"/tokens/v1/chat/completions/{key}"
        assert site.ask(path) == b""
        assert json.loads(site.ask(path, method="DELETE")) == {"stopped": False}
    for key in ("x" * 101, "a b"):
        with pytest.raises(openai.BadRequestError, match="up to 100 letters and digits"):
            complete(client, "What is a stream?", key)


def test_client_of_openai_leaves(site, client):
    """When it closes its stream, the generator ends."""
    with site.stream("/tokens/ends") as ends:
        assert ends.take(1)[0].event == "stream-open"
        question = "What is a stream?"
        with complete(client, question, seed=talkative(question)) as stream:
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
