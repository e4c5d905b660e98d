"""The runtime of gevent. In separate processes, because patching cannot be undone."""

import subprocess
import sys
import textwrap

import pytest

PATCHED = "from gevent import monkey; monkey.patch_all()\n"
COMMON = """
import gevent, socket, sys, threading, time
from sse_sync import runtime
from sse_sync.runtime.greenlets import GreenletSignal, StreamInterrupt

def in_greenlet(function):
    greenlet = gevent.spawn(function)
    greenlet.get(timeout=10)
"""


def run(code, patched=True):
    """Run code in a fresh process; whatever it asserts must hold."""
    source = (PATCHED if patched else "") + COMMON + textwrap.dedent(code) + "\nprint('reached')\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("reached")
    return done.stdout


def test_where_gevent_is_home():
    """Greenlets of a hub are gevent's, plain threads are not."""
    run(
        """
        assert runtime.current().name == "threads"
        def inside():
            assert runtime.current().name == "gevent"
            assert runtime.current() is runtime.current()
        in_greenlet(inside)
        assert runtime.current().name == "threads"
        """,
        patched=False,
    )
    run(
        """
        assert runtime.current().name == "gevent"
        first = runtime.current()
        def inside():
            assert runtime.current() is first
        in_greenlet(inside)
        """
    )


@pytest.mark.parametrize("patched", [True, False])
def test_signals(patched):
    """A signal is not lost, wakes from the hub, from a greenlet and from another thread."""
    run(
        """
        def inside():
            world = runtime.current()
            signal = world.signal()
            signal.set(); signal.set()
            signal.wait()
            for set_later in (
                lambda: gevent.spawn(signal.set),
                lambda: world.reactor.call_at(0, lambda now: signal.set()),
                lambda: gevent.get_hub().threadpool.spawn(signal.set),
            ):
                set_later()
                with gevent.Timeout(10):
                    signal.wait()
            with gevent.Timeout(0.05, False):
                signal.wait()
                raise AssertionError("the signal was set twice")
        in_greenlet(inside)
        """,
        patched,
    )


def test_killed_waiter():
    """A wake-up for a killed waiter wakes nobody else."""
    run(
        """
        def inside():
            world = runtime.current()
            signal, seen = world.signal(), []
            def wait():
                try:
                    signal.wait()
                except gevent.GreenletExit:
                    gevent.sleep(0.05)
                    seen.append("slept in peace")
                    raise
            waiter = gevent.spawn(wait)
            gevent.sleep(0)
            waiter.kill(block=False)
            signal.set()
            waiter.join(10)
            assert seen == ["slept in peace"], seen
        in_greenlet(inside)
        """
    )


def test_hand_over_is_fair():
    """Two greenlets that switch to each other leave turns to others."""
    run(
        """
        def inside():
            world = runtime.current()
            ping, pong, turns, other = world.signal(), world.signal(), [], []
            def echo():
                ping.wait()
                while True:
                    turns.append(1)
                    pong.set_and_wait(ping)
            def bystander():
                while True:
                    other.append(1)
                    gevent.sleep(0)
            echoing, standing = gevent.spawn(echo), gevent.spawn(bystander)
            gevent.sleep(0)
            for _ in range(800):
                ping.set_and_wait(pong)
            assert len(turns) == 800
            assert len(other) >= 50, len(other)
            gevent.killall([echoing, standing])
        in_greenlet(inside)
        """
    )


def test_interrupt():
    """A blocked task is interrupted, unless it has moved on; no error is printed."""
    run(
        """
        def inside():
            world = runtime.current()
            seen = []
            def blocked():
                try:
                    time.sleep(60)
                except StreamInterrupt:
                    seen.append("interrupted")
            task = world.spawn(blocked, "name")
            gevent.sleep(0.01)
            task.interrupt(lambda: False)
            gevent.sleep(0.01)
            assert seen == []
            task.interrupt(lambda: True)
            while not seen:
                gevent.sleep(0.01)
            assert seen == ["interrupted"]
            assert issubclass(StreamInterrupt, gevent.GreenletExit)
            assert not issubclass(StreamInterrupt, Exception)
        in_greenlet(inside)
        """
    )


def test_interrupt_from_a_thread():
    """A task can be interrupted from a native thread."""
    run(
        """
        def inside():
            world = runtime.current()
            seen = []
            def blocked():
                try:
                    time.sleep(60)
                finally:
                    seen.append("interrupted")
            task = world.spawn(blocked, "name")
            gevent.sleep(0.01)
            gevent.get_hub().threadpool.spawn(task.interrupt, lambda: True).get(timeout=10)
            while not seen:
                gevent.sleep(0.01)
            assert seen == ["interrupted"]
        in_greenlet(inside)
        """
    )


@pytest.mark.parametrize("patched", [True, False])
@pytest.mark.parametrize("loop", ["libev-cext", "libuv-cffi"])
def test_reactor(monkeypatch, patched, loop):
    """Sockets and times are noticed by the hub, on both of gevent's loops."""
    monkeypatch.setenv("GEVENT_LOOP", loop)
    run(
        """
        def inside():
            world = runtime.current()
            signal = world.signal()
            ours, theirs = socket.socketpair()
            assert world.reactor.watch(ours.fileno(), signal.set)
            theirs.close()
            with gevent.Timeout(10):
                signal.wait()
            world.reactor.call_at(world.reactor.clock() + 3600, lambda now: None)
            times = []
            def again(now):
                times.append(now)
                signal.set()
                return now + 0.01 if len(times) < 3 else None
            world.reactor.call_at(world.reactor.clock() + 0.01, again)
            while len(times) < 3:
                with gevent.Timeout(10):
                    signal.wait()
            world.reactor.unwatch(ours.fileno())
            ours.close()
        in_greenlet(inside)
        """,
        patched,
    )


def test_hub_of_another_thread():
    """Each thread's hub has a runtime of its own."""
    run(
        """
        mine = runtime.current()
        from gevent.threadpool import ThreadPool
        def elsewhere():
            gevent.sleep(0)
            return runtime.current()
        other = ThreadPool(1).spawn(elsewhere).get(timeout=10)
        assert other is not mine
        assert other.name == "gevent"
        """
    )


def test_runtimes_of_hubs_that_take_turns():
    """A process with two hubs has two runtimes, however often they alternate."""
    run(
        """
        import os
        from gevent.threadpool import ThreadPool
        mine = runtime.current()
        pool = ThreadPool(1)
        def elsewhere():
            gevent.sleep(0)
            return runtime.current()
        other = pool.spawn(elsewhere).get(timeout=10)
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            assert runtime.current() is mine
            assert pool.spawn(elsewhere).get(timeout=10) is other
        assert len(os.listdir("/proc/self/fd")) == descriptors
        """
    )


def test_log_handler_that_waits():
    """A log handler that waits does not stop the reactor."""
    run(
        """
        import logging
        class Slow(logging.Handler):
            def emit(self, record):
                gevent.sleep(0.02)
        logging.getLogger("sse_sync").addHandler(Slow())
        reactor = runtime.current().reactor
        seen = []
        def fail(now):
            seen.append(now)
            raise ValueError
        for _ in range(3):
            reactor.call_at(0, fail)
            gevent.sleep(0.01)
        reactor.call_at(0, seen.append)
        with gevent.Timeout(10):
            while len(seen) < 4:
                gevent.sleep(0.01)
        """
    )


def test_fork():
    """A child does not take over its parent's sockets."""
    run(
        """
        import os
        reactor = runtime.current().reactor
        ours, theirs = socket.socketpair()
        told = []
        reactor.watch(ours.fileno(), lambda: told.append(True))
        pid = os.fork()
        if not pid:
            theirs.close()
            gevent.sleep(0.1)
            os._exit(0 if not told else 1)
        time_out = gevent.Timeout(10)
        with time_out:
            while True:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    break
                gevent.sleep(0.01)
        assert status == 0
        theirs.close()
        with gevent.Timeout(10):
            while not told:
                gevent.sleep(0.01)
        assert told == [True]
        """
    )


def test_spawn_from_another_thread():
    """The function runs in the hub whose runtime it is, not in one that nobody runs."""
    run(
        """
        from sse_sync.runtime.background import BackgroundTask
        where = []
        def work():
            where.append(gevent.get_hub())
        home = runtime.current()
        task = BackgroundTask(work, "test")
        task.live_in(home)
        gevent.get_hub().threadpool.apply(task.wake)
        with gevent.Timeout(10):
            while not where:
                gevent.sleep(0.01)
        assert where == [gevent.get_hub()], where
        """
    )
