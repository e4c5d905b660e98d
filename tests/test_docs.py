"""The documentation is true."""

import ast
import json
import re
import textwrap
from pathlib import Path
from types import SimpleNamespace

import flask
import pytest
from django.test import RequestFactory

import sse_sync
from sse_sync import END_ID, CloseReason, JobRefused, StreamFailure
from sse_sync.jobs.options import JobOptions, terms_of
from sse_sync.settings import OPTIONS
from sse_sync.testing import read_events
from tests.django_project import ready as ready

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def quick(monkeypatch):
    """The examples sleep; here they do not."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def test_readme_flask(quick):
    """The README's Flask application runs as it stands."""
    space = {"__name__": "readme"}
    exec(blocks(README, "python")[0], space)
    assert isinstance(space["app"], flask.Flask)
    events = read_events(space["app"].test_client().get("/progress"), 10)
    assert [json.loads(event.data) for event in events] == [{"step": n} for n in range(1, 11)]


@pytest.mark.django_db
def test_readme_django(quick):
    """The README's Django view runs as it stands."""
    space = {}
    exec(blocks(README, "python")[1], space)
    response = space["progress"](RequestFactory().get("/progress"))
    assert [event.id for event in read_events(response, 10)] == [str(n) for n in range(1, 11)]
    response.close()


def test_language_models():
    """The page's views run as they stand, in the forms of the clients that it names."""
    space = {"__name__": "page"}
    for block in blocks((ROOT / "docs/language-models.md").read_text(), "python"):
        exec(block, space)
    client = space["app"].test_client()
    asked = {"messages": [{"role": "user", "content": "hello"}]}
    response = client.post("/v1/chat/completions", json=asked)
    assert response.data.startswith(b":\ndata: ")
    *chunks, last = [event.data for event in read_events(response)]
    told = [json.loads(chunk)["choices"][0]["delta"]["content"] for chunk in chunks]
    assert ("".join(told), last) == ("You said: hello", "[DONE]")
    events = read_events(client.post("/v1/messages"))
    assert [event.event for event in events] == ["message_start", "error"]
    assert json.loads(events[1].data)["error"]["message"] == "internal error"
    failure = StreamFailure(CloseReason.OVERFLOWED, None, "overflowed")
    for name in ("openai_error", "ai_sdk_error", "ag_ui_error"):
        assert "overflowed" in json.dumps(space[name](failure))


JOBS = (ROOT / "docs/jobs.md").read_text()
ANSWER = ["You ", "asked: ", "why? "]
OUTCOME = {"outcome": "finished", "message": ""}


def test_jobs_flask():
    """The page's application starts, shows and stops jobs, also in the forms of other clients."""
    space = {"__name__": "page", "save": lambda question, text: saved.append(text)}
    saved = []
    for block in blocks(JOBS, "python"):
        if "sse_sync.django" not in block:
            exec(block, space)
    app = space["app"]
    app.secret_key = "secret"
    assert app.test_client().get("/answers/a").status_code == 401
    ada, bob = app.test_client(), app.test_client()
    for client, user in ((ada, "ada"), (bob, "bob")):
        with client.session_transaction() as session:
            session["user"] = user
    asked = ada.post("/answers/a", data={"question": "why?"})
    assert asked.headers["Location"] == "/answers/a"
    assert [event.data for event in read_events(asked)] == ANSWER
    first, *words, end = read_events(ada.get("/answers/a"))
    assert (first.event, [event.data for event in words]) == ("stream-open", ANSWER)
    assert (end.event, end.id, json.loads(end.data)) == ("stream-end", END_ID, OUTCOME)
    assert saved == ["".join(ANSWER)]
    assert bob.get("/answers/a").status_code == 204
    assert ada.delete("/answers/a").json == {"stopped": False}

    question = {"id": "7", "messages": [{"id": "1", "parts": [{"type": "text", "text": "why?"}]}]}
    for response in (ada.post("/api/chat", json=question), ada.get("/api/chat/7/stream")):
        assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
        *said, last = [event.data for event in read_events(response)]
        deltas = [json.loads(each).get("delta", "") for each in said]
        assert ("".join(deltas), last) == ("You asked: why? ", "[DONE]")
    assert bob.get("/api/chat/7/stream").status_code == 204

    rows = ["1,2", "3,4"]
    for _ in range(2):  # As it is when a task runs again.
        space["export"]("report", "ada", rows)
    with app.app_context():
        status = space["sse"].job_status("report", user="ada")
        assert (status.state, status.events) == ("finished", 2)

    with app.test_request_context():
        assert app.handle_user_exception(JobRefused("full"))[1] == 429


def test_jobs_django(rf):
    """The page's view starts, shows and stops jobs."""
    space = {}
    exec(*[block for block in blocks(JOBS, "python") if "login_required" in block], space)

    def ask(method, user, **data):
        request = getattr(rf, method)("/answers/b", data)
        request.user = SimpleNamespace(is_authenticated=True, pk=user)
        return space["answers"](request, "b")

    asked = ask("post", 7, question="why?")
    assert asked["Location"] == "/answers/b"
    assert [event.data for event in read_events(asked)] == ANSWER
    first, *words, end = read_events(ask("get", 7))
    assert (first.event, [event.data for event in words]) == ("stream-open", ANSWER)
    assert json.loads(end.data) == OUTCOME
    assert ask("get", 8).status_code == 204
    assert json.loads(ask("delete", 7).content) == {"stopped": False}


def test_jobs_tables():
    """The tables of options and limits are those of the code."""
    _, table, limits = JOBS.split("| default | meaning |\n|---|---|---|\n")
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", table.partition("\n\n")[0], re.M)
    assert {name for name, _ in rows} == {"user", *JobOptions.__optional_keys__}
    defaults, (terms, max_seconds) = dict(rows), terms_of({})
    for name, default in {**terms._asdict(), "max_seconds": max_seconds}.items():
        assert ast.literal_eval(defaults[name].strip("`")) == default, name
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", limits, re.M)
    known = {option.name.upper(): option.default for option in OPTIONS}
    told = {name: None if default == "none" else float(default) for name, default in rows}
    assert told == {name: default for name, default in known.items() if "JOB" in name}


def test_settings_table():
    """The table of settings is that of the code."""
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| `(.+?)` \| (.+) \|$", (ROOT / "docs/settings.md").read_text(), re.M
    )
    assert rows == [(o.name.upper(), repr(o.default), o.meaning) for o in OPTIONS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page):
    """Links within the repository lead somewhere."""
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_compile(page):
    """Python in the documentation is Python, and what it imports from the package exists."""
    for block in blocks(page.read_text(), "python"):
        if ">>>" not in block:
            # In a function, because some are a view's last lines.
            compile("def block():\n" + textwrap.indent(block, "    "), page.name, "exec")
        for module, names in re.findall(r"^from (sse_sync[\w.]*) import ([\w, ]+)", block, re.M):
            found = __import__(module, fromlist=["*"])
            for name in names.split(","):
                assert hasattr(found, name.strip()), (module, name)


def test_version_is_written_once():
    """The changelog knows the version, or calls it unreleased."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {sse_sync.__version__}" in changelog or "## Unreleased" in changelog


def all_tests():
    """Return the names of all tests: functions, and methods of test classes and their bases."""
    functions, classes = set(), {}
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and path.name.startswith("test_"):
                functions.add(node.name)
            elif isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, []).append(node)
    run = [name for name in classes if name.startswith("Test")]
    for name in run:  # It grows.
        for node in classes.get(name, ()):
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            run += [base for base in bases if base not in run]
            functions.update(x.name for x in node.body if isinstance(x, ast.FunctionDef))
    return {name for name in functions if name.startswith("test_")}


def test_security_table():
    """Each attack on the page on security is answered, by tests that exist."""
    page = (ROOT / "docs/security.md").read_text()
    _, table = page.split("\n| attack | answer | test |\n|---|---|---|\n")
    rows = table[: table.index("\n\n")].splitlines()
    tests = all_tests()
    for row in rows:
        _, attack, answer, named, _ = (cell.strip() for cell in row.split("|"))
        assert attack, row
        assert answer, row
        names = named.split(", ")
        assert [name for name in names if name.strip("`") not in tests] == [], row
