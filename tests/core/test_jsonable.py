"""JSON of values that a framework's JSON does not know."""

import dataclasses
import enum
import json
from collections import UserDict
from datetime import date, datetime, time, timezone
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from django.core.serializers.json import DjangoJSONEncoder
from flask import Flask

from sse_sync.jsonable import find_unwritable, to_json

ID = UUID(int=1)
DAY = date(2026, 1, 2)
FLASK_DAY = "Fri, 02 Jan 2026 00:00:00 GMT"
PROVIDERS = {
    "core": json.dumps,
    "flask": Flask("json").json.dumps,
    "django": partial(json.dumps, cls=DjangoJSONEncoder),
}


class Color(enum.Enum):
    RED = "red"


class Model(pydantic.BaseModel):
    on: date = pydantic.Field(DAY, alias="onDay")
    color: Color = Color.RED


class Struct(msgspec.Struct, rename="camel", tag="struct"):
    on_day: object = DAY
    left_out: object = msgspec.UNSET


class Pair(NamedTuple):
    a: object
    b: int


@attrs.define
class Attrs:
    on: object = DAY
    _hidden: int = 1


@dataclasses.dataclass
class Data:
    on: object = DAY
    more: object = None


def loaded(value, dumps=json.dumps):
    return json.loads(to_json(value, dumps))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Model(), {"onDay": "2026-01-02", "color": "red"}),
        (pydantic.RootModel[list[date]]([DAY]), ["2026-01-02"]),
        (Struct(), {"type": "struct", "onDay": "2026-01-02"}),
        (Attrs(), {"on": "2026-01-02", "_hidden": 1}),
        (Data(more=Data()), {"on": "2026-01-02", "more": {"on": "2026-01-02", "more": None}}),
        (DAY, "2026-01-02"),
        (datetime(2026, 1, 2, 3, tzinfo=timezone.utc), "2026-01-02T03:00:00+00:00"),
        (time(3), "03:00:00"),
        (Decimal("1.10"), "1.10"),
        (ID, str(ID)),
        (Color.RED, "red"),
        ({"a"}, ["a"]),
        (frozenset(), []),
        (MappingProxyType({"a": ID}), {"a": str(ID)}),
        (UserDict(a=1), {"a": 1}),
        (Pair(ID, 1), [str(ID), 1]),
        ((Model(), [Struct(on_day=Model())], {"k": Attrs(on=Data())}), None),
    ],
)
def test_core(value, expected):
    """Without a framework everything common is JSON, wherever it stands."""
    if expected is not None:
        assert loaded(value) == expected
        assert loaded({"a": [value]}) == {"a": [expected]}
        return
    model = {"onDay": "2026-01-02", "color": "red"}
    assert loaded(value) == [
        model,
        [{"type": "struct", "onDay": model}],
        {"k": {"on": {"on": "2026-01-02", "more": None}, "_hidden": 1}},
    ]


@pytest.mark.parametrize(("name", "day"), [("flask", FLASK_DAY), ("django", "2026-01-02")])
def test_frameworks_write_what_they_can(name, day):
    """A model elsewhere does not change how the framework writes its own types."""
    dumps = PROVIDERS[name]
    more = [Model(), Decimal(1), ID]
    expected = [{"onDay": "2026-01-02", "color": "red"}, "1", str(ID)]
    assert loaded(Data(more=more), dumps) == {"on": day, "more": expected}
    assert loaded({"a": Attrs(), "b": more}, dumps) == {
        "a": {"on": day, "_hidden": 1},
        "b": expected,
    }


def test_provider_of_the_application():
    """What the application's own JSON knows, no model writes."""

    def default(value):
        if isinstance(value, (Model, Data)):
            return type(value).__name__
        raise TypeError(f"no {type(value).__name__}")

    dumps = partial(json.dumps, default=default)
    assert loaded([Model(), Struct(), Data(), Attrs(on=Data())], dumps) == [
        "Model",
        {"type": "struct", "onDay": "2026-01-02"},
        "Data",
        {"on": "Data", "_hidden": 1},
    ]


@pytest.mark.parametrize("value", ["text", {"a": [1, 2.5, None, True]}, [("a",)]])
def test_plain_values_cost_nothing(value):
    """What the framework can write is written once, and not looked at."""
    calls = []

    def dumps(given):
        calls.append(given)
        return json.dumps(given)

    assert to_json(value, dumps) == json.dumps(value)
    assert len(calls) == 1
    assert calls[0] is value


@pytest.mark.parametrize("name", PROVIDERS)
def test_keys(name):
    """A key becomes what its value would be, if that is text or a number."""
    dumps = PROVIDERS[name]
    (day,) = loaded([DAY], dumps)
    for key, expected in [(Color.RED, "red"), (ID, str(ID)), (DAY, day), (1, "1"), (None, "null")]:
        assert loaded({key: Model()}, dumps).keys() == {expected}
    with pytest.raises(TypeError, match="keys must be str, int, float, bool or None, not tuple"):
        to_json({("a",): 1}, dumps)
    with pytest.raises(TypeError, match="object"):
        to_json({object(): 1}, dumps)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("make", [object, lambda: b"x", lambda: 1j, lambda: Model, lambda: Data])
def test_refused(name, make):
    """What cannot be JSON is refused wherever it stands; a class is no model."""
    value = make()
    for nested in (value, [Model(), value], Data(more=value), Attrs(on=value), {"a": {"b": value}}):
        with pytest.raises(TypeError):
            to_json(nested, PROVIDERS[name])


def itself_in(value, name):
    setattr(value, name, [Model(), value])
    return value


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "value",
    [
        itself_in(Data(), "more"),
        itself_in(Attrs(), "on"),
        itself_in(Struct(), "on_day"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_cycles(provider, value):
    """A value that contains itself is refused with a clear message."""
    for given in (value, {"a": [value]}):
        with pytest.raises(ValueError, match=r"^it contains itself, or is nested too deeply$"):
            to_json(given, PROVIDERS[provider])


def test_cycle_of_a_model():
    """pydantic finds its own cycles."""

    class Node(pydantic.BaseModel):
        next: object = None

    node = Node()
    node.next = node
    with pytest.raises(ValueError, match="Circular"):
        to_json(node, json.dumps)


def test_failing_model():
    """The error of a model's own code is passed on."""

    class Broken(pydantic.BaseModel):
        @pydantic.model_serializer
        def fail(self):
            raise KeyError("mine")

    with pytest.raises(ValueError, match=r"fail.*KeyError: 'mine'"):
        to_json([Broken()], json.dumps)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1j, ("", 1j)),
        ({"a": 1, "b": [{}, (1j,)]}, ("['b'][1][0]", 1j)),
        (Data(more=[1j]), ("['more'][0]", 1j)),
        ({"a": {1: {1j}}}, ("['a'][1][0]", 1j)),
        ({"a": {(1,): 2}}, ("['a']", {(1,): 2})),
    ],
)
def test_find_unwritable(value, expected):
    """What cannot be JSON is found, however deep."""
    with pytest.raises(TypeError):
        to_json(value, json.dumps)
    assert find_unwritable(value, json.dumps) == expected
