"""Asynchronous sources on gunicorn, with greenlets and with threads."""

import signal
import time

import pytest

from sse_sync import END_ID, ServerSentEvent
from tests.live.servers import kind, read_until_it_blocks
from tests.live.test_gunicorn import rest
from tests.waiting import wait_for

KINDS = [
    f"gunicorn-{worker}-{framework}"
    for worker in ("gevent", "handoff-gevent", "handoff-threads")
    for framework in ("flask", "django")
]

# From the disconnect to the end of the cleanup of a source, which sleeps for ten minutes.
PROMPT = 5.0


@pytest.fixture(params=KINDS)
def server(request, servers):
    """Each worker with each framework."""
    running = servers(kind(request.param))
    yield running
    assert running.process is not None
    assert running.process.poll() is None, running.output()


def test_order(server, key):
    """Every event arrives once and in order, and the client is told to stop."""
    with server.stream(f"/stream/async-count?key={key}") as stream:
        events = list(stream)
    assert [event.id for event in events] == [*map(str, range(1, 101)), END_ID]
    server.wait_for_mark(key, "FINISHED")
    marks = [what for what, _ in server.json(f"/marks/{key}") if what != "teardown"]
    assert marks == ["started", "finally", "FINISHED"]


def test_one_at_a_time(server, key):
    """A source goes no further than its client reads."""
    with server.stream(f"/stream/async-flooding?key={key}") as stream:
        next(stream)

        def made():
            return sum(what == "another" for what, _ in server.json(f"/marks/{key}"))

        settled = [made()]
        wait_for(lambda: settled.append(made()) or settled[-1] == settled[-2], "a pause")
        assert settled[-1] < 500
        for _ in range(20):
            assert len(next(stream).data) == 50_000
    server.wait_for_mark(key, "finally")


def test_heartbeat_while_it_awaits(server, key):
    """Comments are sent while the source awaits."""
    with server.stream(f"/stream/async-sleeping?key={key}", comments=True) as stream:
        read_until_it_blocks(stream, heartbeats=2)
    server.wait_for_mark(key, "finally")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_disconnect_cancels(server, key, how):
    """When the client leaves, the source is cancelled at once, with threads as well."""
    stream = server.stream(f"/stream/async-sleeping?key={key}", comments=True)
    read_until_it_blocks(stream)
    gone = time.monotonic()
    getattr(stream, how)()
    assert server.wait_for_mark(key, "finally") - gone < PROMPT
    server.wait_for_mark(key, "CLIENT_GONE")
    marks = [what for what, _ in server.json(f"/marks/{key}")]
    assert marks.count("cancelled") == marks.count("finally") == 1


def test_failure(server, key):
    """An exception is logged with its traceback, and no other stream suffers."""
    with server.stream(f"/stream/async-ticking?key={key}-other") as other:
        next(other)
        before = len(server.output())
        with server.stream(f"/stream/async-failing?key={key}") as stream:
            *_, last = list(stream)
        assert last == ServerSentEvent("internal error", event="stream-error")
        server.wait_for_mark(key, "FAILED")
        wait_for(lambda: "the secret" in server.output()[before:], "the traceback")
        assert 'async_sources.py", line' in server.output()[before:]
        assert len(other.take(3)) == 3


def test_libraries(server, key):
    """Names are resolved, functions run in threads, and processes are started."""
    with server.stream(f"/stream/async-helping?key={key}") as stream:
        assert [event.data for event in stream.take(3)] == ["127.0.0.1", "3", "hello"]


def test_httpx(server, key):
    """An HTTP client streams in a source; its request ends with the stream."""
    with server.stream(f"/stream/async-relaying?key={key}") as stream:
        assert [event.data for event in stream.take(5)] == ["tick"] * 5
    gone = time.monotonic()
    assert server.wait_for_mark(key, "finally") - gone < PROMPT
    assert server.wait_for_mark(f"{key}-upstream", "finally") - gone < PROMPT


def test_many_at_once(server, key):
    """Sources take turns: none waits for another."""
    streams = [server.stream(f"/stream/async-ticking?key={key}{n}") for n in range(8)]
    for _ in range(3):
        for stream in streams:
            assert next(stream).data == "tick"
    gone = time.monotonic()
    for stream in streams:
        stream.close()
    for n in range(8):
        assert server.wait_for_mark(f"{key}{n}", "finally") - gone < PROMPT


def test_views(server, key):
    """A view may be an asynchronous generator, which has the request, or may return one."""
    with server.stream(f"/async/generator?key={key}") as stream:
        first, second, _ = list(stream)
    assert first == second
    assert f'"{key}"' in first.data
    assert "/async/generator" in first.data
    with server.stream(f"/async/view?source=async-count&key={key}") as stream:
        assert len(list(stream)) == 101


@pytest.mark.parametrize("name", [name for name in KINDS if name.endswith("django")])
def test_database_connections(servers, key, name):
    """Asynchronous queries work, and their connection is closed when the source has ended."""
    server = servers(kind(name))
    for number in range(2):
        with server.stream(f"/async/connection?key={key}{number}") as stream:
            assert [event.data for event in stream.take(2)] == ['{"open": false}', '{"open": true}']
            assert len(list(stream)) == 1
        server.wait_for_mark(f"{key}{number}", "FINISHED")


def test_lingering(server, key):
    """A source that refuses to be cancelled is counted and named."""
    before = server.json("/figures")["lingering"]  # Of other tests: blocked threads stay.
    stream = server.stream(f"/stream/async-stubborn?key={key}", comments=True)
    read_until_it_blocks(stream)
    stream.close()
    server.wait_for_mark(key, "CLIENT_GONE")
    wait_for(lambda: server.json("/figures")["lingering"] > before, "the count")
    wait_for(lambda: "after its stream ended: stubborn at" in server.output(), "the warning")
    server.wait_for_mark(key, "finally")
    wait_for(lambda: server.json("/figures")["lingering"] <= before, "the end of the source")


@pytest.mark.parametrize("name", KINDS)
def test_drain(start, tmp_path, key, name):
    """A stopping worker ends its streams, and waits for a cleanup, but not for long."""
    times = {"TEST_FOLDER": str(tmp_path), "TEST_STUBBORN": "60"}
    server = start(name, "--graceful-timeout", "60", **times)
    path = f"/async/view?source=async-tidy&key={key}"
    stubborn = f"/stream/async-stubborn?key={key}"
    with (
        server.stream(path, comments=True) as stream,
        server.stream(stubborn, comments=True) as another,
    ):
        read_until_it_blocks(stream)
        read_until_it_blocks(another)
        asked = time.monotonic()
        server.signal(signal.SIGTERM)
        rest(stream)
        rest(another)
    assert server.wait(30) == 0
    assert time.monotonic() - asked < 20
    assert (tmp_path / key).read_text() == "tidied up"
