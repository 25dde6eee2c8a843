"""Numbers of type float in JSON with as few digits as tell them apart: 0.1 for 0.10000000149011612.

A float is held as a double, and the codec writes all digits of that. Other implementations of ProtoJSON write
the shortest form that reads back as the same float.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from protobuf import DescField, DescFieldValueList, DescFieldValueMap, DescMessage, Registry, ScalarType

from codegen.runtime.json_shape import ANY, OPAQUE, JsonValue, any_type, element_of

FLOAT_VALUE = "google.protobuf.FloatValue"

_SINGLE = struct.Struct("f")
_DIGITS = range(6, 9)
"""Significant digits to try; nine always suffice, and all doubles that fewer give back have them."""


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
    for digits in _DIGITS:
        short = float(f"{value:.{digits}g}")
        if _SINGLE.unpack(_SINGLE.pack(short))[0] == value:
            return short
    return float(f"{value:.9g}")


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
