"""Which events of its channels a subscriber gets, as far as that can be declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from ..brokers.base import Position
from ..exceptions import ConfigurationError

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ANYTHING", "SelectOptions", "Selection"]


class SelectOptions(TypedDict, total=False):
    """
    Which events a client gets. All of it comes from the application, and nothing from the request.
    """

    since: Position | str | None
    """A position, as :meth:`.Hub.position` returns it, after which a client without a last event ID
    starts. If the history no longer reaches back to it, the client gets a ``stream-reset``."""


@dataclass(frozen=True)
class Selection:
    """Which events a client gets. :meth:`of` makes and checks it."""

    since: Position | None = None
    """Where a client without a last event ID starts; :obj:`None` for the present."""

    @classmethod
    def of(cls, **options: Unpack[SelectOptions]) -> Selection:
        """
        Return what the keywords of a subscription select.

        Args:
            options: See :class:`SelectOptions`.

        Raises:
            ConfigurationError: If one is unusable.
        """
        return cls(since=_position("since", options.get("since")))


ANYTHING = Selection()
"""Every event from the present on."""


def _position(name: str, value: object) -> Position | None:
    if value is None or isinstance(value, Position):
        return value
    found = Position.parse(value) if isinstance(value, str) else None
    if found is None:
        raise ConfigurationError(name, f"must be what position() has returned, not {value!r}")
    return found
