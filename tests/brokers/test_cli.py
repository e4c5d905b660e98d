"""The commands, run as processes, on a real Redis."""

import json
import os
import signal
import subprocess
import sys

import pytest

from sse_sync import connect
from tests.live.servers import ROOT
from tests.redis_server import RedisServer
from tests.waiting import wait_for

PYTHON = [sys.executable]
COMMANDS = {
    "python": [*PYTHON, "-m", "sse_sync"],
    "flask": [*PYTHON, "-m", "flask", "--app", "tests.apps.flask_app", "sse"],
    "django": [*PYTHON, "-m", "django"],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=COMMANDS)
def start(request, server):
    """Start one of the commands in each of its forms."""
    started = []

    def start(name, *arguments, url=server.url):
        command = [*COMMANDS[request.param]]
        command.append(f"sse_{name}" if request.param == "django" else name)
        environ = {
            **os.environ,
            "SSE_BROKER_URL": url,
            "TEST_BROKER_URL": url,
            "DJANGO_SETTINGS_MODULE": "tests.django_project.settings",
            "PYTHONPATH": str(ROOT),
        }
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever runs the tests in the background may have them ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def finish(process, given=None):
    out, errors = process.communicate(given, timeout=30)
    return process.returncode, out, errors


def test_publish_and_listen(start, server):
    """One command prints what another publishes, and earlier events on request."""
    listening = start("listen", "news", "alerts", "--json", "--count", "3")
    assert json.loads(listening.stdout.readline())["event"] == "stream-open"
    code, first, errors = finish(start("publish", "news", "hello", "--event", "greeting"))
    assert (code, errors) == (0, "")
    finish(start("publish", "alerts", "-", "--json"), '{"level": 3}')
    with connect(server.url) as hub:
        hub.publish("news", "two\nlines")
    code, out, errors = finish(listening)
    assert (code, errors) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [(event["event"], event["data"]) for event in events] == [
        ("greeting", "hello"),
        (None, '{"level": 3}'),
        (None, "two\nlines"),
    ]
    assert events[0]["id"] == first.strip()
    again = start("listen", "news", "--last-event-id", first.strip(), "--count", "1")
    code, out, _ = finish(again)
    assert code == 0
    assert out == f"id: {events[2]['id']}\ndata: two\ndata: lines\n\n"


def test_not_kept(start, server):
    """An event for current listeners only."""
    with connect(server.url) as hub:
        before = hub.position()
        publish = start("publish", "passing", "x", "--no-keep")
        assert publish.communicate(timeout=20)[1] == ""
        assert hub.position() > before
        assert hub.history(["passing"], before) == ([], True)


def test_token(start, server):
    """Repeating a command with the same token publishes once."""
    arguments = ("publish", "tokens", "x", "--token", f"nightly-{os.getpid()}", "--retry-for", "2")
    first, second = (finish(start(*arguments)) for _ in range(2))
    assert first[0] == 0
    assert first == second


def test_mistakes(start):
    """A mistake prints one line and exits with a status, without a traceback."""
    cases = [
        (("publish", "news", "{", "--json"), "the data is not valid JSON", None),
        (("publish", "a\tb", "x"), "channel must have 1 to 200 printable characters", None),
        (("publish", "news", "x", "--meta", "{"), "is not valid JSON", None),
        (("publish", "news"), "data", None),
        (("publish", "news", "x"), "is unavailable", "redis://127.0.0.1:1/0"),
        (("publish", "news", "x"), "reaches no other process", "memory://"),
    ]
    running = [(start(*a, **({"url": url} if url else {})), what) for a, what, url in cases]
    for process, what in running:
        code, _, errors = finish(process)
        assert code not in (0, None)
        assert what in errors
        assert "Traceback" not in errors


def test_interrupt(start):
    """Ctrl-C ends listening silently."""
    process = start("listen", "quiet")
    wait_for(lambda: "stream-open" in process.stdout.readline(), "the first event", 30)
    process.send_signal(2)
    code, _, errors = finish(process)
    assert code == 130
    assert errors == ""
