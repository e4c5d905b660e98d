"""
gunicorn worker classes that hand connections off: ``-k sse_sync.gunicorn.GeventWorker``.

gunicorn imports the class's module in its master process, before gevent patches anything, and the
thread worker must not need gevent. So each class is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .gevent_worker import GeventWorker
    from .thread_worker import ThreadWorker

__all__ = ["GeventWorker", "ThreadWorker"]


def __getattr__(name: str) -> Any:
    if name == "GeventWorker":
        from .gevent_worker import GeventWorker

        return GeventWorker
    if name == "ThreadWorker":
        from .thread_worker import ThreadWorker

        return ThreadWorker
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
