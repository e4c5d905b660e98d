"""The callbacks of the front and of the application around one stream."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from ..closing import CloseReason

__all__ = ["Hooks"]

logger = logging.getLogger("sse_sync")

_NO_CONTEXT = contextvars.Context()


@dataclass(slots=True)
class Hooks:
    """The callbacks of one stream. None can break the stream: what they raise is logged."""

    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The view's context variables, in which the source and the callbacks run."""
    before: Callable[[], object] | None = None
    """Called before the first byte, and again once a subscription has started, if there is a
    server: releases what the view and the snapshot opened."""
    after_source: Callable[[], object] | None = None
    """Called in the source's greenlet or thread after it ends, if there is a server."""
    on_close: Callable[[CloseReason], object] | None = None
    """Called once after an opened stream ends: after the source's ``finally``, unless that takes
    more than half a second."""
    after: Callable[[BaseException | None], object] | None = None
    """Called once after both stream and source end, with what the source raised."""

    def call_before(self) -> None:
        """Release what the view opened."""
        if self.before is not None:
            try:
                self.context.run(self.before)
            except Exception:
                logger.exception("releasing the view's resources failed; the stream goes on")

    def call_after_source(self) -> None:
        """Release what the source opened. A generator calls it in the context of the view."""
        if self.after_source is not None:
            try:
                self.after_source()
            except Exception:
                logger.exception("releasing the source's resources failed")

    def call_on_close(self, reason: CloseReason) -> None:
        """Report the end to the application."""
        if self.on_close is not None:
            try:
                # A copy, because the source may be running in the context itself.
                self.context.copy().run(self.on_close, reason)
            except Exception:
                logger.exception("the on_close callback failed")

    def call_after(self, error: BaseException | None) -> None:
        """
        Tear down the request, and drop every reference to it: otherwise request and stream would
        keep each other alive until the garbage collector runs.
        """
        after = self.after
        self.before = self.after_source = self.on_close = self.after = None
        self.context = _NO_CONTEXT
        if after is not None:
            try:
                after(error)
            except Exception:
                logger.exception("the teardown callback of a stream failed")
