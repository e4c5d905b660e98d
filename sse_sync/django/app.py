"""What exists once per project: its options, its hub, and what it publishes at intervals."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.core.signals import setting_changed
from django.db import DatabaseError, connections

from ..channels.app import AppHub
from ..channels.schedule import Schedule
from ..settings import Options

__all__ = [
    *("app_hub", "close_connections", "configured", "dumps", "own_queries", "schedule"),
    "without_request",
]

logger = logging.getLogger("sse_sync")

dumps = functools.partial(json.dumps, cls=DjangoJSONEncoder)
"""Encodes what is published, and what a generator yields, as JSON."""

schedule = Schedule()
"""What the project publishes at intervals."""


@functools.cache
def configured() -> Options:
    """Return the options of the project."""
    return Options.read(getattr(settings, "SSE_SYNC", {}), "", debug=settings.DEBUG)


@functools.cache
def app_hub() -> AppHub:
    """Return the object that makes the project's hub when it is first used."""
    return AppHub(
        configured(),
        within=without_request,
        schedule=schedule,
        dumps=dumps,
        broker_setting='SSE_SYNC["BROKER_URL"]',
    )


@contextmanager
def without_request() -> Iterator[None]:
    """Run a function of the project outside any request."""
    # As around a request: begin without an old connection, and keep none. A job's source may be
    # asynchronous.
    close_connections()
    with own_queries() as close:
        try:
            yield
        finally:
            close()
            close_connections()


def close_connections() -> None:
    """Close the database connections of this thread or greenlet, unless in a transaction."""
    # Connections belong to a thread or greenlet, and this runs in the one that ends or waits.
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            try:
                connection.close()
            except DatabaseError:
                logger.exception("closing the database connection %s failed", connection.alias)


@contextmanager
def own_queries() -> Iterator[Callable[[], object]]:
    """
    Give the asynchronous queries of one view or source a thread, and so connections, of their own.

    Otherwise all of the process share one thread: each would wait for the slowest, and closing the
    connections of one would break another's cursor. Nothing closes them by itself on WSGI, not even
    after an error has made one unusable. Yields what closes them.
    """
    own = ThreadSensitiveContext()
    before = SyncToAsync.thread_sensitive_context.set(own)
    try:
        yield functools.partial(_close_queries, own)
    finally:
        SyncToAsync.thread_sensitive_context.reset(before)


def _close_queries(own: ThreadSensitiveContext) -> None:
    executor = SyncToAsync.context_to_thread_executor.pop(own, None)
    if executor is not None:
        executor.submit(close_connections)
        executor.shutdown(wait=False)


def _reload(*, setting: str, **kwargs: Any) -> None:
    if setting in ("SSE_SYNC", "DEBUG"):
        configured.cache_clear()
        app_hub.cache_clear()


setting_changed.connect(_reload)
