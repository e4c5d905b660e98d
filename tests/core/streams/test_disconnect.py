"""What a stream must not miss: heartbeats, hang-ups, clients that do not read, its lifetime."""

import contextlib
import logging
import re
import socket

import pytest

from sse_sync import CloseReason, EventStream, statistics
from sse_sync.brokers.memory import MemoryBroker
from sse_sync.channels.hub import Hub
from sse_sync.channels.subscription import Subscription
from sse_sync.closing import URGENT_PATIENCE, End
from sse_sync.settings import Options
from sse_sync.streams.disconnect import Watchdog
from sse_sync.streams.handoff.takeover import OFFER
from tests.core.streams.served import END, HEARTBEAT, PREAMBLE, Client, served, slow_to_clean_up


def test_heartbeats_while_the_source_blocks(runtime):
    """After each interval of silence a comment is sent."""

    def source():
        runtime.sleep(40)
        yield "late"
        runtime.sleep(14)
        yield "soon"

    stream = served(source(), heartbeat=15)
    got = []
    for chunk in stream:
        got.append((runtime.now - 1000, chunk))
    assert got == [
        (0, PREAMBLE),
        (15, HEARTBEAT),
        (30, HEARTBEAT),
        (40, b"data: late\n\n"),
        (54, b"data: soon\n\n"),
        (54, END),
    ]
    stream.close()


def test_no_heartbeats(runtime):
    """Heartbeats can be turned off."""

    def source():
        runtime.sleep(4000)
        yield "late"

    assert list(served(source(), heartbeat=None)) == [PREAMBLE, b"data: late\n\n", END]


@pytest.mark.parametrize(("heartbeat", "write_timeout"), [(15, 30), (2, 30), (15, 4), (15, None)])
def test_heartbeats_are_never_late(runtime, heartbeat, write_timeout):
    """No silence is longer than the heartbeat, whatever was sent before."""
    pauses = [7.5, 0.1, 14.9, 31.0, 3.3, 22.2]

    def source():
        for pause in pauses:
            runtime.sleep(pause)
            yield "x"

    stream = served(source(), heartbeat=heartbeat, write_timeout=write_timeout)
    last, silences = runtime.now, []
    for _ in stream:
        silences.append(runtime.now - last)
        last = runtime.now
    assert max(silences) == pytest.approx(heartbeat)


def test_lifetime(runtime):
    """A stream ends after 80 to 100 % of its lifetime, and does not tell its client to stop."""
    lengths = set()
    for _ in range(20):
        seen = []

        def source(seen=seen):
            try:
                while True:
                    runtime.sleep(30)
                    yield "x"
            finally:
                seen.append("finally")

        start = runtime.now
        stream = served(source(), lifetime=100, on_close=seen.append)
        assert END not in list(stream)
        lengths.add(runtime.now - start)
        stream.close()
        runtime.run_ready()
        assert sorted(map(str, seen)) == ["finally", "lifetime over"]
    assert all(80 <= length <= 100 for length in lengths)
    assert len(lengths) > 5


def test_client_gone_while_blocked(runtime, client):
    """The reactor's report interrupts the source where it blocks."""
    seen = []

    def source():
        try:
            yield "a"
            runtime.sleep(1000)
            seen.append("slept")
        finally:
            seen.append("finally")

    stream = served(source(), on_close=seen.append, after=lambda error: seen.append("after"))
    next(stream)
    next(stream)
    runtime.reactor.call_at(runtime.now + 5, lambda now: client.hang_up())
    assert list(stream) == []
    stream.close()
    assert seen == ["finally", CloseReason.CLIENT_GONE, "after"]
    assert runtime.now == 1005
    assert "forget_error" in client.done


def test_client_gone_while_a_thread_blocks(runtime, client, caplog):
    """What cannot be interrupted ends at its next step, and is counted and logged until then."""
    runtime.can_interrupt = False
    seen = []

    def source():
        try:
            yield "a"
            runtime.sleep(1000)
            seen.append("slept")
            yield "b"
            seen.append("not reached")
        finally:
            seen.append("finally")

    stream = served(source(), on_close=seen.append, after=lambda error: seen.append("after"))
    next(stream)
    next(stream)
    runtime.reactor.call_at(runtime.now + 5, lambda now: client.hang_up())
    assert list(stream) == []
    stream.close()
    runtime.run_ready()
    assert seen == [CloseReason.CLIENT_GONE]
    assert (statistics().open, statistics().lingering) == (0, 1)

    runtime.advance(60)
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert re.search(
        r"after its stream ended: .*source at .*test_disconnect\.py:\d+", warning.getMessage()
    )

    runtime.advance(1000)
    assert seen == [CloseReason.CLIENT_GONE, "slept", "finally", "after"]
    assert statistics().lingering == 0


def test_write_timeout(runtime, client):
    """A client that accepts nothing is cut off after the write timeout."""
    stream = served(iter(range(10)), write_timeout=30, heartbeat=15)
    next(stream)
    next(stream)
    runtime.advance(29.9)  # The server does not ask for more: it blocks in a write.
    assert client.done == [("prepare", 30)]
    runtime.advance(0.2)
    assert client.done == [("prepare", 30), "abort"]
    stream.close()
    assert statistics().closed == {CloseReason.CLIENT_GONE: 1}


def test_thread_that_has_just_woken_is_not_late(runtime, client):
    """A long wait before the next write is not taken for a stalled client."""

    def source():
        runtime.sleep(1000)
        yield "a"

    stream = served(source(), write_timeout=1, heartbeat=None)
    next(stream)
    take = stream._run.feed.take

    def slow_take():
        # The stream's thread may be anywhere in __next__ when the reactor checks.
        assert stream._watchdog._tick(runtime.now) is not None
        return take()

    stream._run.feed.take = slow_take
    assert next(stream) == b"data: a\n\n"
    assert "abort" not in client.done
    stream.close()


def test_patient_client_is_left_alone(runtime, client):
    """A stream that waits for its source is never cut off."""

    def source():
        runtime.sleep(1000)
        yield "a"

    assert b"data: a\n\n" in list(served(source(), write_timeout=1, heartbeat=None))
    assert client.done == [("prepare", 1)]


@pytest.mark.parametrize("blocks_in_last_bytes", [False, True])
def test_stopping_server_cuts_off_who_does_not_read(runtime, client, blocks_in_last_bytes):
    """A client that reads nothing never holds up a stopping server."""
    stream = served(iter(range(10)), write_timeout=30)
    next(stream)
    next(stream)  # The server blocks in writing this.
    stream.end_with(End(CloseReason.SERVER_STOPPING))
    if blocks_in_last_bytes:
        next(stream)  # Or in writing this.
    runtime.advance(0.9)
    assert "abort" not in client.done
    runtime.advance(1.2)
    assert "abort" in client.done
    stream.close()


@pytest.mark.parametrize(
    ("cleanup", "waited", "expected"), [(0.4, 0.4, ["cleaned up"]), (0.6, 0.5, [])]
)
def test_stopping_server_waits_for_a_cleanup(runtime, cleanup, waited, expected):
    """
    Under gevent a worker exits with its last request, so requests wait for their sources, but not
    for long: gunicorn looks once a second, and the worker is to be gone within two.
    """
    seen = []
    stream = served(slow_to_clean_up(runtime, cleanup, seen))
    next(stream)
    next(stream)
    stopped = runtime.now + 1
    runtime.reactor.call_at(stopped, lambda now: stream.end_with(End(CloseReason.SERVER_STOPPING)))
    list(stream)
    stream.close()
    assert seen == expected
    assert runtime.now - stopped == pytest.approx(waited, abs=0.02)


@pytest.mark.parametrize("patience", [0.4, 0.6])
def test_on_close_waits_for_a_short_cleanup(runtime, client, patience):
    """on_close comes after the source's finally, unless that takes long."""
    seen = []

    def source():
        try:
            yield "a"
            runtime.sleep(1000)
        finally:
            runtime.sleep(patience)
            seen.append("finally")

    stream = served(source(), on_close=seen.append)
    next(stream)
    next(stream)
    runtime.reactor.call_at(runtime.now + 5, lambda now: client.hang_up())
    list(stream)
    stream.close()
    runtime.advance(1)
    expected = ["finally", CloseReason.CLIENT_GONE]
    assert seen == (expected if patience < 0.5 else expected[::-1])


@pytest.fixture
def hub(runtime):
    with Hub(MemoryBroker()) as hub:
        yield hub


class Offer:
    """An offer that is never accepted."""

    is_chunked = True

    def refusal(self, sent):
        """It never gets that far."""
        raise AssertionError


def test_first_chunk_that_is_not_taken(hub, runtime):
    """A stream that could be handed off is also cut off if its client accepts nothing."""
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.closing(EventStream(Subscription(hub, ("a",)))) as first:
        next(first)  # So that the channel is received.
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(bytes(65536))  # Earlier responses on this connection.
        environ = {"gunicorn.socket": ours, "SERVER_SOFTWARE": "x", OFFER: Offer()}
        stream = EventStream(Subscription(hub, ("a",)), environ, options=Options(write_timeout=5.0))
        assert b"stream-open" in next(stream)
        runtime.advance(6)
        assert list(stream) == []
        stream.close()
        assert statistics().closed == {CloseReason.CLIENT_GONE: 1}


def test_real_socket_is_watched(runtime, monkeypatch):
    """The environ's socket is found, prepared and released."""
    watched = []
    monkeypatch.setattr(runtime.reactor, "watch", lambda fd, callback: watched.append(fd))
    monkeypatch.setattr(runtime.reactor, "unwatch", watched.remove)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = served(["a"], {"gunicorn.socket": ours, "SERVER_SOFTWARE": "x"})
        next(stream)
        assert watched == [ours.fileno()]
        stream.close()
        assert watched == []


class BreakingClient(Client):
    """A client over HTTP/1.0 that acknowledges what it was sent at the fourth look."""

    can_break_off, is_chunked = True, False

    def __init__(self):
        super().__init__()
        self.looks = 0

    def is_idle(self):
        self.looks += 1
        return self.looks > 3

    def reset(self):
        self.done.append(("reset", self.looks))


@pytest.mark.parametrize("is_open", [True, False])
def test_break_off_waits_for_who_reads(runtime, is_open):
    """A reset takes back what is not acknowledged; a stream that was refused waits, too."""
    watchdog = Watchdog(Options())
    watchdog.client = client = BreakingClient()
    if is_open:
        watchdog.open(runtime, lambda end: None)
    watchdog.break_off(is_urgent=False)
    assert client.done == [("reset", 4)]


@pytest.mark.parametrize(
    ("is_urgent", "seconds"), [(True, URGENT_PATIENCE), (False, 5.0)], ids=["urgent", "not"]
)
def test_break_off_waits_no_longer_than_for_a_write(runtime, is_urgent, seconds):
    """Who does not read is reset in the end."""
    watchdog = Watchdog(Options(write_timeout=5.0))
    watchdog.client = client = BreakingClient()
    client.is_idle = lambda: False
    watchdog.open(runtime, lambda end: None)
    began = runtime.now
    watchdog.break_off(is_urgent=is_urgent)
    assert client.done == [("reset", 0)]
    assert runtime.now - began == pytest.approx(seconds)


def test_break_off_does_not_wait_for_who_has_left(runtime):
    """The reactor has seen that the client is gone."""
    watchdog = Watchdog(Options(heartbeat=None))
    watchdog.client = client = BreakingClient()
    client.is_idle = lambda: False
    watchdog.open(runtime, lambda end: None)
    watchdog._hung_up()
    began = runtime.now
    watchdog.break_off(is_urgent=False)
    assert (client.done, runtime.now) == ([("reset", 0)], began)
