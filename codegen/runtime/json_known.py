"""JSON without what a schema does not have.

The codec can pass over unknown fields itself, but with them it loses numbers of enums that have no name. Open
enums keep those (https://protobuf.dev/programming-guides/enum/), in every other parser of ProtoJSON too.
"""

from __future__ import annotations

from typing import Any, Final

from protobuf import DescEnum, DescField, DescFieldValueList, DescFieldValueMap, DescMessage, Registry

from codegen.runtime.json_shape import ANY, OPAQUE, JsonValue, any_type, element_of

_UNKNOWN: Final = object()


class Known:
    """Leaves out unknown fields, unknown names of enum values, and unknown numbers of closed enums.

    Args:
        registry: resolves `google.protobuf.Any` and extensions.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._fields: dict[str, dict[str, DescField]] = {}
        self._enums: dict[str, frozenset[str | int]] = {}

    def of(self, description: DescMessage, value: JsonValue) -> JsonValue:
        """What a message's JSON says that the schema has; the depth of the JSON must be bounded."""
        if not isinstance(value, dict):
            return value
        if description.type_name == ANY:
            return self._within_any(value)
        return value if description.type_name in OPAQUE else self._message(description, value)

    def _within_any(self, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        held = any_type(value, self._registry)
        if held is None or held.type_name in OPAQUE:
            return value
        return {"@type": value["@type"], **self._message(held, value)}

    def _message(self, description: DescMessage, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        fields = self._fields_of(description)
        known = {}
        for key, item in value.items():
            field = fields.get(key)
            if field is not None and (part := self._field(field, item)) is not _UNKNOWN:
                known[key] = part
            elif field is None and key[:1] == "[" and self._registry.extension(key[1:-1]) is not None:
                known[key] = item
        return known

    def _field(self, field: DescField, item: JsonValue) -> Any:
        element = element_of(field)
        if isinstance(field.value, DescFieldValueList) and isinstance(item, list):
            parts = (self._element(element, each) for each in item)
            return [part for part in parts if part is not _UNKNOWN]
        if isinstance(field.value, DescFieldValueMap) and isinstance(item, dict):
            pairs = ((key, self._element(element, each)) for key, each in item.items())
            return {key: part for key, part in pairs if part is not _UNKNOWN}
        return self._element(element, item)

    def _element(self, element: Any, item: JsonValue) -> Any:
        if isinstance(element, DescMessage):
            return self.of(element, item)
        return _UNKNOWN if isinstance(element, DescEnum) and self._is_unknown(element, item) else item

    def _is_unknown(self, enum: DescEnum, item: JsonValue) -> bool:
        if item.__class__ is str or (item.__class__ is int and not enum.open):
            return item not in self._values_of(enum)
        return False

    def _fields_of(self, description: DescMessage) -> dict[str, DescField]:
        if (made := self._fields.get(description.type_name)) is None:
            made = {name: field for field in description.fields for name in (field.name, field.json_name)}
            self._fields[description.type_name] = made
        return made

    def _values_of(self, enum: DescEnum) -> frozenset[str | int]:
        if (made := self._enums.get(enum.type_name)) is None:
            made = frozenset(part for value in enum.values for part in (value.name, value.number))
            self._enums[enum.type_name] = made
        return made
