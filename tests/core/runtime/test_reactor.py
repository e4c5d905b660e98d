"""The reactor: hang-ups and timers."""

import fcntl
import os
import socket
import threading

import pytest

from sse_sync.runtime.process import system_epoll
from sse_sync.runtime.reactor import Reactor


@pytest.fixture
def reactor():
    reactor = Reactor(system_epoll())
    yield reactor
    reactor.abandon()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_hang_up(reactor, pair):
    """The callback is called once when the peer closes, even after unread bytes."""
    ours, theirs = pair
    seen = []
    assert reactor.watch(ours.fileno(), lambda: seen.append("gone"))
    theirs.sendall(b"unread")
    reactor.poll()
    assert seen == []
    theirs.close()
    reactor.poll()
    reactor.poll()
    assert seen == ["gone"]


def test_unwatch(reactor, pair):
    """A socket that is not watched any more is not reported. Idempotent."""
    ours, theirs = pair
    seen = []
    reactor.watch(ours.fileno(), lambda: seen.append("gone"))
    reactor.unwatch(ours.fileno())
    reactor.unwatch(ours.fileno())
    theirs.close()
    reactor.poll()
    assert seen == []
    assert reactor.watch(ours.fileno(), lambda: seen.append("again"))
    reactor.poll()
    assert seen == ["again"]


def test_descriptors_that_are_used_again(make_reactor):
    """While other threads close and open sockets, no client is reported as gone by mistake."""
    reactor = make_reactor()
    wrong, rounds = [], 100

    def come_and_go():
        for _ in range(rounds):
            ours, theirs = socket.socketpair()
            told = []
            reactor.watch(ours.fileno(), lambda told=told: told.append(True))
            if told:
                wrong.append(ours.fileno())
            theirs.close()
            reactor.unwatch(ours.fileno())
            ours.close()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []


def test_closed_descriptor(reactor, pair):
    """A descriptor that was closed too early is not reported, and its number works again."""
    ours, theirs = pair
    seen = []
    # A number that nothing else gets meanwhile.
    fd = fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 500)
    ours.close()
    reactor.watch(fd, lambda: seen.append("too early"))
    os.close(fd)
    reactor.unwatch(fd)
    theirs.close()
    reactor.poll()
    assert seen == []
    again, peer = socket.socketpair()
    with again, peer:
        os.dup2(again.fileno(), fd)
        assert reactor.watch(fd, lambda: seen.append("again"))
        reactor.poll()
        assert seen == []
        peer.close()
        reactor.poll()
        assert seen == ["again"]
        os.close(fd)


def test_unwatchable(reactor, tmp_path):
    """What cannot be watched is reported as such."""
    with open(tmp_path / "file", "w") as file:
        assert reactor.watch(file.fileno(), lambda: None) is False
    assert reactor.watch(-1, lambda: None) is False
    assert Reactor(None).watch(0, lambda: None) is False


def test_times():
    """Callbacks are called in order of their times, and again if they ask to."""
    now = [0.0]
    reactor = Reactor(None, lambda: now[0])
    seen = []

    def often(time):
        seen.append(("often", time))
        return time + 2 if time < 4 else None

    reactor.call_at(3, lambda time: seen.append(("once", time)))
    reactor.call_at(1, often)
    assert reactor.poll() == 1
    for time in range(1, 8):
        now[0] = float(time)
        reactor.poll()
    assert seen == [("often", 1), ("once", 3), ("often", 3), ("often", 5)]
    assert reactor.poll() is None


def test_cancel():
    """A cancelled time calls nothing and holds nothing. Idempotent."""
    now = [0.0]
    reactor = Reactor(None, lambda: now[0])
    timer = reactor.call_at(1, lambda time: pytest.fail("called"))
    timer.cancel()
    timer.cancel()
    assert timer.callback is None
    now[0] = 2.0
    assert reactor.poll() is None


def test_failing_callback(pair, caplog):
    """A callback that fails is logged, and the others are called."""
    now = [0.0]
    reactor = Reactor(system_epoll(), lambda: now[0])
    ours, theirs = pair
    seen = []

    def fail(*args):
        raise ValueError("callback")

    reactor.watch(ours.fileno(), fail)
    reactor.call_at(1, fail)
    reactor.call_at(1, lambda time: seen.append(time))
    now[0] = 1.0
    theirs.close()
    reactor.poll()
    reactor.abandon()
    assert seen == [1.0]
    assert len([record for record in caplog.records if record.exc_info]) == 2


def test_only_the_earliest_time_wakes():
    """The driver is woken only if a timer is earlier than all others."""
    woken = []

    class Driven(Reactor):
        def wake(self):
            woken.append(self._heap[0][0])

    reactor = Driven(None, lambda: 0.0)
    for when in (5, 7, 3, 9):
        reactor.call_at(when, lambda time: None)
    assert woken == [5, 3]


def test_no_descriptors_are_left(make_reactor, pair):
    """A reactor costs one epoll and one eventfd, however much is watched."""
    reactor = make_reactor()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        reactor.watch(pair[0].fileno(), lambda: None)
        reactor.unwatch(pair[0].fileno())
        reactor.call_at(0, lambda time: None)
    assert len(os.listdir("/proc/self/fd")) == before


def test_jobs(reactor):
    """A job runs a little in each turn, until it reports that it is done."""
    done, left = [], [3, 1]

    def job(which):
        def work():
            done.append(which)
            left[which] -= 1
            return left[which] > 0

        return work

    reactor.call_soon(job(0))
    reactor.call_soon(job(1))
    reactor.poll(1)
    assert done == [0, 1]
    reactor.poll(1)  # It does not wait: there is more.
    reactor.poll(1)
    assert done == [0, 1, 0, 0]
    began = reactor.clock()
    reactor.poll(0.01)
    assert reactor.clock() - began >= 0.009


def test_job_that_fails(reactor, caplog):
    """It is logged, and the other jobs run."""
    done = []
    reactor.call_soon(lambda: 1 / 0)
    reactor.call_soon(lambda: done.append(1))
    reactor.poll()
    reactor.poll()  # Logging may have taken the whole of the first turn.
    assert done == [1]
    assert "a reactor callback failed" in caplog.text


def test_jobs_from_other_threads(make_reactor):
    """None is forgotten, and the driver sleeps when there are none."""
    reactor, done = make_reactor(), []

    def ask():
        for _ in range(500):
            reactor.call_soon(lambda: done.append(1))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    all_done = threading.Event()
    reactor.call_soon(all_done.set)
    assert all_done.wait(10)
    assert len(done) == 2000


def test_writable(reactor, pair):
    """The callback is called once when something can be written."""
    ours, theirs = pair
    ours.setblocking(False)
    seen = []
    reactor.watch(ours.fileno(), lambda: seen.append("gone"))
    try:
        while True:
            ours.send(b"x" * 65536)
    except BlockingIOError:
        pass
    reactor.watch_writable(ours.fileno(), lambda: seen.append("writable"))
    reactor.poll()
    assert seen == []
    while len(theirs.recv(1 << 20)) == 1 << 20:
        pass
    theirs.setblocking(False)
    try:
        while theirs.recv(1 << 20):
            pass
    except BlockingIOError:
        pass
    reactor.poll()
    reactor.poll()
    assert seen == ["writable"]
    theirs.close()
    reactor.poll()
    assert seen == ["writable", "gone"]


def test_bell_is_heard(monkeypatch):
    """A caller that rings while the bell is being read rings again."""
    reactor = Reactor(system_epoll())
    read, done = os.eventfd_read, []

    def reading(fd):
        # Just before, another thread adds a job; it must not skip ringing if the current
        # ring is about to be consumed.
        reactor.call_soon(lambda: done.append(1) or False)
        return read(fd)

    reactor.call_soon(lambda: False)
    monkeypatch.setattr(os, "eventfd_read", reading)
    reactor.poll(1)
    monkeypatch.setattr(os, "eventfd_read", read)
    assert done == [1]
    reactor.call_soon(lambda: done.append(2) or False)
    reactor.poll(1)
    assert done == [1, 2]
    reactor.abandon()
