"""Channels on real servers, in one process."""

import contextlib
import random
import threading
import time
import urllib.error

import pytest

from tests.waiting import wait_for

WORKERS = [
    f"{server}-{framework}"
    for server, framework in [
        ("gunicorn-gevent", "flask"),
        ("gunicorn-gevent", "django"),
        ("gunicorn-gthread", "flask"),
        ("gunicorn-handoff-gevent", "flask"),
        ("gunicorn-handoff-gevent", "django"),
        ("gunicorn-handoff-threads", "flask"),
        ("gunicorn-handoff-threads", "django"),
    ]
]


@pytest.fixture(params=WORKERS)
def server(request, servers):
    from tests.live.servers import kind

    server = servers(kind(request.param))
    # Streams of other tests may still be ending, and use up the limit.
    wait_for(lambda: server.json("/figures")["open"], "streams of other tests to be gone", equals=0)
    return server


def numbers(stream, count):
    return [int(event.data) for event in stream.take(count)]


def test_fan_out(server, key):
    """Every subscriber gets every event, in order."""
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(server.stream(f"/subscribe/{key}")) for _ in range(12)]
        for stream in streams:
            assert next(stream).event == "stream-open"
        ids = server.json(f"/publish/{key}?count=200")
        for stream in streams:
            events = stream.take(200)
            assert [event.id for event in events] == ids
            assert [int(event.data) for event in events] == list(range(200))


def test_selected(server, key):
    """The history, live events, and the end, for clients that are handed off and others."""
    server.get(f"/publish/{key}?count=3")
    server.get(f"/publish/{key}?first=90&hidden=1")
    url = f"/selected/{key}?tab="
    with contextlib.ExitStack() as stack:
        mine, other = (stack.enter_context(server.stream(url + tab)) for tab in ("mine", "other"))
        for stream in (mine, other):
            assert next(stream).event == "stream-open"
            assert numbers(stream, 3) == [0, 1, 2]
        server.get(f"/publish/{key}?first=3")
        server.get(f"/publish/{key}?first=91&hidden=1")
        server.get(f"/publish/{key}?first=4&tab=mine")
        server.get(f"/publish/{key}?first=5&event=done&tab=mine")
        assert numbers(other, 3) == [3, 4, 5]
        assert [event.event for event in other] == ["stream-end"]
        server.get(f"/publish/{key}?first=6&event=done")
        assert numbers(mine, 2) == [3, 6]
        assert [event.event for event in mine] == ["stream-end"]
    with server.stream(url) as late:
        assert next(late).event == "stream-open"
        assert numbers(late, 6) == [0, 1, 2, 3, 4, 5]
        assert [event.event for event in late] == ["stream-end"]


def test_resume(server, key):
    """A client that reconnects gets what it missed, and nothing twice."""
    with server.stream(f"/subscribe/{key}") as stream:
        assert next(stream).event == "stream-open"
        server.get(f"/publish/{key}?count=3")
        *_, last = stream.take(3)
    server.get(f"/publish/{key}?first=3&count=4")
    with server.stream(f"/subscribe/{key}", last_event_id=last.id) as stream:
        assert numbers(stream, 4) == [3, 4, 5, 6]
        server.get(f"/publish/{key}?first=7")
        assert numbers(stream, 1) == [7]


def test_cut_off_again_and_again(server, key):
    """Under steady publishing a client that is cut off at random loses and repeats nothing."""
    chance = random.Random(7)
    done = threading.Event()

    def publish():
        for first in range(0, 600, 5):
            server.get(f"/publish/{key}?first={first}&count=5")
            time.sleep(0.01)
        done.set()

    stream = server.stream(f"/subscribe/{key}")
    last = next(stream).id
    publisher = threading.Thread(target=publish, daemon=True)
    publisher.start()
    got = []
    deadline = time.monotonic() + 60
    while len(got) < 600 and time.monotonic() < deadline:
        event = next(stream)
        assert event.event == "n", event
        got.append(int(event.data))
        last = event.id
        if chance.random() < 0.05:
            (stream.reset if chance.random() < 0.5 else stream.close)()
            stream = server.stream(f"/subscribe/{key}", last_event_id=last)
    stream.close()
    publisher.join(30)
    assert done.is_set()
    assert got == list(range(600))


def test_unknown_position(server, key):
    """A client with an unknown position is reset."""
    with server.stream(f"/subscribe/{key}", last_event_id="rubbish") as stream:
        assert next(stream).event == "stream-reset"


def test_slow_client(server, key):
    """A client that does not read is cut off; it delays nobody, and resumes."""
    before = server.json("/figures")["closed"].get("OVERFLOWED", 0)
    with server.stream(f"/subscribe/{key}") as fast:
        slow = server.stream(f"/subscribe/{key}?max_events=50")
        last = next(slow).id
        assert next(fast).event == "stream-open"
        for first in range(0, 600, 20):
            server.get(f"/publish/{key}?first={first}&count=20&size=20000")
            events = fast.take(20)
            assert [int(e.data.rstrip("x")) for e in events] == list(range(first, first + 20))
        got = [int(event.data.rstrip("x")) for event in _rest(slow)]
        assert got == list(range(len(got)))
        assert 0 < len(got) < 600
        last = slow.parser.last_event_id or last
        slow.close()
    wait_for(
        lambda: server.json("/figures")["closed"].get("OVERFLOWED"), "its end", equals=before + 1
    )
    with server.stream(f"/subscribe/{key}", last_event_id=last) as again:
        rest = [int(event.data.rstrip("x")) for event in again.take(600 - len(got))]
    assert got + rest == list(range(600))


def _rest(stream):
    with contextlib.suppress(ConnectionError):
        yield from stream


def test_handed_off(server, key):
    """A worker with hand-off has no open requests for its streams."""
    handed_off = "handoff" in str(server.kind)
    with contextlib.ExitStack() as stack:
        streams = [
            stack.enter_context(server.stream(f"/subscribe/{key}"))
            for _ in range(40 if handed_off else 5)
        ]
        for stream in streams:
            assert next(stream).event == "stream-open"
        expected = len(streams) if handed_off else 0
        wait_for(lambda: server.json("/figures")["handed_off"], "the hand-off", equals=expected)
        server.get(f"/publish/{key}?first=7")
        assert [numbers(stream, 1) for stream in streams] == [[7]] * len(streams)


def test_nothing_is_left(server, key):
    """Subscribers that connect and disconnect leave nothing behind."""
    before = server.json("/figures")["lingering"]  # Blocked threads of other tests.
    for _ in range(50):
        with server.stream(f"/subscribe/{key}") as stream:
            assert next(stream).event == "stream-open"
    wait_for(lambda: server.json("/figures")["open"], "the streams to be closed", equals=0)
    wait_for(lambda: server.json("/figures")["lingering"] <= before, "their sources to end")


def test_several_workers_on_memory(start):
    """A broker that cannot reach the other workers is refused, with the cure in the log."""
    server = start("gunicorn-gevent-flask", "--workers", "2")
    with pytest.raises(urllib.error.HTTPError) as caught:
        server.get("/subscribe/x")
    assert caught.value.code == 500
    caught.value.close()
    assert "events would stay in one of them. Use redis://, or run one worker" in server.output()
