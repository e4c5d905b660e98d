"""What an application says of a job when it starts it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypedDict

from ..brokers.jobs import JobTerms
from ..exceptions import ConfigurationError
from ..validation import is_number, is_whole
from .status import JobStatus

__all__ = ["JobOptions", "OnFinish", "terms_of"]

# Seconds.
MAX_SECONDS = 30 * 86400.0

OnFinish = Callable[[JobStatus], object]
"""Takes the status of a job that has ended. Called in an application context, in the process that
ran it; if that was killed, nobody calls it."""


class JobOptions(TypedDict, total=False):
    """Keywords of the fronts' ``start()``."""

    restart: bool
    """Whether to begin anew if the job has ended, and its output is still kept. A running job is
    never started twice."""
    stop_when_alone: float | None
    """Seconds without a viewer, on any process, after which the job is cancelled; the first ones
    count from its start. By default it goes on."""
    max_seconds: float | None
    """Seconds after which it is interrupted and fails, by default an hour; :obj:`None` for
    never."""
    keep_for: float
    """Seconds for which its output can be read after its end, by default an hour."""
    max_bytes: int
    """Bytes of output, by default 8 MiB. A job that yields more fails."""
    meta: Any
    """Any JSON value, for listings."""
    on_finish: OnFinish | None
    """Called once it has ended, see :data:`OnFinish`."""


def terms_of(options: JobOptions) -> tuple[JobTerms, float | None]:
    """
    Return what to ask of the store, and after how many seconds the job is to be interrupted.

    Raises:
        ConfigurationError: If an option is unknown or unusable.
    """
    for name in options.keys() - JobOptions.__optional_keys__:
        known = ", ".join(sorted(JobOptions.__optional_keys__))
        raise ConfigurationError(name, f"is not an option of a job; known are {known}")
    given: dict[str, Any] = dict(options)
    for name in given.keys() & {"stop_when_alone", "max_seconds", "keep_for"}:
        value = given[name]
        is_good = is_number(value) and 0 < value <= MAX_SECONDS
        if not is_good and (value is not None or name == "keep_for"):
            raise ConfigurationError(name, f"must be seconds, up to 30 days, not {value!r}")
    most = given.get("max_bytes", JobTerms().max_bytes)
    if not is_whole(most) or most < 1:
        raise ConfigurationError("max_bytes", f"must be a positive whole number, not {most!r}")
    on_finish = given.get("on_finish")
    if on_finish is not None and not callable(on_finish):
        raise ConfigurationError("on_finish", f"must be a function, not {on_finish!r}")
    try:
        json.dumps(given.get("meta"))
    except (TypeError, ValueError) as exc:
        raise ConfigurationError("meta", f"cannot be written as JSON: {exc}") from exc
    wanted = {name: given[name] for name in given if name in JobTerms._fields}
    return JobTerms(**wanted), given.get("max_seconds", 3600.0)
