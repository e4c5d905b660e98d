"""What gevent's patching replaces in a process, and what a fork renews."""

import select
import sys
import threading
import types

import pytest

from sse_sync.runtime import process
from sse_sync.runtime.process import native_lock, system_epoll
from tests.core.children import in_child


@pytest.fixture
def patch(monkeypatch):
    """Patch the standard library as gevent does: it deletes or replaces, and keeps the original."""

    def patch(**saved):
        fake = types.SimpleNamespace(saved=saved)
        monkeypatch.setitem(sys.modules, "gevent.monkey", fake)

    monkeypatch.delitem(sys.modules, "gevent.monkey", raising=False)
    return patch


def test_native_lock(patch):
    """A finalizer in the same thread may take it again; another thread may not."""
    lock, others = native_lock(), []
    with lock, lock:
        thread = threading.Thread(target=lambda: others.append(lock.acquire(blocking=False)))
        thread.start()
        thread.join()
    assert others == [False]


def test_native_lock_after_patching(patch, monkeypatch):
    """The lock is the system's, also where gevent's is in its place."""
    patch(threading={"_CRLock": type(threading.RLock())})
    monkeypatch.setattr(threading, "RLock", lambda: pytest.fail("gevent's lock was taken"))
    lock = native_lock()
    with lock, lock:
        pass


def test_native_lock_of_patched_modules_without_it(patch):
    """If gevent has kept no such lock, it has not replaced it either."""
    patch(threading={})
    with native_lock():
        pass


def test_system_epoll_after_patching(patch, monkeypatch):
    """gevent deletes select.epoll, and keeps it."""
    original = system_epoll()
    assert original is select.epoll
    monkeypatch.delattr(select, "epoll")
    assert system_epoll() is None
    patch(select={"epoll": original})
    assert system_epoll() is original


def test_after_fork(monkeypatch):
    """Functions are called in a child, in order, even after one has failed; not in the parent."""
    monkeypatch.setattr(process, "_after_fork", [])
    called = []
    process.after_fork(lambda: called.append("one"))
    process.after_fork(lambda: 1 / 0)
    process.after_fork(lambda: called.append("two"))
    assert in_child(lambda: " ".join(called)) == "one two"
    assert called == []
