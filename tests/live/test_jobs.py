"""Jobs on real workers: readers come and go, workers stop and die, and the answer is whole."""

import contextlib
import http.client
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.jobs import SITES, Viewer, curl, running, tokens
from tests.live.test_gunicorn import is_alive
from tests.redis_server import RedisServer
from tests.waiting import wait_for

# A dead owner is noticed once its lease of 10 s is over, at the next look 2.5 s later.
NOTICED = 15.0
# Much less on an idle machine; on any, earlier than at the next look.
TOLD = 2.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def sites(tmp_path_factory, redis):
    """One running server of each kind, started on first use."""
    with contextlib.ExitStack() as stack:
        found = {}

        def get(name):
            if name not in found:
                folder = tmp_path_factory.mktemp(name)
                found[name] = stack.enter_context(running(name, folder, redis))
            return found[name]

        yield get


@pytest.mark.parametrize(
    ("name", "source"),
    [
        *(("gevent", "answer"), ("threads", "async_answer")),
        *(("memory", "async_answer"), ("gthread", "answer")),
    ],
)
def test_answer_outlives_its_page(sites, key, name, source):
    """The page that asked is gone; all who come through other workers have the whole answer."""
    site = sites(name)
    stream = site.start(key, f"source={source}&count=20")
    assert stream.headers["Location"] == f"/jobs/{key}"
    assert [event.data for event in stream.take(2)] == tokens(2)
    stream.reset()
    owner = site.owner(key)
    but = None if SITES[name][1] == 1 else owner
    viewers = [Viewer(site, f"/jobs/{key}", but=but) for _ in range(2)]
    viewers[0].has("token 8")
    resumed = Viewer(site, f"/jobs/{key}", last_event_id=viewers[0].ids[5], but=but)
    plain = curl(site, f"/jobs/{key}?plain=1")
    header = f"Last-Event-ID: {viewers[0].ids[5]}"
    resumed_plain = curl(site, "-H", header, f"/jobs/{key}?plain=1")
    for viewer in viewers:
        assert viewer.end() == "finished"
        assert viewer.got == tokens(20)
        assert viewer.told == ["stream-open"]
        assert not viewer.breaks
    assert resumed.end() == "finished"
    assert resumed.got == tokens(20, first=6)
    code, body = plain()
    assert code == 0
    assert body.count(b"data: token ") == 20
    assert b"stream-" not in body
    code, body = resumed_plain()
    assert (code, body.count(b"data: token ")) == (0, 14)
    assert site.status(key)["state"] == "finished"
    late = Viewer(site, f"/jobs/{key}")
    assert (late.end(), late.got) == ("finished", tokens(20))
    late = Viewer(site, f"/jobs/{key}", last_event_id=viewers[0].ids[18])
    assert (late.end(), late.got) == ("finished", tokens(20, first=19))
    # An EventSource that did not see the end in time comes back with its id.
    assert Viewer(site, f"/jobs/{key}", last_event_id=late.last_id).end() == 204
    site.noted(key, "on_finish:finished")
    assert [note.what for note in site.notes(key)] == ["started", "finally", "on_finish:finished"]
    assert len({note.pid for note in site.notes(key)}) == 1


@pytest.mark.parametrize("source", ["blocking", "async_answer"])
@pytest.mark.parametrize("name", ["gevent", "threads", "memory"])
def test_cancel(sites, key, name, source):
    """All viewers learn it within a second; the source ends where it blocks, or at its next
    step."""
    site = sites(name)
    wait, count = (3, 3) if source == "blocking" else (0.1, 1000)
    owner = site.begin(key, f"source={source}&count={count}&wait={wait}")
    but = None if name == "memory" else owner
    viewers = [Viewer(site, f"/jobs/{key}", but=but) for _ in range(2)]
    plain = curl(site, f"/jobs/{key}?plain=1")
    for viewer in viewers:
        viewer.has("token 2")
    cancelled = time.monotonic()
    assert site.call("DELETE", f"/jobs/{key}") is True
    for viewer in viewers:
        assert viewer.end() == "cancelled"
        assert viewer.ended - cancelled < TOLD
        assert "too late" not in viewer.got
    assert plain()[0] == 18  # Its body ended too early.
    ended = site.noted(key, "finally")
    if site.server.kind.greenlets or source == "async_answer":
        assert ended.at - cancelled < TOLD
    site.noted(key, "on_finish:cancelled")
    assert site.call("DELETE", f"/jobs/{key}") is False
    late = Viewer(site, f"/jobs/{key}")
    assert (late.end(), late.got) == ("cancelled", viewers[0].got)


def test_killed_owner(sites, key):
    """Its viewers learn it within 15 s, in the form that each can tell."""
    site = sites("gevent")
    owner = site.begin(key, "count=1000")
    viewers = [Viewer(site, f"/jobs/{key}", but=owner) for _ in range(2)]
    from_owner = Viewer(site, f"/jobs/{key}", only=owner)
    plain = curl(site, f"/jobs/{key}?plain=1")
    for viewer in (*viewers, from_owner):
        viewer.has("token 5")
    os.kill(owner, signal.SIGKILL)
    killed = time.monotonic()
    told = curl(site, f"/jobs/{key}?plain=1&error=1")
    for viewer in (*viewers, from_owner):
        assert viewer.end(NOTICED + 1) == "lost"
        assert viewer.ended - killed < NOTICED
        assert viewer.got == tokens(len(viewer.got))
        assert viewer.got == viewers[0].got
        assert viewer.told == ["stream-open"]
    assert plain()[0] == 18
    code, body = told()
    assert code == 0
    assert b'"type": "lost"' in body
    assert [note.what for note in site.notes(key)] == ["started"]
    # Asked again, it begins anew.
    assert site.whole(key, "restart=1&count=3") == tokens(3)


def test_stopped_owner(sites, key):
    """A process that comes back after its lease was over adds nothing, and is interrupted."""
    site = sites("gevent")
    owner = site.begin(key, "count=1000")
    viewer = Viewer(site, f"/jobs/{key}", but=owner)
    through = Viewer(site, f"/jobs/{key}", only=owner)
    for each in (viewer, through):
        each.has("token 5")
    os.kill(owner, signal.SIGSTOP)
    try:
        assert viewer.end(NOTICED) == "lost"
        site.start(key, "restart=1&count=40").reset()
        wait_for(lambda: len(site.notes(key, "started")), "the second run", equals=2)
        again = [Viewer(site, f"/jobs/{key}", but=owner) for _ in range(2)]
        again[0].has("token 5")
    finally:
        os.kill(owner, signal.SIGCONT)
    former = site.noted(key, "finally")
    assert former.pid == owner
    assert (through.end(), through.got, through.breaks) == ("lost", viewer.got, [])
    for each in again:
        assert (each.end(), each.got) == ("finished", tokens(40))
    assert viewer.got == tokens(len(viewer.got))
    # Whoever comes back with an id of the first run must not take the rest for the whole.
    back = Viewer(site, f"/jobs/{key}", last_event_id=viewer.ids[3])
    assert (back.end(), back.told, back.got) == ("finished", ["stream-reset"], tokens(40))
    code, body = curl(site, "-H", f"Last-Event-ID: {viewer.ids[3]}", f"/jobs/{key}?plain=1")()
    assert (code, b"data:" in body) == (18, False)
    site.noted(key, "on_finish:finished")
    site.noted(key, "on_finish:lost")
    whats = [note.what for note in site.notes(key)]
    # Each run is told of once, by the process that ran it.
    assert whats.count("on_finish:finished") == whats.count("on_finish:lost") == 1


@pytest.mark.parametrize("name", ["gevent", "memory"])
def test_another_user(sites, key, name):
    """Another user's job is one that does not exist."""
    site = sites(name)
    site.begin(key, "user=alice&count=15")
    for other in ("", "?user=bob"):
        assert Viewer(site, f"/jobs/{key}{other}").end() == 204
        assert site.status(key, other) is None
        assert site.call("DELETE", f"/jobs/{key}{other}") is False
    assert key not in site.call("GET", "/jobs?user=bob")
    assert key in site.call("GET", "/jobs?user=alice")
    # The same key of another user is another job.
    assert site.whole(key, "user=bob&count=2") == tokens(2)
    viewer = Viewer(site, f"/jobs/{key}?user=alice")
    assert (viewer.end(), viewer.got) == ("finished", tokens(15))


@pytest.mark.parametrize("name", ["gevent", "threads"])
def test_many_start_it_at_once(sites, key, name):
    """Twenty requests for one key, on three workers: one run, and everybody has its output."""
    site = sites(name)
    barrier = threading.Barrier(20)

    def ask(_):
        barrier.wait(10)
        return curl(site, "-X", "POST", f"/jobs/{key}?count=10")()

    with ThreadPoolExecutor(20) as pool:
        for code, body in pool.map(ask, range(20)):
            assert code == 0
            assert [line for line in body.decode().split("\n") if line.startswith("data:")] == [
                f"data: {token}" for token in tokens(10)
            ]
    assert len(site.notes(key, "started")) == 1


@pytest.mark.parametrize("name", ["gevent"])
def test_reload(tmp_path, redis, key, name):
    """A deploy in the middle: the viewers move at once, the job ends where it runs."""
    with running(name, tmp_path, redis, workers=2) as site:
        owner = site.begin(key, "count=50")
        viewers = [Viewer(site, f"/jobs/{key}") for _ in range(3)]
        viewers[0].has("token 5")
        before = site.server.workers()
        site.server.signal(signal.SIGHUP)
        for viewer in viewers:
            assert viewer.end() == "finished"
            assert viewer.got == tokens(50)
            assert viewer.told == ["stream-open"]
            assert viewer.pids[-1] not in before
        finished = site.noted(key, "on_finish:finished")
        assert finished.pid == owner
        assert finished.at - max(viewer.breaks[0] for viewer in viewers) > 1
        wait_for(lambda: not any(map(is_alive, before)), "the old workers to end")
        assert time.monotonic() - finished.at < 10  # Not after the whole grace.


@pytest.mark.parametrize("name", ["threads"])
def test_stopping_server(tmp_path, redis, key, name):
    """Jobs have JOB_GRACE; then they are interrupted, and say so. Others serve the viewers."""
    short, long = f"{key}-short", f"{key}-long"
    with contextlib.ExitStack() as stack:
        folder = tmp_path / "new"
        folder.mkdir()
        new = stack.enter_context(running(name, folder, redis, workers=1))
        old = stack.enter_context(running(name, tmp_path, redis, workers=1, TEST_JOB_GRACE="5"))
        old.begin(short, "count=40")
        old.begin(long, "count=10000")
        viewers = [Viewer(old, f"/jobs/{each}") for each in (short, long)]
        viewers[0].has("token 5")
        stopped = time.monotonic()
        for viewer in viewers:
            viewer.site = new
        old.server.signal(signal.SIGTERM)
        assert viewers[0].end() == "finished"
        assert viewers[1].end() == "lost"
        ended = old.noted(long, "finally").at
        assert 4 < ended - stopped < 8
        assert viewers[1].ended - ended < 5
        for viewer in viewers:
            assert viewer.breaks[0] - stopped < 5
            assert viewer.told == ["stream-open"]
            assert viewer.got == tokens(len(viewer.got))
        assert len(viewers[0].got) == 40
        old.noted(short, "on_finish:finished")
        old.noted(long, "on_finish:lost")
        old.server.wait(5)


@pytest.mark.parametrize("name", ["gevent"])
def test_worker_that_retires(tmp_path, redis, key, name):
    """gunicorn kills a worker that says nothing for some seconds: one with jobs goes on saying."""
    options = ("--max-requests", "4", "--timeout", "2")
    with running(name, tmp_path, redis, *options, workers=1) as site:
        owner = site.begin(key, "count=60")
        for _ in range(4):
            with contextlib.suppress(OSError, http.client.HTTPException):
                site.server.get("/plain")
        wait_for(lambda: site.server.workers() - {owner}, "another worker", 20)
        assert site.noted(key, "on_finish:finished").pid == owner
        assert "WORKER TIMEOUT" not in site.server.output()


@pytest.mark.parametrize("name", ["threads"])
def test_request_that_outlasts_the_grace(tmp_path, redis, key, name):
    """Jobs are interrupted in time before gunicorn kills the worker, whatever that waits for."""
    with (
        running(name, tmp_path, redis, "--graceful-timeout", "5", workers=1) as site,
        socket.create_connection(("127.0.0.1", site.server.port)) as slow,
    ):
        slow.sendall(b"GET /plain HTTP/1.1\r\n")
        site.begin(key, "count=1000")
        stopped = time.monotonic()
        site.server.signal(signal.SIGTERM)
        assert 2 < site.noted(key, "on_finish:lost").at - stopped < 5


@pytest.mark.parametrize("name", ["gevent", "threads"])
def test_quick_stop(tmp_path, redis, key, name):
    """Ctrl-C does not wait for jobs, but their last words are said."""
    with running(name, tmp_path, redis, workers=1) as site:
        site.begin(key, "count=1000")
        stopped = time.monotonic()
        site.server.signal(signal.SIGINT)
        assert site.noted(key, "on_finish:lost").at - stopped < 10
        site.server.wait(15)


@pytest.mark.parametrize("name", ["gevent", "threads"])
def test_plain_ends(sites, key, name):
    """A clean end means finished; otherwise error= says it, or the connection is broken off."""
    site = sites(name)
    for source, error, code, last in [
        ("answer", "", 0, b"data: token 2\n\n"),
        ("answer", "&error=1", 0, b"data: token 2\n\n"),
        ("failing", "", 18, b"data: token 2\n\n"),
        ("failing", "&error=1", 0, b'"type": "failed"}}\n\n'),
    ]:
        path = f"/jobs/{key}-{source}{bool(error)}?count=3&source={source}{error}"
        for arguments in (["-X", "POST", path], [path + "&plain=1"]):
            got, body = curl(site, *arguments)()
            assert (got, body.removesuffix(b":\n")[-len(last) :]) == (code, last), body
            assert b"secret" not in body
            assert body.count(b"data: token") == 3


@pytest.mark.parametrize("name", ["gevent", "memory"])
def test_gone(sites, key, name):
    """A client that has received some of a job that is gone learns that it has not all of it."""
    site = sites(name)
    with site.start(key, "count=5&keep_for=0.5") as stream:
        last_id = [event.id for event in stream][2]
    wait_for(lambda: site.status(key) is None, "the output to be dropped")
    assert Viewer(site, f"/jobs/{key}").end() == 204
    for each in (last_id, "nonsense"):
        viewer = Viewer(site, f"/jobs/{key}", last_event_id=each)
        assert (viewer.end(), viewer.told, viewer.got) == ("lost", ["stream-reset"], [])
    header = ("-H", f"Last-Event-ID: {last_id}")
    assert curl(site, f"/jobs/{key}?plain=1")() == (0, b"")
    assert curl(site, *header, f"/jobs/{key}?plain=1")()[0] == 18
    code, body = curl(site, *header, f"/jobs/{key}?plain=1&error=1")()
    assert (code, b'"type": "lost"' in body) == (0, True)


def test_killed_owner_in_memory(tmp_path, key):
    """Nothing survives, and a client that comes back is told so."""
    with running("memory", tmp_path, None) as site:
        owner = site.begin(key, "count=1000")
        viewer = Viewer(site, f"/jobs/{key}")
        viewer.has("token 3")
        os.kill(owner, signal.SIGKILL)
        assert viewer.end() == "lost"
        assert viewer.told == ["stream-open", "stream-reset"]


@pytest.mark.parametrize("where", ["gevent", "memory"])
def test_limits(sites, key, where):
    """A job ends if nobody watches, takes too long or says too much, where it was asked to."""
    site = sites(where)
    queries = {
        "watched": "count=60&stop_when_alone=1",
        "alone": "count=1000&stop_when_alone=1",
        "slow": "count=1000&max_seconds=1",
        "large": "count=1000&max_bytes=200",
    }
    viewers = {}
    for name, query in queries.items():
        owner = site.begin(f"{key}-{name}", query)
        if name != "alone":
            but = None if SITES[where][1] == 1 else owner
            viewers[name] = Viewer(site, f"/jobs/{key}-{name}", but=but)
    watched, slow, large = viewers.values()
    assert slow.end() == "failed"
    assert large.end() == "failed"
    assert large.got == tokens(len(large.got)) != []
    wait_for(lambda: site.state(f"{key}-alone"), "the end", equals="cancelled")
    alone = Viewer(site, f"/jobs/{key}-alone")
    assert alone.end() == "cancelled"
    assert len(alone.got) >= 8
    assert (watched.end(), watched.got) == ("finished", tokens(60))
    for name, outcome in [("alone", "cancelled"), ("slow", "failed"), ("large", "failed")]:
        site.noted(f"{key}-{name}", "finally")
        site.noted(f"{key}-{name}", f"on_finish:{outcome}")


@pytest.mark.parametrize(("how", "seconds"), [("hangs", 5), ("restarts", 2), ("is emptied", 2)])
def test_broker_is_away(tmp_path, key, how, seconds):
    """The job waits for it; what its viewers get is whole, or they learn that it is not."""
    folder = tmp_path / "redis"
    folder.mkdir()
    keeping = ("--appendonly", "yes", "--appendfsync", "always")
    with (
        RedisServer(folder, *(() if how == "is emptied" else keeping)) as redis,
        running("gevent", tmp_path, redis, workers=2) as site,
    ):
        owner = site.begin(key, "count=50&wait=0.05")
        viewers = [Viewer(site, f"/jobs/{key}", but=but) for but in (owner, None)]
        for viewer in viewers:
            viewer.has("token 5")
        redis.pause() if how == "hangs" else redis.kill()
        time.sleep(seconds)
        redis.resume() if how == "hangs" else redis.start()
        for viewer in viewers:
            assert viewer.end(20) == ("lost" if how == "is emptied" else "finished")
            if how != "is emptied":
                assert viewer.got == tokens(50)
        site.noted(key, "finally")
        assert len(site.notes(key, "started")) == 1


@pytest.mark.parametrize("name", ["gevent"])
def test_long_output(sites, key, name):
    """A job says more, and more at once, than may wait for a client of a channel."""
    site = sites(name)
    for size, count in [(0, 1500), (100_000, 20)]:
        each = f"{key}-{size}"
        site.begin(each, f"count={count}&wait=0&size={size}")
        wanted = [token + "x" * size for token in tokens(count)]
        for _ in range(2):  # While it runs, and afterwards.
            plain = curl(site, f"/jobs/{each}?plain=1")
            viewer = Viewer(site, f"/jobs/{each}")
            assert (viewer.end(), viewer.got, viewer.breaks) == ("finished", wanted, [])
            code, body = plain()
            assert (code, body.count(b"data: token ")) == (0, count)
