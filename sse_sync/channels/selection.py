"""Which events of its channels a subscriber gets, as far as that can be declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from ..brokers.base import Message, Position
from ..exceptions import ConfigurationError
from ..validation import is_whole

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ANYTHING", "Chosen", "Match", "SelectOptions", "Selection", "check_position"]
__all__ += ["check_sender", "matches"]


Match = tuple[tuple[str, bool, Any], ...]
"""Names and values in an event's meta, and whether the value is a JSON ``true`` or ``false``, which
Python takes for numbers."""


class SelectOptions(TypedDict, total=False):
    """
    Which events a client gets. All but ``sender`` has to come from the application, and not from
    the request.
    """

    since: Position | str | None
    """A position, as :meth:`.Hub.position` returns it, after which a client without a last event ID
    starts. If the history no longer reaches back to it, the client gets a ``stream-reset``."""
    replay: int | Literal["all", "latest"] | None
    """What a client without a last event ID gets of the history first: the last events of its
    channels together, so many; all events; or the latest event of each key of each channel, and all
    events without a key. What ``match`` and ``filter`` refuse is no event for this."""
    not_before: Position | str | None
    """A position before which no client gets anything, whatever last event ID it sends: that at
    which a member joined."""
    match: Mapping[str, str | float | bool | None] | None
    """What an event's ``meta`` must have for the client to get it, such as ``{"tenant": 7}``; it
    may have more. An event without that meta does not match."""
    until: str | Iterable[str] | None
    """An event type, or several. The stream ends after the first such event that the client gets,
    for good: like that of a generator that has returned."""
    sender: str | None
    """What the client calls itself, such as a random name that its page has made up: it does not
    get events that are published with the same ``sender``. This may come from the request, because
    all it can do is to hide events from the client. An empty one hides nothing."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events a client gets. :meth:`of` makes and checks it."""

    since: Position | None = None
    """Where a client without a last event ID starts; :obj:`None` for the present."""
    replay: int | Literal["all", "latest"] | None = None
    """What a client without a last event ID gets of the history."""
    not_before: Position | None = None
    """Before which nothing is sent."""
    match: Match = ()
    """What the meta of an event must have."""
    until: frozenset[str] = frozenset()
    """Event types after which the stream ends."""
    sender: str | None = None
    """Whose events are not sent to it."""

    @property
    def is_present(self) -> bool:
        """Whether a client without a last event ID needs nothing of the history."""
        return self.since is None and self.replay is None

    @classmethod
    def of(cls, **options: Unpack[SelectOptions]) -> Selection:
        """
        Return what the keywords of a subscription select.

        Args:
            options: See :class:`SelectOptions`.

        Raises:
            ConfigurationError: If one is unusable.
        """
        if not options:
            return ANYTHING  # By far the most frequent case, and there are thousands of streams.
        since, replay = check_position("since", options.get("since")), options.get("replay")
        if not (replay in (None, "all", "latest") or (is_whole(replay) and replay > 0)):
            raise ConfigurationError(
                "replay", f"must be a number of events, 'all' or 'latest', not {replay!r}"
            )
        if since is not None and replay is not None:
            raise ConfigurationError("replay", "and since both say where a client starts: give one")
        not_before = check_position("not_before", options.get("not_before"))
        match, until = _match(options.get("match")), _types(options.get("until"))
        return cls(since, replay, not_before, match, until, check_sender(options.get("sender")))


ANYTHING = Selection()
"""Every event from the present on."""


class Chosen:
    """
    The events of the history that a new client gets, where reading it all is the way to know them.

    It keeps their numbers, not the events, which may be larger than what may wait for a client.

    Args:
        count: How many of the last events; :obj:`None` for the latest of each key of each channel.
    """

    def __init__(self, count: int | None) -> None:
        self._count = count
        self._numbers: frozenset[int] = frozenset()
        # Number of the last event that was read. Later ones are not chosen from.
        self._read_to = 0

    def __contains__(self, message: Message) -> bool:
        number = message.position.number
        return number > self._read_to or number in self._numbers

    def choose(
        self,
        read: Callable[[Position], list[Message] | None],
        counts: Callable[[Message], bool],
        begins: Position,
        limit: int,
    ) -> Position | None:
        """
        Read the history, and return the position before the first event that is chosen;
        :obj:`None` if some of it has just been dropped.

        Args:
            read: Reads events after a position; may stop after ``limit`` bytes.
            counts: Tells which of them count.
            begins: The position after which to begin.
            limit: Bytes of events.
        """
        # The last is the latest.
        found: dict[object, int] = {}
        after, size = begins, limit
        while size >= limit:
            messages = read(after)
            if messages is None:
                return None
            for message in messages:
                if counts(message):
                    self._note(found, message)
            size = sum(len(message.body) for message in messages)
            after = messages[-1].position if messages else after
        self._numbers, self._read_to = frozenset(found.values()), after.number
        return after._replace(number=min(found.values()) - 1) if found else after

    def _note(self, found: dict[object, int], message: Message) -> None:
        number = message.position.number
        by_key = self._count is None and message.key is not None
        name: object = (message.channel, message.key) if by_key else number
        found.pop(name, None)
        found[name] = number
        if self._count is not None and len(found) > self._count:
            del found[next(iter(found))]


def check_position(name: str, value: object) -> Position | None:
    """
    Return a position that the application gives as such or as text; :obj:`None` if it gives none.

    Args:
        name: What it is given as.
        value: What is given.

    Raises:
        ConfigurationError: If it is no position.
    """
    if value is None or isinstance(value, Position):
        return value
    found = Position.parse(value) if isinstance(value, str) else None
    if found is None:
        raise ConfigurationError(name, f"must be what position() has returned, not {value!r}")
    return found


def check_sender(sender: object) -> str | None:
    """
    Return a sender, or :obj:`None` if it is empty: clients that have not named themselves are not
    all the same one.

    Raises:
        ConfigurationError: If it is not text.
    """
    if sender is not None and not isinstance(sender, str):
        raise ConfigurationError("sender", f"must be text, not {type(sender).__name__}")
    return sender or None


def matches(match: Match, meta: object) -> bool:
    """
    Return whether an event's meta has all that is wanted.

    Args:
        match: What is wanted.
        meta: The event's.
    """
    if not isinstance(meta, Mapping):
        return not match
    for name, is_flag, value in match:
        found = meta.get(name, _MISSING)
        if found != value or isinstance(found, bool) != is_flag:
            return False
    return True


# Equal to nothing that JSON can express.
_MISSING = object()


def _match(value: object) -> Match:
    if value is None:
        return ()
    if not isinstance(value, Mapping) or not all(map(_is_pair, value.items())):
        raise ConfigurationError(
            "match",
            "must be a dictionary of names in an event's meta to text, numbers, True, False or"
            f" None, not {value!r}",
        )
    return tuple(sorted((name, isinstance(each, bool), each) for name, each in value.items()))


def _is_pair(pair: tuple[object, object]) -> bool:
    name, value = pair
    is_scalar = value is None or isinstance(value, (str, int, float))
    return isinstance(name, str) and is_scalar and value == value  # NaN is no JSON.


def _types(until: object) -> frozenset[str]:
    types = [until] if isinstance(until, str) else until if until is not None else []
    is_good = isinstance(types, Iterable) and not isinstance(types, (bytes, Mapping))
    found = list(types) if is_good else []  # type: ignore[call-overload]
    if not is_good or not all(isinstance(each, str) and each for each in found):
        raise ConfigurationError("until", f"must be an event type, or several, not {until!r}")
    return frozenset(found)
