"""Messages and enums as JSON Schema: the ProtoJSON mapping."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescMessage,
    DescOneof,
    ScalarType,
)

from codegen.plugin.ir import Described, Schema
from codegen.plugin.openapi_rules import Rules

Node = dict[str, Any]

_INT32: Final = {"type": "integer", "format": "int32"}
_UINT32: Final = {"type": "integer", "format": "uint32", "minimum": 0, "maximum": 4294967295}
_INT64: Final = {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
_UINT64: Final = {"type": "string", "format": "uint64", "pattern": "^[0-9]+$"}
_BYTES: Final = {"type": "string", "contentEncoding": "base64"}
_SCALARS: Final[dict[ScalarType, Node]] = {
    ScalarType.BOOL: {"type": "boolean"},
    ScalarType.BYTES: _BYTES,
    ScalarType.DOUBLE: {"type": "number", "format": "double"},
    ScalarType.FIXED32: _UINT32,
    ScalarType.FIXED64: _UINT64,
    ScalarType.FLOAT: {"type": "number", "format": "float"},
    ScalarType.INT32: _INT32,
    ScalarType.INT64: _INT64,
    ScalarType.SFIXED32: _INT32,
    ScalarType.SFIXED64: _INT64,
    ScalarType.SINT32: _INT32,
    ScalarType.SINT64: _INT64,
    ScalarType.STRING: {"type": "string"},
    ScalarType.UINT32: _UINT32,
    ScalarType.UINT64: _UINT64,
}
ANY: Final[Node] = {
    "type": "object",
    "properties": {"@type": {"type": "string"}},
    "required": ["@type"],
    "additionalProperties": True,
}
_WELL_KNOWN: Final[dict[str, Node]] = {
    "google.protobuf.Any": ANY,
    "google.protobuf.BoolValue": {"type": ["boolean", "null"]},
    "google.protobuf.BytesValue": {**_BYTES, "type": ["string", "null"]},
    "google.protobuf.DoubleValue": {"type": ["number", "null"], "format": "double"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.FloatValue": {"type": ["number", "null"], "format": "float"},
    "google.protobuf.Int32Value": {**_INT32, "type": ["integer", "null"]},
    "google.protobuf.Int64Value": {**_INT64, "type": ["string", "null"]},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.NullValue": {"type": "null"},
    "google.protobuf.StringValue": {"type": ["string", "null"]},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.UInt32Value": {**_UINT32, "type": ["integer", "null"]},
    "google.protobuf.UInt64Value": {**_UINT64, "type": ["string", "null"]},
    "google.protobuf.Value": {},
}


class Schemas:
    """Schemas of types, collected as they are referred to."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._rules = Rules(schema)
        self._components: dict[str, Node] = {}

    @property
    def components(self) -> dict[str, Node]:
        """Everything referred to so far, by full name."""
        return dict(sorted(self._components.items()))

    def text(self, desc: Described) -> str:
        """The comment on a descriptor, in Markdown."""
        return "\n".join(self._schema.comments(desc)).strip()

    def required(self, field: DescField) -> bool:
        """Whether a request without the field is refused."""
        return self._rules.required(field)

    def reference(self, described: DescMessage | DescEnum) -> Node:
        """The schema of a type: a reference, or what the ProtoJSON mapping says of a well-known type."""
        name = described.type_name
        if name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[name])
        if name not in self._components:
            self._components[name] = {}  # first, because a type may contain itself
            if isinstance(described, DescEnum):
                self._components[name] = self._enum(described)
            else:
                self._components[name] = self.message(described)
        return {"$ref": f"#/components/schemas/{name}"}

    def message(self, message: DescMessage, without: Iterable[str] = ()) -> Node:
        """An object; `without` names fields that are bound elsewhere."""
        hidden = set(without)
        fields = [field for field in message.fields if field.name not in hidden]
        node = _described(self.text(message))
        node["type"] = "object"
        if fields:
            node["properties"] = {field.json_name: self.field(field) for field in fields}
        required = [field.json_name for field in fields if self._rules.required(field)]
        oneofs = [oneof for oneof in message.oneofs if not hidden & {field.name for field in oneof.fields}]
        required += [
            o.fields[0].json_name for o in oneofs if len(o.fields) == 1 and self._rules.oneof_required(o)
        ]
        if required:
            node["required"] = required
        choices = [self._choice(oneof) for oneof in oneofs if len(oneof.fields) > 1]
        return node | ({"allOf": choices} if len(choices) > 1 else dict(*choices))

    def field(self, field: DescField) -> Node:
        """The schema of a field's value, with its rules and its comment."""
        node = self._value(field) | self._rules.keywords(field) | _described(self.text(field))
        return node | ({"deprecated": True} if field.deprecated else {})

    def _value(self, field: DescField) -> Node:
        match field.value:
            case DescFieldValueList(element=element):
                return {"type": "array", "items": self._element(element) | self._rules.item_keywords(field)}
            case DescFieldValueMap(value=value):
                values = self._element(value) | self._rules.item_keywords(field)
                return {"type": "object", "additionalProperties": values or True}
            case DescFieldValueMessage(message=message):
                return self.reference(message)
            case DescFieldValueEnum(enum=enum):
                return self.reference(enum)
            case value:
                return dict(_SCALARS[value.scalar])

    def _element(self, element: DescMessage | DescEnum | ScalarType) -> Node:
        return dict(_SCALARS[element]) if isinstance(element, ScalarType) else self.reference(element)

    def _choice(self, oneof: DescOneof) -> Node:
        members: list[Node] = [{"required": [field.json_name]} for field in oneof.fields]
        if self._rules.oneof_required(oneof):
            return {"oneOf": members}
        return {"oneOf": [*members, {"not": {"anyOf": members}}]}

    def _enum(self, enum: DescEnum) -> Node:
        lines = [
            f"- `{value.name}`: {' '.join(self._schema.comments(value))}".rstrip(": ")
            for value in enum.values
        ]
        text = "\n".join([self.text(enum), "", *lines]).strip()
        return _described(text) | {"type": "string", "enum": [value.name for value in enum.values]}


def _described(text: str) -> Node:
    return {"description": text} if text else {}
