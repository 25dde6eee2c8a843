"""What ProtoJSON of a type may look like beyond what the codec checks: one cheap walk over parsed JSON.

The codec takes the last of several keys for one field and the last of several members of a oneof, reads
numbers in strings as Python does (`1_0`), and takes enum numbers that cannot be serialized. The walk refuses
these. It only says that something is wrong; `json_diagnosis` finds out what and where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescMessage,
    Registry,
    ScalarType,
)

JsonValue: TypeAlias = Any
"""What a JSON parser returns."""
Check: TypeAlias = Callable[[JsonValue], bool]

MAX_DEPTH = 200
"""Deepest nesting of JSON objects and arrays."""

OPAQUE = frozenset(
    f"google.protobuf.{name}"
    for name in (
        *("Any", "Duration", "FieldMask", "ListValue", "Struct", "Timestamp", "Value"),
        *("BoolValue", "BytesValue", "DoubleValue", "FloatValue", "StringValue"),
        *("Int32Value", "Int64Value", "UInt32Value", "UInt64Value"),
    )
)
"""Types whose JSON is not an object of their fields."""

ANY = "google.protobuf.Any"
NULL_COUNTS = frozenset({"google.protobuf.Value", "google.protobuf.NullValue"})
"""Types for which null is a value."""
_FLOATS = frozenset({ScalarType.FLOAT, ScalarType.DOUBLE})
_NOT_NUMBERS = frozenset({ScalarType.BOOL, ScalarType.STRING, ScalarType.BYTES})
_LOWEST = -float(1 << 63)
_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1


class RefusedError(ValueError):
    """The JSON breaks a rule that the codec does not check."""


@dataclass(slots=True)
class _Member:
    """A field under one of its names, if anything is to be checked about it."""

    other: str | None
    """The field's JSON name, where this entry is under its proto name and the two differ."""
    oneof: str
    null_counts: bool
    check: Check | None
    key_number: bool
    """Whether it is a map whose keys are numbers."""
    map: bool
    shape: Shape | None
    """Shape of the message that the value is, or each of its elements is."""

    @property
    def deep(self) -> bool:
        """Whether anything is to be checked within the value."""
        return self.shape is not None or self.check is not None or self.key_number


class Shape:
    """What the walk knows of one message type."""

    def __init__(self) -> None:
        self.members: dict[str, _Member] = {}
        self.any = False


class Shapes:
    """Shapes of a schema by type name, made when first needed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._shapes: dict[str, Shape] = {}

    def of(self, description: DescMessage) -> Shape:
        """The shape of a type."""
        name = description.type_name
        if (known := self._shapes.get(name)) is not None:
            return known
        shape = self._shapes[name] = Shape()
        shape.any = name == ANY
        if name not in OPAQUE:
            for field in description.fields:
                self._add(shape, field)
        return shape

    def walk(self, value: dict[str, JsonValue], shape: Shape, depth: int = 0) -> int:
        """Checks an object and all it holds; the number of keys in all of it.

        Raises:
            RefusedError: it breaks a rule.
        """
        if shape.any:
            shape = self._within_any(value, shape)
        members = shape.members
        count = len(value)
        chosen: set[str] | None = None
        for key, item in value.items():
            member = members.get(key)
            if member is not None:
                if member.other in value:
                    raise RefusedError
                if member.oneof and (item is not None or member.null_counts):
                    if chosen is None:
                        chosen = {member.oneof}
                    elif member.oneof in chosen:
                        raise RefusedError
                    else:
                        chosen.add(member.oneof)
                if member.check is not None and not member.check(item):
                    raise RefusedError
            if item.__class__ is dict or item.__class__ is list:
                count += self._nested(item, member, depth + 1)
        return count

    def _nested(self, item: JsonValue, member: _Member | None, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise RefusedError
        if member is None or not member.deep:
            return self._keys(item, depth)
        if item.__class__ is list:
            return self._elements(item, member, depth)
        if not member.map:
            return self.walk(item, member.shape, depth) if member.shape else self._keys(item, depth)
        if member.key_number and not all(map(is_integer, item)):
            raise RefusedError
        return len(item) + self._elements(item.values(), member, depth)

    def _elements(self, elements: Iterable[JsonValue], member: _Member, depth: int) -> int:
        count = 0
        for element in elements:
            if member.check is not None and not member.check(element):
                raise RefusedError
            if element.__class__ is dict and member.shape is not None:
                count += self.walk(element, member.shape, depth + 1)
            elif element.__class__ is dict or element.__class__ is list:
                count += self._keys(element, depth + 1)
        return count

    def _keys(self, value: JsonValue, depth: int) -> int:
        """Number of keys in an object or array without a shape."""
        if depth > MAX_DEPTH:
            raise RefusedError
        count, elements = (0, value) if value.__class__ is list else (len(value), value.values())
        for element in elements:
            if element.__class__ is dict or element.__class__ is list:
                count += self._keys(element, depth + 1)
        return count

    def _within_any(self, value: dict[str, JsonValue], shape: Shape) -> Shape:
        description = any_type(value, self._registry)
        return shape if description is None or description.type_name == ANY else self.of(description)

    def _add(self, shape: Shape, field: DescField) -> None:
        member = self._member(field)
        if member != _PLAIN:
            shape.members[field.json_name] = member
        if field.name != field.json_name:
            shape.members[field.name] = replace(member, other=field.json_name)

    def _member(self, field: DescField) -> _Member:
        value = field.value
        is_map = isinstance(value, DescFieldValueMap)
        element = element_of(field)
        oneof = getattr(value, "oneof", None)
        return _Member(
            other=None,
            oneof=oneof.name if oneof else "",
            null_counts=getattr(element, "type_name", "") in NULL_COUNTS,
            check=value_check(element),
            key_number=isinstance(value, DescFieldValueMap) and value.key not in _NOT_NUMBERS,
            map=is_map,
            shape=self.of(element) if isinstance(element, DescMessage) else None,
        )


def element_of(field: DescField) -> Any:
    """Type of a field's value, or of each of its elements: ScalarType, DescEnum or DescMessage."""
    value = field.value
    if isinstance(value, DescFieldValueList):
        return value.element
    if isinstance(value, DescFieldValueMap):
        return value.value
    if isinstance(value, DescFieldValueMessage):
        return value.message
    return value.scalar if hasattr(value, "scalar") else value.enum


def is_decimal(item: JsonValue) -> bool:
    """Whether a value may stand for a number; the codec checks form and range of what passes."""
    return item.__class__ is not str or ("_" not in item and item.isascii())


def is_integer(item: JsonValue) -> bool:
    """Whether a value may stand for an integer.

    A parser turns integers beyond 64 bits into floats, and the first below int64 into int64's lowest.
    """
    return is_decimal(item) and (item.__class__ is not float or item > _LOWEST)


def is_enum(item: JsonValue) -> bool:
    """Whether a value may stand for an enum; the codec takes numbers that cannot be serialized."""
    return item.__class__ is not int or _INT32_MIN <= item <= _INT32_MAX


def is_mask(item: JsonValue) -> bool:
    """Whether a value may stand for a FieldMask; the codec takes paths that it cannot write again."""
    return item.__class__ is not str or _MASK.fullmatch(item) is not None


def value_check(element: Any) -> Check | None:
    """The check for values of a type, if it needs one."""
    if isinstance(element, DescEnum):
        return is_enum
    if isinstance(element, DescMessage):
        return _CHECKS.get(element.type_name)
    if element in _NOT_NUMBERS:
        return None
    return is_decimal if element in _FLOATS else is_integer


def any_type(value: dict[str, JsonValue], registry: Registry) -> DescMessage | None:
    """The type that the JSON of a google.protobuf.Any names, if it is known."""
    url = value.get("@type")
    return registry.message(url.rpartition("/")[2]) if isinstance(url, str) else None


_PATH = r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z][A-Za-z0-9]*)*"
_MASK = re.compile(rf"(?:{_PATH}(?:,{_PATH})*)?")
_CHECKS: dict[str, Check] = {
    "google.protobuf.FieldMask": is_mask,
    **dict.fromkeys(
        (f"google.protobuf.{name}Value" for name in ("Int32", "Int64", "UInt32", "UInt64")), is_integer
    ),
    **dict.fromkeys((f"google.protobuf.{name}Value" for name in ("Float", "Double")), is_decimal),
}
_PLAIN = _Member(other=None, oneof="", null_counts=False, check=None, key_number=False, map=False, shape=None)
