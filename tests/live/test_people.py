"""
People join, leave, reload, lose their worker, and are disconnected. At every checkpoint the server
knows exactly who is present, and has announced each join and leave once.
"""

import contextlib
import http.client
import json
import os
import random
import re
import selectors
import signal
import socket
import statistics
import threading
import time
from collections import Counter, defaultdict

import pytest

from tests.redis_server import RedisServer
from tests.waiting import wait_for

PEOPLE = 200
ROUNDS = int(os.environ.get("PEOPLE_ROUNDS", "3"))
GRACE = 6.0
FIRST = int(os.environ.get("PEOPLE_FIRST", "0"))
RUNS = int(os.environ.get("PEOPLE_RUNS", "1"))


class Tab:
    """A user's page. It reconnects as a browser does, until it is closed or told to stop."""

    def __init__(self, user):
        self.user = user
        self.socket = None
        self.is_open = False
        self.worker = None
        self.tail = b""
        self.stopped_at = None
        self.connect_at = 0.0


class Browsers:
    """All pages, in one thread."""

    def __init__(self, server):
        self.server = server
        self.tabs = []
        self.last_ids = {}
        self.selector = selectors.DefaultSelector()
        self.lock = threading.Lock()
        self.error = None
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def open(self, user):
        tab = Tab(user)
        with self.lock:
            self.tabs.append(tab)
        return tab

    def close(self, tab):
        with self.lock:
            self.tabs.remove(tab)
            self.drop(tab)

    def of(self, user):
        return [tab for tab in self.tabs if tab.user == user]

    def notice_end_of(self, pid):
        """Wait until every tab has noticed that a worker is gone."""
        wait_for(lambda: all(tab.worker != pid for tab in list(self.tabs)), "the browsers")

    def stop(self):
        self.stopping = True
        self.thread.join(10)
        for tab in list(self.tabs):
            self.close(tab)
        self.selector.close()
        assert not self.thread.is_alive()
        assert self.error is None, f"the browsers failed: {self.error!r}"

    def run(self):
        try:
            while not self.stopping:
                self.turn()
        except Exception as exc:
            self.error = exc

    def turn(self):
        with self.lock:
            now = time.monotonic()
            for tab in self.tabs:
                if tab.socket is None and tab.stopped_at is None and now >= tab.connect_at:
                    self.connect(tab)
        for key, _ in self.selector.select(0.02):
            with self.lock:
                self.read(key.data)

    def connect(self, tab):
        tab.tail = b""
        request = (
            f"GET /room/all?user={tab.user}&grace={GRACE} HTTP/1.1\r\n"
            "Host: test\r\nAccept: text/event-stream\r\n\r\n"
        )
        try:
            sock = socket.create_connection(("127.0.0.1", self.server.port), timeout=5)
            try:
                sock.sendall(request.encode())
            except OSError:
                sock.close()
                raise
        except OSError:
            # A worker that is killed may have accepted it.
            tab.connect_at = time.monotonic() + 0.1
            return
        tab.socket = sock
        tab.socket.setblocking(False)
        self.selector.register(tab.socket, selectors.EVENT_READ, tab)

    def read(self, tab):
        if tab.socket is None:
            return
        try:
            data = tab.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        seen = tab.tail + data
        worker = re.search(rb"X-Worker: (\d+)\r\n", seen)
        if worker is not None:
            tab.worker = int(worker[1])
        # Not a stream that begins with its end, such as an error.
        tab.is_open = tab.is_open or b"event: stream-open" in seen or b"event: stream-reset" in seen
        if b"event: stream-error" in seen or b"event: stream-disconnect" in seen:
            tab.is_open = False
        tab.tail = (tab.tail + data)[-500:]
        end = tab.tail.partition(b"event: stream-end")[2]
        if b"\n\n" in end:
            assert b"data: kicked" in end
            tab.stopped_at = time.monotonic()
            self.drop(tab)
        elif not data:
            self.drop(tab)
            tab.connect_at = time.monotonic() + random.uniform(0.05, 0.5)

    def drop(self, tab):
        if tab.socket is not None:
            self.selector.unregister(tab.socket)
            tab.socket.close()
            tab.socket = None
            tab.worker = None
            tab.is_open = False


class Watcher:
    """An observer, not present itself, of all joins and leaves; resumes as a browser does."""

    def __init__(self, server):
        self.server = server
        self.announced = []
        self.resets = 0
        self.is_open = False
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        last = None
        while not self.stopping:
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                self.server.stream("/subscribe/all", last_event_id=last) as stream,
            ):
                for event in stream:
                    last = event.id or last
                    self.is_open = True
                    if event.event in ("presence-join", "presence-leave"):
                        self.announced.append((event.event, json.loads(event.data)["user"]))
                    elif event.event == "stream-reset":
                        self.resets += 1
                    if self.stopping:
                        return
            time.sleep(0.1)

    def present(self):
        """Who is present according to the announcements."""
        present = set()
        for event, user in list(self.announced):
            (present.add if event == "presence-join" else present.discard)(user)
        return present


class Model:
    """Who should be present, and how often each has joined and left."""

    def __init__(self):
        self.present = set()
        self.joins, self.leaves = Counter(), Counter()

    def come(self, user):
        assert user not in self.present
        self.present.add(user)
        self.joins[user] += 1

    def go(self, user):
        self.present.remove(user)
        self.leaves[user] += 1


KINDS = [
    ("gunicorn-gevent-flask", 3),
    ("gunicorn-gevent-django", 1),
    ("gunicorn-handoff-gevent-flask", 3),
]


@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
@pytest.mark.parametrize(("kind", "workers"), KINDS)
def test_people(start, tmp_path, kind, workers, seed):
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        environ = {"TEST_HEARTBEAT": "2"}
        if workers > 1:
            environ["TEST_BROKER_URL"] = stack.enter_context(RedisServer(tmp_path)).url
        server = start(kind, "--workers", str(workers), "--log-level", "critical", **environ)
        watcher = Watcher(server)
        wait_for(lambda: watcher.is_open, "the watcher")
        browsers = Browsers(server)
        stack.callback(browsers.stop)
        model = Model()
        waited = []
        for _ in range(ROUNDS):
            waited += disturb(chance, server, browsers, model, kill=workers > 1)
            check(server, browsers, watcher, model)
        for tab in list(browsers.tabs):
            browsers.close(tab)
        for user in list(model.present):
            model.go(user)
        check(server, browsers, watcher, model)
        # Not each of them, because the machine may be busy.
        assert statistics.median(waited) < 1.0, waited
        watcher.stopping = True
        assert watcher.resets == 0
        assert Counter(user for event, user in watcher.announced if event.endswith("join")) == (
            model.joins
        )
        assert Counter(user for event, user in watcher.announced if event.endswith("leave")) == (
            model.leaves
        )
        by_user = defaultdict(list)
        for event, user in watcher.announced:
            by_user[user].append(event)
        for events in by_user.values():
            assert events == ["presence-join", "presence-leave"] * (len(events) // 2)
        assert "Traceback" not in server.output()


def disturb(chance, server, browsers, model, kill):
    """Let everybody do something, at most once. Return how long those who were kicked waited."""
    waited = []
    people = [f"user{number}" for number in range(PEOPLE)]
    chance.shuffle(people)
    victims = set()
    for number, user in enumerate(people):
        if user not in model.present:
            if chance.random() < 0.5:
                for tab in browsers.of(user):
                    browsers.close(tab)  # It was disconnected, and is opened again.
                for _ in range(chance.randint(1, 4)):
                    browsers.open(user)
                model.come(user)
            continue
        what = chance.choice(["stay", "stay", "go", "reload", "tab", "kick", "die"])
        tabs = browsers.of(user)
        if what == "go" or (what == "die" and not kill):
            for tab in tabs:
                browsers.close(tab)
            model.go(user)
        elif what == "reload":
            for tab in tabs:
                browsers.close(tab)
                browsers.open(user)
        elif what == "tab":
            if len(tabs) > 1 and chance.random() < 0.5:
                browsers.close(tabs[0])
            else:
                browsers.open(user)
        elif what == "kick" and chance.random() < 0.3:
            wait_for(lambda tabs=tabs: all(tab.is_open for tab in tabs), f"the tabs of {user}", 60)
            server.get(f"/kick?user={user}")
            kicked = time.monotonic()
            wait_for(lambda tabs=tabs: all(tab.stopped_at for tab in tabs), f"{user} to go", 30)
            waited.append(max(tab.stopped_at for tab in tabs) - kicked)
            model.go(user)
        elif what == "die":
            victims.add(user)
        if kill and number == PEOPLE // 2:
            pid = server.json("/figures")["pid"]
            os.kill(pid, signal.SIGKILL)
            # Their machines die with the worker.
            for victim in victims:
                for tab in browsers.of(victim):
                    browsers.close(tab)
                model.go(victim)
            victims.clear()
            # A tab that has not noticed its worker's death would count as open, and reconnect
            # after a disconnect(), which ends existing streams only.
            browsers.notice_end_of(pid)
    return waited


def check(server, browsers, watcher, model):
    """The server's answers and announcements match the model."""
    expected = model.present
    deadline = 60
    wait_for(
        lambda: all(tab.is_open or tab.stopped_at for tab in list(browsers.tabs)),
        "all tabs to be open",
        deadline,
    )
    wait_for(
        lambda: set(server.json("/present/all")), "those who are present", deadline, equals=expected
    )
    wait_for(lambda: watcher.present(), "what was announced", deadline, equals=expected)
    assert len(server.json("/present/all")) == len(expected)


@pytest.mark.parametrize("kind", ["gunicorn-gevent-flask", "gunicorn-handoff-gevent-flask"])
def test_limit_of_all_workers(start, tmp_path, kind):
    """A limit per address covers all workers; behind a proxy, the client's address counts."""
    with RedisServer(tmp_path) as redis, contextlib.ExitStack() as stack:
        server = start(
            kind, "--workers", "3",
            TEST_BROKER_URL=redis.url, TEST_MAX_STREAMS_PER_ADDRESS="5",
        )  # fmt: skip

        def opened(address):
            headers = {"X-Forwarded-For": f"1.1.1.1, {address}"}
            stream = stack.enter_context(server.stream("/subscribe/x", headers=headers))
            return stream, [event.event for event in stream.take(1)]

        mine = [opened("198.51.100.1") for _ in range(5)]
        assert [events for _, events in mine] == [["stream-open"]] * 5
        for _ in range(4):
            refused, events = opened("198.51.100.1")
            assert events == []
            assert refused.parser.retry >= 30_000
        assert opened("198.51.100.2")[1] == ["stream-open"]
        mine[0][0].close()
        wait_for(lambda: opened("198.51.100.1")[1], "a place", equals=["stream-open"])
