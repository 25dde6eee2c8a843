"""Numbers of type float in JSON with as few digits as tell them apart: 0.1 for 0.10000000149011612.

A float is held as a double, and the codec writes all digits of that. Other implementations of ProtoJSON write
the shortest form that reads back as the same float.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from protobuf import DescField, DescFieldValueList, DescFieldValueMap, DescMessage, Registry, ScalarType

from codegen.runtime.json_shape import ANY, OPAQUE, JsonValue, any_type, element_of

FLOAT_VALUE = "google.protobuf.FloatValue"

_SINGLE = struct.Struct("f")
_DIGITS = range(6, 9)
"""Significant digits to try: nine always suffice, and fewer than six are found with six."""
_SUBNORMAL = 1.1754943508222875e-38
"""Below it fewer digits are significant."""
_MAX = 3.4028234663852886e38
_BEYOND = 3.4028235677973366e38
"""From here on a number is nearer to what float does not have than to its largest value."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A field in which floats are, or may be."""

    name: str
    """In JSON."""
    many: type | None
    """`list` or `dict` of a repeated field or map."""
    within: DescMessage | None
    """Type of the message that holds them; None if it is the float."""


class Floats:
    """Where a schema has floats.

    Args:
        registry: resolves `google.protobuf.Any`.
        name: of a field in JSON.
    """

    def __init__(self, registry: Registry, name: Callable[[DescField], str]) -> None:
        self._registry = registry
        self._name = name
        self._within: dict[str, bool] = {}
        self._places: dict[str, tuple[_Place, ...]] = {}

    def within(self, description: DescMessage) -> bool:
        """Whether a message of this type may hold floats, however deep."""
        known = self._within.get(description.type_name)
        if known is None:
            known = self._within[description.type_name] = any(map(_has_own, _reachable(description)))
        return known

    def shorten(self, description: DescMessage, value: JsonValue) -> JsonValue:
        """JSON of a message with its floats shortened; changed in place."""
        if value.__class__ is not dict:
            return shortest(value) if description.type_name == FLOAT_VALUE else value
        if description.type_name == ANY:
            return self._shorten_any(value)
        for place in self._places_of(description):
            item = value.get(place.name)
            if item is not None:
                value[place.name] = self._shorten_field(place, item)
        return value

    def narrow(self, description: DescMessage, value: JsonValue) -> bool:
        """Whether JSON has floats just above the largest one, as its shortest form is: 3.4028235e38.

        They become the largest, in place; the codec refuses them otherwise.
        """
        try:
            return self._narrow(description, value)
        except RecursionError:
            return False

    def _narrow(self, description: DescMessage, value: JsonValue) -> bool:
        if value.__class__ is not dict or description.type_name in OPAQUE or not self.within(description):
            return False
        found = False
        for field in description.fields:
            for name in {field.name, field.json_name} & value.keys():
                found |= self._narrow_field(field, value, name)
        return found

    def _narrow_field(self, field: DescField, value: dict[str, JsonValue], name: str) -> bool:
        item, element = value[name], element_of(field)
        if isinstance(field.value, DescFieldValueList) and isinstance(item, list):
            return sum(_narrow_one(self._narrow, element, item, index) for index in range(len(item))) > 0
        if isinstance(field.value, DescFieldValueMap) and isinstance(item, dict):
            return sum(_narrow_one(self._narrow, element, item, key) for key in item) > 0
        return _narrow_one(self._narrow, element, value, name)

    def _shorten_any(self, value: dict[str, JsonValue]) -> JsonValue:
        held = any_type(value, self._registry)
        if held is not None and held.type_name in OPAQUE:
            value["value"] = self.shorten(held, value["value"])
        elif held is not None:
            self.shorten(held, value)
        return value

    def _shorten_field(self, place: _Place, item: JsonValue) -> JsonValue:
        if place.many is list:
            return [self._shorten_one(place, each) for each in item]
        if place.many is dict:
            return {key: self._shorten_one(place, each) for key, each in item.items()}
        return self._shorten_one(place, item)

    def _shorten_one(self, place: _Place, item: JsonValue) -> JsonValue:
        return shortest(item) if place.within is None else self.shorten(place.within, item)

    def _places_of(self, description: DescMessage) -> tuple[_Place, ...]:
        known = self._places.get(description.type_name)
        if known is None:
            fields = () if description.type_name in OPAQUE else description.fields
            known = tuple(place for field in fields for place in self._place(field))
            self._places[description.type_name] = known
        return known

    def _place(self, field: DescField) -> Iterator[_Place]:
        element = element_of(field)
        kinds = {DescFieldValueList: list, DescFieldValueMap: dict}
        many = kinds.get(type(field.value))
        if element is ScalarType.FLOAT:
            yield _Place(self._name(field), many, None)
        elif isinstance(element, DescMessage) and self.within(element):
            yield _Place(self._name(field), many, element)


def shortest(value: JsonValue) -> JsonValue:
    """The double with the fewest digits that is the same float; what is no number stays."""
    if value.__class__ is not float:
        return value
    for digits in _DIGITS if abs(value) >= _SUBNORMAL else range(1, 9):
        short = float(f"{value:.{digits}g}")
        if _SINGLE.unpack(_SINGLE.pack(short))[0] == value:
            return short
    return float(f"{value:.9g}")


def _narrow_one(
    narrow: Callable[[DescMessage, JsonValue], bool], element: Any, parent: Any, key: str | int
) -> bool:
    if element is ScalarType.FLOAT or getattr(element, "type_name", "") == FLOAT_VALUE:
        if (largest := _largest(parent[key])) is None:
            return False
        parent[key] = largest
        return True
    return isinstance(element, DescMessage) and narrow(element, parent[key])


def _largest(value: JsonValue) -> float | None:
    """The largest float or its negative, for a number or its text that rounds to it from above."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return math.copysign(_MAX, number) if _MAX < abs(number) < _BEYOND else None


def _has_own(description: DescMessage) -> bool:
    if description.type_name in (ANY, FLOAT_VALUE):
        return True
    return any(element_of(field) is ScalarType.FLOAT for field in description.fields)


def _reachable(description: DescMessage) -> list[DescMessage]:
    """A type and all that its fields lead to."""
    found = {description.type_name: description}
    rest = [description]
    while rest:
        for field in rest.pop().fields:
            element = element_of(field)
            if isinstance(element, DescMessage) and element.type_name not in found:
                found[element.type_name] = element
                rest.append(element)
    return list(found.values())
