"""
The jobs of one process and broker: start, find, cancel, watch.

Theory of operation. The store decides who runs a job, and each job's output is a channel, so its
viewers are ordinary subscribers. What is left for the process: it runs the jobs that it holds,
renews their leases every few seconds together, and hears on one control channel that one of them is
over. A process whose clients view jobs ticks, too, so that somebody notices when a holder dies, or
when the output is no longer there and its end will never come. So does one that has just heard of a
running job.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from weakref import WeakSet

from .. import runtime as _runtime
from ..brokers.base import Message
from ..brokers.jobs import (
    CONTROL,
    LEASE,
    Hold,
    JobName,
    JobRecord,
    JobStore,
    Outcome,
    Tick,
    View,
    end_of_job,
    job_channel,
)
from ..channels.hub import Hub
from ..channels.users import check_reason
from ..exceptions import BrokerClosed, BrokerUnavailable, JobRefused
from ..feed import Encode
from ..runtime.background import BackgroundTask
from ..runtime.process import monotonic, native_lock
from ..streams.source import Source, discard, iterate
from .encoding import checked
from .options import JobOptions, OnFinish, terms_of
from .runner import GONE, Ending, Holder, JobRunner, Work
from .status import JobStatus, ended_run

__all__ = ["Jobs", "grace", "interrupt_all", "jobs_of", "running"]

logger = logging.getLogger("sse_sync")

# Seconds between two ticks, so that three may fail before a lease is over.
TICK = LEASE / 4

# Ticks for which a viewer's stream may take to begin, as in a busy process; and in which it is
# certain that a dead holder is noticed.
PATIENCE = 12


class Jobs:
    """
    The jobs of one process and broker. Made by :func:`jobs_of`.

    Its methods may be called from any thread or greenlet.

    Args:
        hub: The process's hub.
        store: The broker's job store.
    """

    clients = 0
    """As a subscriber of the control channel, it stands for no client."""

    def __init__(self, hub: Hub, store: JobStore) -> None:
        self.hub = hub
        """The process's hub."""
        self.store = store
        """The broker's job store."""
        self.grace = 0.0
        """Seconds that a stopping worker lets the jobs go on."""
        self._lock = native_lock()
        self._holders: dict[str, Holder] = {}
        self._starting = 0
        self._on_finish: dict[str, tuple[OnFinish, JobRecord]] = {}
        # What clients of this process view, by channel, and how many ticks found nobody.
        self._viewed: dict[str, tuple[View, int]] = {}
        self._ticking = BackgroundTask(self._tick, "sse-sync jobs")
        # Ticks that are wanted though no job is held or viewed.
        self._attentive = 0
        # When the next tick is due, and whether there are news that cannot wait until then.
        self._due, self._has_news = 0.0, False
        self._is_listening = False
        self._is_closed = False
        _all.add(self)

    @property
    def running(self) -> int:
        """How many jobs this process runs."""
        return len(self._holders)

    def start(
        self,
        name: JobName,
        source: Source,
        encode: Encode,
        options: JobOptions,
        *,
        max_jobs: int | None = None,
        max_per_user: int | None = None,
    ) -> tuple[JobRecord, bool]:
        """
        Run a source as a job, unless the job exists.

        Args:
            name: What the job is called.
            source: A generator or other iterable, asynchronous or not. If the job exists, none of
                its code runs.
            encode: Encodes what it yields.
            options: See :class:`JobOptions`.
            max_jobs: How many this process may run; :obj:`None` for any number.
            max_per_user: How many of the user may run, in all processes.

        Returns:
            The job, and whether it was started now.

        Raises:
            SourceError: If the source is not an iterable of events.
            ConfigurationError: If an option is unusable.
            JobRefused: If there are too many jobs.
            BrokerUnavailable: If the broker cannot be asked now. The job is not running then.
        """
        terms, max_seconds = terms_of(options)
        iterator, restart = iterate(source), bool(options.get("restart"))
        with self._room(max_jobs) as has_room:
            try:
                if has_room:
                    record, hold = self.store.start(
                        name, terms, restart=restart, limit=max_per_user
                    )
                    self._attend(hold is None and record.outcome is None)
                else:
                    found, hold = self.store.get(name), None
                    if found is None or (restart and found.outcome is not None):
                        raise JobRefused(f"this process runs {max_jobs} jobs already")
                    record = found
            except BaseException as exc:
                self._attend(isinstance(exc, JobRefused))
                discard(iterator)
                raise
            if hold is None:
                discard(iterator)
                return record, False
            if (on_finish := options.get("on_finish")) is not None:
                self._on_finish[hold.run] = on_finish, record
            self._run(hold, iterator, encode, max_seconds)
            return record, True

    @contextmanager
    def _room(self, most: int | None) -> Iterator[bool]:
        # Whether there is room for one more. It counts while the broker is asked.
        with self._lock:
            has_room = most is None or self.running + self._starting < most
            self._starting += has_room
        try:
            yield has_room
        finally:
            with self._lock:
                self._starting -= has_room

    def get(self, name: JobName) -> JobRecord | None:
        """Return a job, or :obj:`None` if there is none. See :meth:`.JobStore.get`."""
        record = self.store.get(name)
        self._attend(record is not None and record.outcome is None)
        return record

    def find(self, user: str | None = None) -> list[JobStatus]:
        """
        Return the jobs whose output is kept, the latest first.

        Args:
            user: Key of the user whose jobs; :obj:`None` for everybody's.
        """
        found = sorted(self.store.find(user), key=lambda record: record.started, reverse=True)
        self._attend(any(record.outcome is None for record in found))
        return [JobStatus.of(record) for record in found]

    def cancel(self, name: JobName, reason: str = "") -> bool:
        """
        End a job, wherever it runs.

        Its viewers are told at once. Its source is interrupted where it blocks, under gevent, or
        ends at its next step, in a thread; in both cases its ``finally`` runs.

        Args:
            name: Which job.
            reason: Text for its viewers.

        Returns:
            Whether this ended it; False if it is over already, or there is none.

        Raises:
            ConfigurationError: If the reason is not text of at most 4 KiB.
            BrokerUnavailable: If the broker cannot be reached now.
        """
        check_reason(reason)
        return self.store.cancel(name, reason)

    def watch(self, record: JobRecord) -> None:
        """Record that a client of this process is about to view a job. It never blocks."""
        with self._lock:
            self._viewed[record.channel] = View(record.name, record.run), 0
        self._ticking.wake()

    def interrupt_all(self, message: str) -> None:
        """End the jobs of this process as lost. It never blocks."""
        for holder in list(self._holders.values()):
            holder.stop(Ending(Outcome.LOST, message))

    def close(self) -> None:
        """End what this process does with jobs: those that it runs are lost. It never blocks."""
        self._is_closed = True
        for holder in list(self._holders.values()):
            holder.stop(Ending(Outcome.LOST, "the hub was closed", is_told=True))
        self._ticking.wake()

    def hold(self, holder: Holder) -> None:
        """Renew the lease of a job from now on, and stop its holder when it is over."""
        self._holders[holder.hold.run] = holder
        self._listen()
        self._ticking.live_in(_runtime.current())
        self._ticking.wake()

    def release(self, hold: Hold) -> None:
        """Forget a job that has ended."""
        self._holders.pop(hold.run, None)
        self._ticking.wake()

    def _run(
        self,
        hold: Hold,
        source: Iterator[Any] | AsyncIterator[Any],
        encode: Encode,
        max_seconds: float | None,
    ) -> None:
        work = Work(source, checked(encode), self.hub.within, max_seconds)
        runner = JobRunner(hold, work, self.store, self._ended)
        try:
            self.hold(runner)
            runner.start()
        except BaseException:
            # For example, no more threads.
            self._on_finish.pop(hold.run, None)
            self.release(hold)
            self.store.finish(hold, Outcome.FAILED, "it could not be started")
            discard(source)
            raise

    def _ended(self, runner: JobRunner) -> None:
        wanted = self._on_finish.pop(runner.hold.run, None)
        try:
            if wanted is not None:
                self._tell(*wanted, runner)
        except BaseException as exc:
            # Not even sys.exit() gets through: from here it would end the process under gevent.
            if _runtime.is_exit(exc) and not isinstance(exc, SystemExit):
                raise
            logger.exception("on_finish of the job %r failed", runner.hold.name.key)
        finally:
            self.release(runner.hold)  # Last, because a stopping worker waits for it.

    def _tell(self, on_finish: OnFinish, started: JobRecord, runner: JobRunner) -> None:
        found = runner.ask(lambda: self.store.get(started.name))
        if found is None or found.run != started.run:
            known = replace(started, events=runner.events, bytes=runner.bytes)
            found = runner.ask(lambda: ended_run(self.hub, known))
        if found is None or found.outcome is None:
            return  # Another process goes on with it.
        status = JobStatus.of(found)
        self.hub.call(lambda: on_finish(status))

    # In the background.

    def _tick(self) -> float | None:
        if self._is_closed or not (self._holders or self._viewed or self._attentive):
            self._stop_listening()
            return None
        early = self._due - monotonic()
        if early > 0 and not self._has_news:
            return early  # Whatever has begun since is looked at together.
        self._due, self._has_news = monotonic() + TICK, False
        self._attentive = max(0, self._attentive - 1)
        held, viewed = [holder.hold for holder in list(self._holders.values())], self._views()
        if held:
            self._listen()
        try:
            self._learn(self.store.tick(held, viewed))
        except BrokerUnavailable:
            pass  # No lease ends before somebody can renew it.
        return TICK

    def _views(self) -> list[View]:
        has_subscribers = self.hub.dispatcher.has_subscribers
        with self._lock:
            for channel, (view, missed) in list(self._viewed.items()):
                missed = 0 if has_subscribers(channel) else missed + 1
                self._viewed[channel] = view, missed
                if missed > PATIENCE:
                    del self._viewed[channel]
            # Whoever has just opened a stream may not have subscribed yet.
            return [view for view, missed in self._viewed.values() if missed <= 1]

    def _learn(self, tick: Tick) -> None:
        for run in tick.gone:
            self._stop(run, GONE)
        for run in tick.alone:
            self._stop(run, Ending(Outcome.CANCELLED, "nobody was watching"))
        if tick.forgotten:
            self._forget(tick.forgotten)

    def _forget(self, runs: set[str]) -> None:
        # Told here, and again at the next tick to whoever has just begun: the store has no channel
        # any more in which it could be told to all.
        here = self.hub.position()
        for run in runs:
            end = end_of_job(job_channel(run), Outcome.LOST, "its output is no longer kept")
            after = here._replace(number=here.number + 1)
            self.hub.dispatcher.deliver(
                Message(end.channel, after, end.body, end.event, meta=end.meta, kept=False)
            )

    def _stop(self, run: str, ending: Ending) -> None:
        holder = self._holders.get(run)
        if holder is not None:
            holder.stop(ending)

    def _attend(self, is_running: bool) -> None:
        # Its holder may be dead, and nobody else may be looking.
        if is_running:
            self._attentive = PATIENCE
            self._ticking.wake()

    def _ask(self) -> None:
        self._has_news = True
        self._ticking.wake()

    def _listen(self) -> None:
        if self._is_listening:
            return
        try:
            self.hub.dispatcher.add(self, (CONTROL,))
            self._is_listening = True
        except (BrokerUnavailable, BrokerClosed):
            pass  # The next tick tries again, and learns what was missed.

    def _stop_listening(self) -> None:
        self._is_listening = False
        self.hub.dispatcher.remove(self, (CONTROL,))

    # What the dispatcher calls.

    def put(self, message: Message) -> None:
        holder = self._holders.get((message.meta or {}).get("run", ""))
        if holder is not None and not holder.is_ending:
            self._ask()  # It may be over, or have another holder: the store knows.

    def interrupted(self) -> None:
        self._is_listening = False
        self._ask()

    def degraded(self, problem: str | None) -> None:
        """The jobs wait."""


_all: WeakSet[Jobs] = WeakSet()


def jobs_of(hub: Hub) -> Jobs:
    """Return the jobs of a hub, which begin anew in a fork."""
    found = hub.parts.get(Jobs)
    if found is None:
        found = hub.parts.setdefault(Jobs, Jobs(hub, hub.broker.jobs))
    assert isinstance(found, Jobs)
    return found


def running() -> int:
    """Return how many jobs this process runs."""
    return sum(jobs.running for jobs in list(_all))


def grace() -> float:
    """Return for how many seconds a stopping worker lets the jobs of this process go on."""
    return max((jobs.grace for jobs in list(_all) if jobs.running), default=0.0)


def interrupt_all(message: str) -> None:
    """End all jobs of this process as lost. It never blocks."""
    for jobs in list(_all):
        jobs.interrupt_all(message)
