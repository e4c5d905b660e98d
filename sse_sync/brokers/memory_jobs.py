"""The job store of a single process."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..exceptions import JobRefused
from .jobs import (
    Hold,
    JobName,
    JobRecord,
    JobTerms,
    Outcome,
    Tick,
    View,
    Written,
    end_of_job,
    told_over,
)
from .messages import Position, Publication

__all__ = ["MemoryJobStore"]


@dataclass
class _Entry:
    record: JobRecord
    terms: JobTerms
    viewed: float
    """When somebody was last known to view it, by the clock."""
    expires: float | None = None
    """Until when it is kept, by the clock; :obj:`None` while it runs."""


class MemoryJobStore:
    """
    Keep jobs in the process.

    Differs from the contract: it never blocks, and has no leases, because it ends with the process.

    Args:
        publish: Publishes, and returns the position.
        position: Returns the position of the latest event.
        drop: Forgets a channel.
        now: Returns the time of day, in seconds.
        clock: Returns monotonic time, in seconds.
    """

    def __init__(
        self,
        publish: Callable[[Publication], Position],
        position: Callable[[], Position],
        drop: Callable[[str], object],
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publish = publish
        self._position = position
        self._drop = drop
        self._now = now
        self._clock = clock
        # Held while output is published, so that nothing comes after the end.
        self._lock = threading.Lock()
        self._jobs: dict[JobName, _Entry] = {}
        # Former runs of jobs that were started again, whose output is still kept.
        self._former: list[_Entry] = []

    def start(
        self,
        name: JobName,
        terms: JobTerms,
        *,
        restart: bool = False,
        take: bool = False,
        limit: int | None = None,
    ) -> tuple[JobRecord, Hold | None]:
        terms = terms._replace(meta=json.loads(json.dumps(terms.meta)))  # As every store has it.
        with self._lock:
            self._forget()
            entry = self._jobs.get(name)
            if entry is not None:
                is_running = entry.record.outcome is None
                if is_running and take:
                    return self._take(entry)
                if is_running or not restart:
                    return entry.record, None
            if limit is not None and self._running(name.user) >= limit:
                raise JobRefused(f"this user has {limit} jobs already")
            if entry is not None:
                self._former.append(entry)
            run = secrets.token_urlsafe(16)
            record = JobRecord(name, run, 1, self._position(), self._now(), terms.meta)
            self._jobs[name] = _Entry(record, terms, self._clock())
            return record, Hold(name, run, 1)

    def write(self, hold: Hold, number: int, bodies: Sequence[bytes]) -> Written:
        with self._lock:
            entry = self._held(hold)
            if entry is None:
                return Written.REFUSED
            record = entry.record
            new = bodies[record.events - number :] if number <= record.events else bodies
            if number > record.events:
                return Written.GAP
            size = record.bytes + sum(map(len, new))
            if size > entry.terms.max_bytes:
                return Written.FULL
            for body in new:
                self._publish(Publication(record.channel, body))
            entry.record = replace(record, events=record.events + len(new), bytes=size)
            return Written.STORED

    def finish(self, hold: Hold, outcome: Outcome, message: str = "") -> bool:
        with self._lock:
            entry = self._held(hold)
            if entry is not None:
                self._end(entry, outcome, message)
            return entry is not None

    def cancel(self, name: JobName, message: str = "") -> bool:
        with self._lock:
            entry = self._jobs.get(name)
            if entry is None or entry.record.outcome is not None:
                return False
            self._end(entry, Outcome.CANCELLED, message)
            return True

    def tick(self, held: Sequence[Hold], viewed: Sequence[View]) -> Tick:
        tick = Tick(set(), set(), set())
        with self._lock:
            self._forget()
            now = self._clock()
            former = {entry.record.run for entry in self._former}
            for name, run in viewed:
                entry = self._jobs.get(name)
                if entry is not None and entry.record.run == run:
                    entry.viewed = now
                elif run not in former:
                    tick.forgotten.add(run)
            for hold in held:
                entry = self._held(hold)
                if entry is None:
                    tick.gone.add(hold.run)
                    continue
                patience = entry.terms.stop_when_alone
                if patience is not None and now - entry.viewed > patience:
                    tick.alone.add(hold.run)
        return tick

    def get(self, name: JobName) -> JobRecord | None:
        with self._lock:
            self._forget()
            entry = self._jobs.get(name)
            return None if entry is None else entry.record

    def find(self, user: str | None = None) -> list[JobRecord]:
        with self._lock:
            self._forget()
            records = [entry.record for entry in self._jobs.values()]
        return [record for record in records if user is None or record.name.user == user]

    def _take(self, entry: _Entry) -> tuple[JobRecord, Hold]:
        record = entry.record = replace(entry.record, fence=entry.record.fence + 1)
        self._publish(told_over(record.run))
        return record, Hold(record.name, record.run, record.fence)

    def _held(self, hold: Hold) -> _Entry | None:
        entry = self._jobs.get(hold.name)
        if entry is None or entry.record.outcome is not None:
            return None
        held = entry.record.run, entry.record.fence
        return entry if held == (hold.run, hold.fence) else None

    def _end(self, entry: _Entry, outcome: Outcome, message: str) -> None:
        record = entry.record
        ends = self._publish(end_of_job(record.channel, outcome, message))
        entry.record = replace(
            record, outcome=outcome, message=message, ends=ends, ended=self._now()
        )
        entry.expires = self._clock() + entry.terms.keep_for
        self._publish(told_over(record.run))

    def _running(self, user: str) -> int:
        entries = self._jobs.values()
        return sum(e.record.name.user == user and e.record.outcome is None for e in entries)

    def _forget(self) -> None:
        now = self._clock()
        over = [name for name, entry in self._jobs.items() if _is_over(entry, now)]
        former = [entry for entry in self._former if _is_over(entry, now)]
        for entry in [*map(self._jobs.pop, over), *former]:
            self._drop(entry.record.channel)
        if former:
            self._former = [entry for entry in self._former if not _is_over(entry, now)]


def _is_over(entry: _Entry, now: float) -> bool:
    return entry.expires is not None and entry.expires <= now
