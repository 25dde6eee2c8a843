"""Messages and enums as JSON Schema: the ProtoJSON mapping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
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

from codegen.plugin.es_names import field_type
from codegen.plugin.ir import Described, Schema
from codegen.plugin.openapi_rules import IMMUTABLE, INPUT_ONLY, OUTPUT_ONLY, Rules
from codegen.plugin.openapi_scalars import KEYS, SCALARS, WELL_KNOWN, WRAPPERS, Node, nullable
from codegen.plugin.openapi_text import markdown, sentences

_EXTENSIONS: Final[Node] = {r"^\[[A-Za-z_][A-Za-z_0-9.]*\]$": {}}
"""How ProtoJSON names extensions."""


class Schemas:
    """Schemas of types, collected as they are referred to.

    Args:
        schema: the run's.
        read: types that come in requests. Unknown fields of those are refused; answers may grow.
    """

    def __init__(self, schema: Schema, read: Iterable[DescMessage] = ()) -> None:
        self._schema = schema
        self._rules = Rules(schema)
        self._components: dict[str, Node] = {}
        self._closed = frozenset(_reachable(read))

    @property
    def components(self) -> dict[str, Node]:
        """Everything referred to so far, by full name."""
        return dict(sorted(self._components.items()))

    def text(self, desc: Described) -> str:
        """The comment on a descriptor, in Markdown."""
        return markdown(self._schema.comments(desc))

    def required(self, field: DescField) -> bool:
        """Whether a request without the field is refused."""
        return self._rules.required(field)

    def needs_fields(self, node: Node) -> bool:
        """Whether an empty object is refused."""
        target = self._components.get(node.get("$ref", "").rpartition("/")[2], node)
        choices = [each["oneOf"] for each in [target, *target.get("allOf", ())] if "oneOf" in each]
        # What may be left out has "none of them" as its last alternative.
        return "required" in target or any("not" not in members[-1] for members in choices)

    def reference(self, described: DescMessage | DescEnum) -> Node:
        """The schema of a type: a reference, or what the ProtoJSON mapping says of a well-known type."""
        name = described.type_name
        if name in WELL_KNOWN:
            return dict(WELL_KNOWN[name])
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
        # Beside a bound member of a oneof no other may be given.
        hidden |= {
            field.name
            for oneof in message.oneofs
            if any(field.name in hidden for field in oneof.fields)
            for field in oneof.fields
        }
        fields = [field for field in message.fields if field.name not in hidden]
        text = sentences(self.text(message), self._rules.message_remarks(message))
        node = described(text) | {"type": "object"} | _deprecated(message)
        if fields:
            node["properties"] = {field.json_name: self.field(field) for field in fields}
        if required := list(dict.fromkeys(self._required(message, fields))):
            node["required"] = required
        if message.proto.extension_range:
            node["patternProperties"] = _EXTENSIONS
        if message.type_name in self._closed:
            node["additionalProperties"] = False
        choices = list(self._choices(message, hidden))
        return node | ({"allOf": choices} if len(choices) > 1 else dict(*choices))

    def field(self, field: DescField) -> Node:
        """The schema of a field's value, with its rules and its comment."""
        node = self._rules.apply(field, self._value(field))
        if isinstance(field.value, DescFieldValueMessage) and field.value.message.type_name in WRAPPERS:
            node = nullable(node)
        return node | self._annotations(field, node)

    def value(self, field: DescField) -> Node:
        """As `field`, where the value stands alone and so cannot be null: a parameter, a body."""
        node = self._rules.apply(field, self._value(field))
        return node | self._annotations(field, node)

    def element(self, element: DescMessage | DescEnum | ScalarType) -> Node:
        """The schema of one value of a list or map."""
        return dict(SCALARS[element]) if isinstance(element, ScalarType) else self.reference(element)

    def _annotations(self, field: DescField, node: Node) -> Node:
        behavior = self._rules.behavior(field)
        immutable = "It cannot be changed." if IMMUTABLE in behavior else ""
        own = self.text(field) or node.get("description", "")
        text = sentences(own, self._rules.remarks(field), immutable)
        given = self._rules.examples(field)
        return (
            described(text)
            | ({"examples": given} if given else {})
            | ({"readOnly": True} if OUTPUT_ONLY in behavior else {})
            | ({"writeOnly": True} if INPUT_ONLY in behavior else {})
            | _deprecated(field)
        )

    def _value(self, field: DescField) -> Node:
        match field.value:
            case DescFieldValueList(element=element):
                items = self._rules.apply_to_items(field, self.element(element))
                return {"type": "array", "items": items}
            case DescFieldValueMap(value=value):
                values = self._rules.apply_to_items(field, self.element(value))
                keys = KEYS.get(field.value.key, {}) | self._rules.key_words(field)
                node: Node = {"type": "object", "additionalProperties": values or True}
                return node | ({"propertyNames": keys} if keys else {})
            case DescFieldValueMessage(message=message):
                return self.reference(message)
            case DescFieldValueEnum(enum=enum):
                return self.reference(enum)
            case value:
                return dict(SCALARS[value.scalar])

    def _required(self, message: DescMessage, fields: Iterable[DescField]) -> Iterator[str]:
        names = {field.name for field in fields}
        for field in fields:
            if self._rules.required(field):
                yield field.json_name
        for oneof in message.oneofs:
            if len(oneof.fields) == 1 and oneof.fields[0].name in names and self._rules.oneof_required(oneof):
                yield oneof.fields[0].json_name

    def _choices(self, message: DescMessage, hidden: set[str]) -> Iterator[Node]:
        declared = ((list(oneof.fields), self._required_oneof(oneof)) for oneof in message.oneofs)
        for fields, required in chain(declared, self._rules.virtual_oneofs(message)):
            if len(fields) > 1 and not hidden & {field.name for field in fields}:
                yield _choice(fields, required=required)

    def _required_oneof(self, oneof: DescOneof) -> bool:
        return self._rules.oneof_required(oneof)

    def _enum(self, enum: DescEnum) -> Node:
        lines = [self._enum_line(value) for value in enum.values]
        text = "\n".join([self.text(enum), "", *lines]).strip()
        names = [value.name for value in enum.values]
        return described(text) | {"type": "string", "enum": names} | _deprecated(enum)

    def _enum_line(self, value: Any) -> str:
        text = " ".join(self.text(value).split())
        words = sentences(text, "Deprecated." if value.deprecated else "")
        return f"- `{value.name}`: {words}".rstrip(": ")


def described(text: str) -> Node:
    """A description, if there is something to say."""
    return {"description": text} if text else {}


def _choice(fields: list[DescField], *, required: bool) -> Node:
    members: list[Node] = [{"required": [field.json_name]} for field in fields]
    return {"oneOf": members if required else [*members, {"not": {"anyOf": members}}]}


def _deprecated(desc: DescEnum | DescField | DescMessage) -> Node:
    return {"deprecated": True} if desc.deprecated else {}


def _reachable(roots: Iterable[DescMessage]) -> Iterator[str]:
    """Full names of the messages in which fields of the roots lie."""
    seen: set[str] = set()
    pending = list(roots)
    while pending:
        message = pending.pop()
        if message.type_name in seen:
            continue
        seen.add(message.type_name)
        yield message.type_name
        pending += [found for field in message.fields if isinstance(found := field_type(field), DescMessage)]
