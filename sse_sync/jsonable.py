"""
JSON of values that a framework's JSON does not know.

What the framework can write, it writes in its own way, wherever it stands. Only what it refuses is
turned into plain values here: models of pydantic, msgspec and attrs, dataclasses, enumerations,
sets, and where the framework does not know them, dates, decimals and UUIDs. A model is recognised
by what its class has, so that none of those packages is imported for it.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

__all__ = ["Dumps", "find_unwritable", "to_json"]

Dumps = Callable[[Any], str]
"""Turns a value into JSON text."""


def to_json(value: Any, dumps: Dumps) -> str:
    """
    Return a value as JSON text.

    Args:
        value: What ``dumps`` can write, or models and other values in lists and dictionaries.
        dumps: The framework's. What it writes at once is not looked at.

    Raises:
        TypeError: If there is something in it that cannot be JSON.
        ValueError: If it contains itself, or ``dumps`` refuses it.
    """
    try:
        try:
            return dumps(value)
        except TypeError:
            pass  # Here, so that a second error does not show the first one, too.
        return dumps(_plain(value, dumps))
    except RecursionError as exc:
        raise ValueError("it contains itself, or is nested too deeply") from exc


def find_unwritable(value: Any, dumps: Dumps) -> tuple[str, Any]:
    """
    Return where in a value that :func:`to_json` refuses the reason is, such as ``['user'][0]``, and
    what stands there.

    Args:
        value: The value.
        dumps: The framework's.
    """
    for key, item in _items(value):
        try:
            to_json(item, dumps)
        except TypeError:  # A cycle, which is another error, would never end.
            where, found = find_unwritable(item, dumps)
            return f"[{key!r}]{where}", found
        except ValueError:
            break
    return "", value


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    simpler = _simpler(value)
    if isinstance(simpler, dict):
        return simpler.items()
    return enumerate(simpler) if isinstance(simpler, (list, tuple)) else ()


def _plain(value: Any, dumps: Dumps) -> Any:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, dict):
        return {_key(key, dumps): _plain(item, dumps) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, dumps) for item in value]
    if _can_write(dumps, value):
        return value
    # Looked up in the class, because the class of a model is no model.
    kind = type(value)
    if hasattr(kind, "model_dump"):  # pydantic
        return value.model_dump(mode="json", by_alias=True)
    if hasattr(kind, "__struct_fields__"):  # msgspec, which knows about names, tags and UNSET
        hook = partial(_loaded, dumps=dumps)
        return sys.modules["msgspec"].to_builtins(value, enc_hook=hook)
    simpler = _simpler(value)
    return value if simpler is value else _plain(simpler, dumps)


def _simpler(value: Any) -> Any:
    # One step towards JSON; the value itself if there is none.
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, AbstractSet):
        return list(value)
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in kind.__attrs_attrs__}
    return value


def _key(key: Any, dumps: Dumps) -> Any:
    # JSON has only text as keys, and json.dumps makes text of numbers, too.
    if key is None or isinstance(key, (str, int, float)):
        return key
    written = _loaded(key, dumps)
    return written if isinstance(written, (str, int, float)) else key  # dumps names its type.


def _loaded(value: Any, dumps: Dumps) -> Any:
    return json.loads(dumps(_plain(value, dumps)))


def _can_write(dumps: Dumps, value: Any) -> bool:
    try:
        dumps(value)
    except TypeError:
        return False
    return True
