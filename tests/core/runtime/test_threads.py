"""The runtime of threads."""

import os
import socket
import threading

from sse_sync import runtime
from sse_sync.runtime.threads import ThreadReactor, ThreadRuntime, ThreadSignal
from tests.core.children import in_child

DEADLINE = 10


def test_signal_is_not_lost():
    """A signal that is set before the wait ends it at once, and counts once."""
    signal = ThreadSignal()
    signal.set()
    signal.set()
    signal.wait()
    waiting = threading.Thread(target=signal.wait, daemon=True)
    waiting.start()
    assert waiting.is_alive()
    signal.set()
    waiting.join(DEADLINE)
    assert not waiting.is_alive()


def test_hand_over():
    """Two threads take turns."""
    ping, pong, seen = ThreadSignal(), ThreadSignal(), []

    def other():
        ping.wait()
        for _ in range(3):
            seen.append("other")
            pong.set_and_wait(ping)

    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    for _ in range(3):
        seen.append("main")
        ping.set_and_wait(pong)
    ping.set()
    thread.join(DEADLINE)
    assert seen == ["main", "other"] * 3


def test_spawn_and_interrupt():
    """A spawned thread runs, does not keep the process alive, and is not interrupted."""
    world = ThreadRuntime()
    done, threads = threading.Event(), []

    def function():
        threads.append(threading.current_thread())
        done.set()

    task = world.spawn(function, "a name")
    assert done.wait(DEADLINE)
    assert (threads[0].name, threads[0].daemon) == ("a name", True)
    task.interrupt(lambda: True)


def test_reactor_thread(make_reactor):
    """Sockets and times are noticed by a daemon thread, however long the first wait was."""
    reactor = make_reactor()
    far, near, gone = threading.Event(), threading.Event(), threading.Event()
    reactor.call_at(reactor.clock() + 3600, lambda now: far.set())
    reactor.call_at(reactor.clock() + 0.01, lambda now: near.set())
    assert near.wait(DEADLINE)
    ours, theirs = socket.socketpair()
    with ours:
        assert reactor.watch(ours.fileno(), gone.set)
        theirs.close()
        assert gone.wait(DEADLINE)
    assert not far.is_set()


def test_failing_log_handler_does_not_end_the_thread(make_reactor, monkeypatch):
    """Whatever fails in the reactor's thread, the next disconnect is noticed."""

    def fail(*args, **kwargs):
        raise ValueError("handler")

    monkeypatch.setattr("sse_sync.runtime.reactor.logger.error", fail)
    reactor = make_reactor()
    reactor.call_at(0, fail)
    due = threading.Event()
    reactor.call_at(reactor.clock() + 0.01, lambda now: due.set())
    assert due.wait(DEADLINE)


def test_abandoned_reactor():
    """A child releases what it inherited."""
    before = len(os.listdir("/proc/self/fd"))
    reactor = ThreadReactor()
    reactor.abandon()
    assert len(os.listdir("/proc/self/fd")) == before


def test_reactor_thread_without_epoll(make_reactor, monkeypatch):
    """Timers work without epoll."""
    monkeypatch.setattr("sse_sync.runtime.threads.system_epoll", lambda: None)
    reactor = make_reactor()
    due = threading.Event()
    reactor.call_at(reactor.clock() + 3600, lambda now: None)
    reactor.call_at(reactor.clock() + 0.01, lambda now: due.set())
    assert due.wait(DEADLINE)
    assert reactor.watch(0, lambda: None) is False


def test_current_is_made_once():
    """A process has one runtime, and a fork starts without it."""
    world = runtime.current()
    assert isinstance(world, ThreadRuntime)
    assert runtime.current() is world
    assert in_child(lambda: "old" if runtime.current() is world else "new") == "new"
    world.reactor.abandon()
