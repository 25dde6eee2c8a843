"""What ProtoJSON of a type may look like beyond what the codec checks: one cheap walk over parsed JSON.

The codec takes the last of several keys for one field and the last of several members of a oneof, reads
numbers in strings as Python does (`1_0`), and takes enum numbers that cannot be serialized. The walk refuses
these. It only says that something is wrong; `json_diagnosis` finds out what and where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
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
MAX_DEPTH_IN_ANY = 100
"""Deepest nesting, all in all, where a google.protobuf.Any is on the way, which counts twice.

The codec counts anew within each when it reads, but not when it writes.
"""
_IN_ANY = 1 << 10
"""Added to depths within an Any."""

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
    oneof: int
    """A bit for the oneof of the field, among those of its message; 0 if it is in none."""
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

    def admit(self, item: JsonValue, value: Mapping[str, JsonValue], chosen: int) -> int:
        """Checks an item of an object.

        Args:
            item: the field's.
            value: the object.
            chosen: bits of the oneofs that other items have chosen already.

        Returns:
            The bits with that of this item.

        Raises:
            RefusedError: it breaks a rule.
        """
        if self.other is not None and self.other in value:
            raise RefusedError
        if self.oneof and (item is not None or self.null_counts):
            if chosen & self.oneof:
                raise RefusedError
            chosen |= self.oneof
        check = self.check
        if check is not None and not check(item):
            raise RefusedError
        return chosen


class Shape:
    """What the walk knows of one message type."""

    def __init__(self) -> None:
        self.members: dict[str, _Member] = {}
        """What the walk must look at."""
        self.free: set[str] = set()
        """JSON names of fields outside any oneof: true and false there are for the codec alone to judge."""
        self.texts: set[str] = set()
        """Those of them where any string is."""
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
            shape, depth = self._within_any(value, shape), depth_in_any(depth)
        free, texts, members = shape.free, shape.texts, shape.members
        count = len(value)
        chosen = 0
        for key, item in value.items():
            kind = item.__class__
            # Most of most bodies: what needs no look at its member.
            if key in texts if kind is str else (kind is bool and key in free):
                continue
            member = members.get(key)
            if member is not None:
                chosen = member.admit(item, value, chosen)
            if kind is dict or kind is list:
                count += self._nested(item, member, depth + 1)
        return count

    def _nested(self, item: JsonValue, member: _Member | None, depth: int) -> int:
        if depth > MAX_DEPTH and is_too_deep(depth):
            raise RefusedError
        if member is None or not member.deep:
            return keys_in(item, depth)
        if item.__class__ is list:
            return self._elements(item, member, depth)
        if not member.map:
            return self.walk(item, member.shape, depth) if member.shape else keys_in(item, depth)
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
                count += keys_in(element, depth + 1)
        return count

    def _within_any(self, value: dict[str, JsonValue], shape: Shape) -> Shape:
        description = any_type(value, self._registry)
        return shape if description is None or description.type_name == ANY else self.of(description)

    def _add(self, shape: Shape, field: DescField) -> None:
        member = self._member(field)
        if member != _PLAIN:
            shape.members[field.json_name] = member
        if not member.oneof:
            shape.free.add(field.json_name)
            if member.check is None or member.check is is_enum:
                shape.texts.add(field.json_name)
        if field.name != field.json_name:
            shape.members[field.name] = replace(member, other=field.json_name)

    def _member(self, field: DescField) -> _Member:
        value = field.value
        is_map = isinstance(value, DescFieldValueMap)
        element = element_of(field)
        oneof = getattr(value, "oneof", None)
        return _Member(
            other=None,
            oneof=1 << field.parent.oneofs.index(oneof) if oneof else 0,
            null_counts=getattr(element, "type_name", "") in NULL_COUNTS,
            check=value_check(element),
            key_number=isinstance(value, DescFieldValueMap) and value.key not in _NOT_NUMBERS,
            map=is_map,
            shape=self.of(element) if isinstance(element, DescMessage) else None,
        )


def depth_in_any(depth: int) -> int:
    """Depth of what is within a google.protobuf.Any that is this deep."""
    return depth + 1 if depth >= _IN_ANY else depth + 1 + _IN_ANY


def is_too_deep(depth: int) -> bool:
    """Whether JSON is nested too deeply."""
    return depth > _IN_ANY + MAX_DEPTH_IN_ANY if depth >= _IN_ANY else depth > MAX_DEPTH


def keys_in(value: JsonValue, depth: int = 0) -> int:
    """Number of keys in JSON without a shape, however deep.

    Raises:
        RefusedError: it is nested too deeply.
    """
    if depth > MAX_DEPTH and is_too_deep(depth):
        raise RefusedError
    elements: Iterable[JsonValue] = ()
    count = 0
    if value.__class__ is dict:
        count, elements = len(value), value.values()
    elif value.__class__ is list:
        elements = value
    for element in elements:
        if element.__class__ is dict or element.__class__ is list:
            count += keys_in(element, depth + 1)
    return count


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
    if item.__class__ is str:
        return "_" not in item and item.isascii()
    return item.__class__ is not float or item > _LOWEST


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
_MASK = re.compile(rf"(?:\*|{_PATH}(?:,{_PATH})*)?")  # AIP-134 and AIP-157 have `*` for all fields
_CHECKS: dict[str, Check] = {
    "google.protobuf.FieldMask": is_mask,
    **dict.fromkeys(
        (f"google.protobuf.{name}Value" for name in ("Int32", "Int64", "UInt32", "UInt64")), is_integer
    ),
    **dict.fromkeys((f"google.protobuf.{name}Value" for name in ("Float", "Double")), is_decimal),
}
_PLAIN = _Member(other=None, oneof=0, null_counts=False, check=None, key_number=False, map=False, shape=None)
