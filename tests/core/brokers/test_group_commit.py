"""Writing together."""

import threading

import gevent
import gevent.queue
import pytest

from sse_sync.brokers.redis.group_commit import GroupCommit
from sse_sync.exceptions import BrokerClosed, BrokerUnavailable
from tests.waiting import wait_for

DEADLINE = 10


class Store:
    """Writes when it is told."""

    def __init__(self):
        self.groups = []
        self.errors = []
        self.may_write = threading.Semaphore(0)

    def __call__(self, items):
        self.groups.append(list(items))
        assert self.may_write.acquire(timeout=DEADLINE)
        if self.errors:
            raise self.errors.pop(0)
        return [item * 10 for item in items]


class Writers:
    """Threads that write an item each, in turn."""

    def __init__(self, commits):
        self.commits = commits
        self.threads = []
        self.answers = {}

    def write(self, *items):
        for item in items:
            queued = len(self.commits._queue)
            is_first = not self.commits._is_busy
            self.threads.append(threading.Thread(target=self._write, args=(item,)))
            self.threads[-1].start()
            wait_for(
                lambda was=queued + (not is_first): len(self.commits._queue) == was, "the queue"
            )
            wait_for(lambda: self.commits._is_busy, "the first writer")

    def _write(self, item):
        try:
            self.answers[item] = self.commits.write(item)
        except Exception as exc:
            self.answers[item] = exc

    def join(self):
        for thread in self.threads:
            thread.join(DEADLINE)
        return self.answers


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def commits(threads, store):
    return GroupCommit(store, 4)


@pytest.fixture
def writers(commits):
    writers = Writers(commits)
    yield writers
    writers.join()


def test_alone(store, commits):
    """Whoever finds nothing under way writes at once, and alone."""
    store.may_write.release(2)
    assert [commits.write(1), commits.write(2)] == [10, 20]
    assert store.groups == [[1], [2]]


def test_together(store, writers):
    """Who comes meanwhile is written together next, in order, and as many as may be."""
    writers.write(1, 2, 3, 4, 5, 6, 7)
    store.may_write.release(3)
    assert writers.join() == {item: item * 10 for item in range(1, 8)}
    assert store.groups == [[1], [2, 3, 4, 5], [6, 7]]


@pytest.mark.parametrize("error", [BrokerUnavailable("redis://x", "is away"), BrokerClosed()])
def test_error(store, writers, error):
    """When the broker is away, everybody who waits is told, each with an error of its own."""
    store.errors.append(error)
    writers.write(1, 2, 3)
    store.may_write.release()
    errors = list(writers.join().values())
    assert [str(each) for each in errors] == [str(error)] * 3
    assert {type(each) for each in errors} == {type(error)}
    assert len(set(map(id, errors))) == 3
    assert store.groups == [[1]]
    store.may_write.release()
    assert writers.commits.write(4) == 40


def test_unusable_item(store, writers):
    """An error that is no broker's is that of whoever led, and the others are written again."""
    writers.write(1, 2, 3, 4)
    store.may_write.release()
    wait_for(lambda: len(store.groups), "the second group", equals=2)
    store.errors.append(ValueError("unusable"))
    store.may_write.release(2)
    answers = writers.join()
    assert str(answers.pop(2)) == "unusable"
    assert answers == {1: 10, 3: 30, 4: 40}
    assert store.groups == [[1], [2, 3, 4], [3, 4]]


class TestGreenlets:
    """The same in greenlets, which can be killed at any time."""

    @pytest.fixture
    def turns(self):
        return gevent.queue.Queue()

    @pytest.fixture
    def groups(self):
        return []

    @pytest.fixture
    def start(self, turns, groups):
        """Start a greenlet that writes an item."""

        def write(items):
            groups.append(list(items))
            turns.get(timeout=DEADLINE)()
            return [item * 10 for item in items]

        commits = GroupCommit(write, 4)

        def start(item):
            greenlet = gevent.spawn(commits.write, item)
            gevent.idle()
            return greenlet

        return start

    def test_together(self, start, turns, groups):
        """Greenlets are written together, too."""
        greenlets = [start(item) for item in (1, 2, 3)]
        turns.put(list)
        turns.put(list)
        assert [each.get(timeout=DEADLINE) for each in greenlets] == [10, 20, 30]
        assert groups == [[1], [2, 3]]

    def test_killed_while_it_waits(self, start, turns, groups):
        """What a killed greenlet would have written is left out."""
        one, two, three = (start(item) for item in (1, 2, 3))
        two.kill()
        turns.put(list)
        turns.put(list)
        assert [each.get(timeout=DEADLINE) for each in (one, three)] == [10, 30]
        assert groups == [[1], [3]]

    def test_killed_while_it_leads(self, start, turns, groups):
        """The others are written by the next of them."""
        one, two, three, four = (start(item) for item in (1, 2, 3, 4))
        turns.put(list)
        assert one.get(timeout=DEADLINE) == 10
        gevent.idle()
        assert groups == [[1], [2, 3, 4]]
        two.kill()
        turns.put(list)
        assert [each.get(timeout=DEADLINE) for each in (three, four)] == [30, 40]
        assert groups[2:] == [[3, 4]]

    def test_killed_when_it_is_to_lead(self, start, turns, groups):
        """A greenlet that is killed when its turn comes passes it on."""
        one, two, three = (start(item) for item in (1, 2, 3))
        turns.put(lambda: two.kill(block=False))
        turns.put(list)
        assert [each.get(timeout=DEADLINE) for each in (one, three)] == [10, 30]
        assert groups == [[1], [3]]
