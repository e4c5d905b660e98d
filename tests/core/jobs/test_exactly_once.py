"""Every viewer has all of a job once, and its end, whatever the order in which things happen."""

import contextlib
import json

import pytest

from sse_sync import EventStream, EventStreamParser, ServerSentEvent
from sse_sync.brokers.jobs import JobTerms, Outcome
from sse_sync.event import encode
from sse_sync.jobs.manager import jobs_of
from sse_sync.jobs.viewing import view
from sse_sync.runtime.process import system_epoll
from sse_sync.runtime.reactor import Reactor
from sse_sync.streams.handoff.takeover import OFFER
from tests.core.jobs.conftest import NAME
from tests.core.streams.handoff.clients import OPTIONS, Client
from tests.core.streams.test_exactly_once import SEEDS, Blocked, Browser, World

OUTCOMES = (Outcome.FINISHED, Outcome.FAILED, Outcome.CANCELLED)


class Viewer(Browser):
    """A client of a job: an event source, or a plain one that resumes by its last event ID."""

    def __init__(self, world):
        self.world = world
        self.is_plain = world.chance.random() < 0.4
        self.got, self.last_id = [], None
        self.has_ended = self.has_failed = False
        self.client = None
        self.parser = None
        self.known = 0

    def connect(self):
        self.disconnect()
        if self.has_ended:
            return
        jobs = jobs_of(self.world.hub)
        source = view(jobs, jobs.get(NAME), self.last_id, None)
        if source is None:
            assert self.last_id is None
            return
        self.client = Client(buffer=4096)
        self.client.on_take = self.world.something_small
        self.parser, self.known, self.has_failed = EventStreamParser(), 0, False
        environ = {"SERVER_SOFTWARE": "test", OFFER: self.client}
        stream = EventStream(
            source, environ, options=OPTIONS, plain=self.is_plain, error=self.failure
        )
        try:
            for chunk in stream:
                self.take(self.parser.feed(chunk))
                self.world.something_small()
        except Blocked:
            pass
        else:
            if self.client.ours.fileno() >= 0:
                self.ended_cleanly()
        stream.close()

    @staticmethod
    def failure(failure):
        return ServerSentEvent(failure.reason.value, event="failure")

    def take(self, events):
        for event in events:
            assert not self.has_ended
            self.last_id = event.id or self.last_id
            if event.event in ("stream-open", "stream-reset"):
                self.got = []
            elif event.event == "stream-end":
                self.end(json.loads(event.data)["outcome"])
            elif event.event == "failure":
                self.has_failed = True
                if event.data in [str(outcome) for outcome in OUTCOMES]:
                    self.end(event.data)
                elif event.data == "interrupted":
                    self.got, self.last_id = [], None  # What such a client has to do.
            else:
                assert event.event is None, event
                self.got.append(event.data.strip())

    def read(self, most=1 << 20):
        super().read(most)
        client = self.client
        if client is not None and client.has_ended and client.raw.endswith(b"\r\n0\r\n\r\n"):
            self.ended_cleanly()

    def ended_cleanly(self):
        if self.is_plain and not self.has_ended and not self.has_failed:
            self.end("finished")

    def end(self, outcome):
        self.has_ended = True
        assert (self.got, outcome) in self.world.runs

    def disconnect(self):
        if self.client is not None:
            self.client.socket.close()
            self.client.ours.close()
            self.client = None


class JobWorld(World):
    """One process with a job, which another one runs."""

    def __init__(self, runtime, seed):
        super().__init__(runtime, seed)
        self.hold = None
        # What each run has said, and how it has ended.
        self.runs = []
        jobs_of(self.hub)._ticking.wake = lambda: None  # Nothing expires here.
        self.browsers = [Viewer(self) for _ in range(4)]

    def publish(self):
        store, chance = self.broker.jobs, self.chance
        if self.hold is None:
            _, self.hold = store.start(NAME, JobTerms(), restart=True)
            self.runs.append(([], None))
        elif chance.random() < 0.05:
            self.finish(chance.choice(OUTCOMES))
        else:
            said, _ = self.runs[-1]
            texts = [f"{len(self.runs)}.{len(said) + n}" for n in range(chance.randint(1, 3))]
            size = chance.choice((1, 1, 700, 400_000 if chance.random() < 0.1 else 1))
            store.write(self.hold, len(said), [encode(text.rjust(size)) for text in texts])
            said += texts

    def finish(self, outcome):
        self.runs[-1] = self.runs[-1][0], str(outcome)
        self.broker.jobs.finish(self.hold, outcome)
        self.hold = None


@pytest.mark.parametrize("seed", range(SEEDS))
def test_all_of_a_job_once_and_its_end(runtime, monkeypatch, seed):
    """Viewers come and go while a job runs, ends and begins anew; none has half of it for all."""
    runtime.reactor = Reactor(system_epoll(), lambda: runtime.now)
    world = JobWorld(runtime, seed)

    def wait(feed=None):
        if not world.broker.arrive():
            raise Blocked

    monkeypatch.setattr("sse_sync.channels.subscription.ChannelFeed.wait", wait)
    monkeypatch.setattr("time.sleep", wait)
    try:
        for _ in range(100):
            world.something()
        for browser in world.browsers:
            browser.read()
        world.is_quiet = True
        if world.hold is not None:
            world.finish(Outcome.FINISHED)
        for _ in range(3):
            world.settle()
            for browser in world.browsers:
                browser.connect()
        world.settle()
        for browser in world.browsers:
            assert browser.has_ended or not world.runs
    finally:
        with contextlib.suppress(Blocked):
            for browser in world.browsers:
                browser.disconnect()
        world.turn(10)
        world.hub.close()
        runtime.reactor.abandon()


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_end_of_what_a_client_lacks(runtime, monkeypatch, outcome):
    """A client that was too slow for the last events is not told how the job has ended."""
    runtime.reactor = Reactor(system_epoll(), lambda: runtime.now)
    world = JobWorld(runtime, 0)
    viewer = world.browsers[0]
    viewer.is_plain, world.is_quiet = True, True

    def wait(feed=None):
        raise Blocked

    monkeypatch.setattr("sse_sync.channels.subscription.ChannelFeed.wait", wait)
    _, world.hold = world.broker.jobs.start(NAME, JobTerms())
    world.runs.append((["0", "1", "2"], None))
    viewer.connect()
    world.broker.jobs.write(world.hold, 0, [encode(text.rjust(600_000)) for text in "012"])
    world.finish(outcome)
    world.settle()
    assert (viewer.got, viewer.has_failed, viewer.has_ended) == (["0", "1"], True, False)
    viewer.connect()
    world.settle()
    assert viewer.has_ended
    viewer.disconnect()
    world.turn(10)
    world.hub.close()
    runtime.reactor.abandon()
