"""One field of a response, sent instead of the whole."""

from __future__ import annotations

from collections.abc import Mapping

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    ScalarType,
)

from codegen.runtime.json_shape import JsonValue, element_of

_LONG = frozenset(
    (ScalarType.INT64, ScalarType.UINT64, ScalarType.SINT64, ScalarType.FIXED64, ScalarType.SFIXED64)
)


def singular_message(field: DescField) -> bool:
    """Whether the field has a binary form of its own."""
    return isinstance(field.value, DescFieldValueMessage)


def field_json(message: Mapping[str, JsonValue] | JsonValue, field: DescField) -> JsonValue:
    """ProtoJSON of a field, given that of its message. Absent is the default, or null for a message."""
    if field.json_name in message:
        return message[field.json_name]
    if isinstance(field.value, DescFieldValueList):
        return []
    if isinstance(field.value, DescFieldValueMap):
        return {}
    element = element_of(field)
    if isinstance(element, DescEnum):
        return element.values[0].name
    return _scalar_default(element) if isinstance(element, ScalarType) else None


def _scalar_default(scalar: ScalarType) -> JsonValue:
    if scalar in _LONG:
        return "0"
    if scalar in (ScalarType.STRING, ScalarType.BYTES):
        return ""
    if scalar in (ScalarType.FLOAT, ScalarType.DOUBLE):
        return 0.0
    return False if scalar is ScalarType.BOOL else 0
