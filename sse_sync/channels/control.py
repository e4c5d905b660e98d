"""
Control messages between the processes of a broker: end streams, wherever they are.

Theory of operation. Whoever ends streams publishes a message to a channel that every process with
streams subscribes to, and that no client and no application can name. Where subscribing fails it
is tried again until it succeeds, and the messages of the meantime count as missed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from ..brokers.base import Broker, Message, Publication
from ..closing import CloseReason, End
from ..exceptions import BrokerUnavailable
from ..runtime.background import BackgroundTask
from .dispatcher import Dispatcher

__all__ = ["ControlChannel"]

logger = logging.getLogger("sse_sync")

# Not printable, so that check_channel() rejects it for everybody else. The name, like the names in
# the messages, is that of former versions, which may still run during a deploy.
CHANNEL = "\x01orders"

# Seconds between two attempts to subscribe.
SUBSCRIBE_AGAIN = 1.0

# Seconds to wait for another caller that subscribes.
PATIENCE = 4.0


class ControlChannel:
    """
    Send and receive control messages. A subscriber of a dispatcher.

    Its methods may be called from any thread or greenlet.

    Args:
        dispatcher: Gives it its messages.
        broker: Carries them.
        on_message: Called with each message's user key, channel and end; must not block.
        on_missed: Called when messages may have been missed; must not block.
        is_needed: Tells whether there are streams, so that subscribing is worth another try; a
            stream that is never opened is forgotten without a call. Must not block.
    """

    clients = 0
    """It stands for no client."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        broker: Broker,
        on_message: Callable[[str | None, str | None, End], object],
        on_missed: Callable[[], object],
        is_needed: Callable[[], bool],
    ) -> None:
        self._dispatcher = dispatcher
        self._broker = broker
        self._on_message = on_message
        self._on_missed = on_missed
        self._is_needed = is_needed
        self._is_subscribed = False
        self._may_have_missed = False
        # One at a time: a failure takes back what another caller has just got.
        self._subscribing = threading.Lock()
        self.task = BackgroundTask(self._try_again, "sse-sync control")
        """Subscribes where that failed."""

    def send(self, user: str | None, channel: str | None, end: End) -> None:
        """
        End the streams of a user, of a channel, or of a user on a channel, in all processes.

        Args:
            user: The user's key; :obj:`None` for all.
            channel: A channel; :obj:`None` for all.
            end: How they end.

        Raises:
            BrokerUnavailable: If the message may not have been sent.
        """
        meta: dict[str, Any] = {"user": user, "channel": channel}
        meta |= {"reason": end.message, "for_good": end.final}
        self._broker.publish(Publication(CHANNEL, b"", event="disconnect", meta=meta))

    def subscribe(self) -> None:
        """Receive messages, now or as soon as the broker is there. It may block."""
        if not self._is_subscribed:
            self._try_to_subscribe()
            if not self._is_subscribed:
                self.task.wake()

    def unsubscribe(self) -> None:
        """Receive no messages, because there are no streams. It never blocks. Idempotent."""
        if self._is_subscribed:
            self._is_subscribed = False
            self._dispatcher.remove(self, (CHANNEL,))

    # What the dispatcher calls.

    def put(self, message: Message) -> None:
        # Former versions had "reauthorize" messages, with nothing but a user and a channel.
        if message.event in ("disconnect", "reauthorize"):
            meta = message.meta or {}
            end = End(
                CloseReason.DISMISSED, meta.get("for_good", False), str(meta.get("reason", ""))
            )
            self._on_message(meta.get("user"), meta.get("channel"), end)

    def interrupted(self) -> None:
        self._on_missed()

    def degraded(self, problem: str | None) -> None:
        """Messages wait in the broker until they can arrive again."""

    def _try_to_subscribe(self) -> None:
        if not self._subscribing.acquire(timeout=PATIENCE):
            return
        try:
            if self._is_subscribed:
                return
            self._dispatcher.add(self, (CHANNEL,))
            self._is_subscribed = True
            has_missed, self._may_have_missed = self._may_have_missed, False
        except BrokerUnavailable as exc:
            if not self._may_have_missed:
                logger.warning(
                    "disconnect() and reauthorize() in other processes do not reach this one,"
                    " retrying: %s",
                    exc,
                )
            self._may_have_missed = True
            return
        finally:
            self._subscribing.release()
        if has_missed:
            self._on_missed()

    def _try_again(self) -> float | None:
        if self._is_subscribed or not self._is_needed():
            return None
        self._try_to_subscribe()
        return None if self._is_subscribed else SUBSCRIBE_AGAIN
