"""What a job is called, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..brokers.jobs import JobName, JobRecord, Outcome
from ..channels.hub import Hub
from ..channels.presence import user_key
from ..exceptions import ConfigurationError

__all__ = ["JobStatus", "ended_run", "is_key", "job_name"]


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What is known of a job at one moment."""

    key: str
    """Its key."""
    user: str | None
    """Key of the user whose it is; :obj:`None` if it is nobody's."""
    state: str
    """``running``, ``finished``, ``failed``, ``cancelled`` or ``lost``."""
    message: str
    """Why it has ended, as its viewers are told."""
    started: float
    """When it started, in seconds since 1970."""
    ended: float | None
    """When it ended; :obj:`None` while it runs."""
    events: int
    """Events of its output, so far."""
    bytes: int
    """Bytes of these."""
    meta: Any
    """The ``meta`` it was started with."""

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self.ended is None

    @classmethod
    def of(cls, record: JobRecord) -> JobStatus:
        """Return the status of a job that a store knows."""
        outcome = record.outcome
        return cls(
            key=record.name.key,
            user=record.name.user or None,
            state="running" if outcome is None else outcome.value,
            message=record.message,
            started=record.started,
            ended=record.ended,
            events=record.events,
            bytes=record.bytes,
            meta=record.meta,
        )


def ended_run(hub: Hub, record: JobRecord) -> JobRecord | None:
    """
    Return how a run has ended whose job has begun anew, as its output says; :obj:`None` if that is
    no longer kept.

    Args:
        hub: The process's hub.
        record: What was known of it.

    Raises:
        BrokerUnavailable: If the broker cannot be asked now.
    """
    begins, floors = hub.beginning([record.channel], 1)
    for message in hub.history([record.channel], begins, floors=floors).messages:
        if message.end is not None and message.meta is not None:
            outcome, why = Outcome(message.meta["outcome"]), message.meta["message"]
            ends, ended = message.position, message.position.number / 1e6
            return replace(record, outcome=outcome, message=why, ends=ends, ended=ended)
    return None


def job_name(key: object, user: Any) -> JobName:
    """
    Return the name of a job, from the arguments of the fronts' functions.

    Args:
        key: The application's key.
        user: Text, a number or a UUID; :obj:`None` for a job of nobody.

    Raises:
        ConfigurationError: If one is unusable.
    """
    if not is_key(key):
        raise _no_key(key)
    assert isinstance(key, str)
    return JobName(key, "" if user is None else user_key(user))


def is_key(key: object) -> bool:
    """
    Return whether a job can be called so. Requests ask for others, too: those do not exist.

    Raises:
        ConfigurationError: If it is no text, which is the application's mistake.
    """
    if not isinstance(key, str):
        raise _no_key(key)
    return 0 < len(key) <= 200 and key.isprintable()


def _no_key(key: object) -> ConfigurationError:
    return ConfigurationError("key", f"must be text of 1 to 200 printable characters, not {key!r}")
