"""What applications may publish: the keywords of publish, and the publication they make."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, ParamSpec, TypedDict, TypeVar

from ..brokers.base import Publication, check_channel
from ..event import OWN_TYPES, ServerSentEvent, warn_of_type
from ..exceptions import ConfigurationError, EventError
from ..jsonable import Dumps
from ..validation import is_number
from .selection import check_sender

__all__ = ["PublishOptions", "channel_first", "check_publish_options", "make_publication"]

# Bytes of an event. Each is kept by the broker and by every process, and a client's mailbox has
# room for as many by default.
MAX_EVENT = 1 << 20

# Seconds for which a publish may be tried again, well within the life of its token.
MAX_RETRY = 60.0


# What to do instead of giving keywords that other packages have.
_INSTEAD = {
    "type": "write event= instead",
    "id": "the broker gives each event its id, which publish() returns",
    "retry": "it is an option of the stream, as in subscribe('news', retry=3000)",
}

P = ParamSpec("P")
Result = TypeVar("Result")


class PublishOptions(TypedDict, total=False):
    """Keywords of :meth:`Hub.publish`, and of all that publish by it."""

    event: str | None
    """Event type."""
    key: str | None
    """The event's subject, for filters and for :attr:`Overflow.LATEST`."""
    meta: Mapping[str, Any] | None
    """Any JSON value, for filters; it is not sent to clients."""
    token: str | None
    """Identifies this publish, for callers that may repeat it, such as tasks: another one with the
    same token within ten minutes publishes nothing, and returns the id of the first."""
    retry_for: float
    """Seconds, at most 60 and by default 0, for which to try again while the broker is unavailable.
    However many attempts it takes, the event is stored once. An attempt may itself take a few
    seconds."""
    keep: bool
    """Whether clients that come back get it, too; by default they do. Otherwise only current
    subscribers get it, such as that somebody is typing, and it takes no room in the history."""
    sender: str | None
    """Whose event it is: the stream with the same ``sender`` does not get it."""


def channel_first(publish: Callable[P, Result]) -> Callable[P, Result]:
    """
    Have a function that publishes say what it takes where its channel or its data is missing.

    Python's own error would name a position only, and whoever comes from flask-sse gives the data
    first, and the channel last or not at all.

    Args:
        publish: A function or method that takes a channel, the data, and keywords.
    """
    own = int(next(iter(signature(publish).parameters)) == "self")

    @functools.wraps(publish)
    def checked(*args: P.args, **kwargs: P.kwargs) -> Result:
        given = len(args) - own
        if given != 2:
            _check_arguments(publish.__name__, given, kwargs)
        return publish(*args, **kwargs)

    return checked


def _check_arguments(name: str, given: int, kwargs: Mapping[str, object]) -> None:
    missing = {"channel", "data"} - kwargs.keys()
    if len(missing) == given and (not given or "data" in kwargs):
        return
    instead = ", and event= instead of type=" if "type" in kwargs else ""
    raise TypeError(
        f"{name}() takes the channel first and then the data{instead}:"
        f" {name}('news', {{'id': 7}}, event='created')"
    )


def check_publish_options(options: PublishOptions) -> None:
    """
    Refuse unusable keywords of a publish.

    Args:
        options: What was given.

    Raises:
        TypeError: If one is unknown.
        ConfigurationError: If the token, the time to retry or the sender is unusable.
    """
    for name in options.keys() - PublishOptions.__optional_keys__:
        hint = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise TypeError(f"publish() got an unexpected keyword argument {name!r}{hint}")
    token = options.get("token")
    if token is not None and not (isinstance(token, str) and 0 < len(token) <= 200):
        raise ConfigurationError("token", "must be text of 1 to 200 characters")
    retry_for = options.get("retry_for", 0.0)
    if not is_number(retry_for) or not 0 <= retry_for <= MAX_RETRY:
        raise ConfigurationError("retry_for", f"must be 0 to {MAX_RETRY:.0f} seconds")
    check_sender(options.get("sender"))


def make_publication(
    channel: str, data: Any, options: PublishOptions, token_age: float, dumps: Dumps
) -> Publication:
    """
    Return what a broker is to publish. The event is encoded here, once.

    Args:
        channel: The channel to publish to.
        data: Text, or a value to be sent as JSON.
        options: See :class:`PublishOptions`.
        token_age: Seconds for which a token is remembered.
        dumps: Encodes the data as JSON.

    Raises:
        TypeError: If an option is unknown.
        ConfigurationError: If the channel, the token, the time to retry or the sender is unusable.
        EventError: If the data, the event type or the meta cannot be sent, or are larger than
            1 MiB together.
    """
    check_channel(channel)
    check_publish_options(options)
    event, key, meta = options.get("event"), options.get("key"), options.get("meta")
    body = ServerSentEvent(data if data is not None else "", event=event).encode(dumps)
    if event in OWN_TYPES:
        warn_of_type(event)
    sender = check_sender(options.get("sender"))
    size = len(body) + _size_beside(key, meta) + len(sender or "")
    if size > MAX_EVENT:
        raise EventError(
            "data",
            f"makes an event of {size:,} bytes, more than the {MAX_EVENT:,} that a"
            " channel takes: publish a link to it instead",
        )
    token = options.get("token")
    if token is None and options.get("retry_for"):
        token = secrets.token_hex(8)  # However many attempts it takes, it is stored once.
    keep = options.get("keep", True)
    return Publication(channel, body, event, key, meta, token, keep, token_age, sender)


def _size_beside(key: str | None, meta: Mapping[str, Any] | None) -> int:
    # What travels beside the event. Checked here, so that it fails with every broker or with none.
    if key is not None and not isinstance(key, str):
        raise EventError("key", f"must be text, not {type(key).__name__}")
    if meta is None:
        return len(key or "")
    try:
        return len(key or "") + len(json.dumps(meta))
    except (TypeError, ValueError) as exc:
        raise EventError("meta", f"cannot be written as JSON: {exc}") from exc
