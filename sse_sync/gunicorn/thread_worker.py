"""The thread worker."""

from __future__ import annotations

from gunicorn.workers import gthread

from .handoff import HandoffMixin

__all__ = ["ThreadWorker"]


class ThreadWorker(HandoffMixin, gthread.ThreadWorker):
    """gunicorn's gthread worker with hand-off: streams that only relay channels need no thread."""
