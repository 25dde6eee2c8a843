"""Why JSON was refused: the slow second look that names the field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from idiom.v1 import reason_errors as reasons
from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescMessage,
    Registry,
    ScalarType,
    message_from_json_value,
)

from codegen.runtime.errors import Error, FieldViolation, Reason
from codegen.runtime.json_shape import (
    ANY,
    NULL_COUNTS,
    OPAQUE,
    JsonValue,
    any_type,
    depth_in_any,
    element_of,
    is_too_deep,
    value_check,
)

CODEC_ERRORS = (ValueError, TypeError, OverflowError, RecursionError)
"""What the codec raises for JSON or bytes that it cannot read."""

MAX_NARROWING = 16
"""Levels into which a refusal of the codec is followed; each may cost a parse of all that is left."""

MAX_PATH = 256
"""Characters of a path in an error."""

_INTEGER = re.compile(r"-?[0-9]+")
_INTEGERS = {
    **dict.fromkeys((ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32), "a 32-bit integer"),
    **dict.fromkeys((ScalarType.UINT32, ScalarType.FIXED32), "an unsigned 32-bit integer"),
    **dict.fromkeys((ScalarType.INT64, ScalarType.SINT64, ScalarType.SFIXED64), "a 64-bit integer"),
    **dict.fromkeys((ScalarType.UINT64, ScalarType.FIXED64), "an unsigned 64-bit integer"),
}
_SCALARS = {
    **_INTEGERS,
    ScalarType.BOOL: "true or false",
    ScalarType.STRING: "a string",
    ScalarType.BYTES: "base64",
    ScalarType.FLOAT: "a 32-bit floating-point number",
    ScalarType.DOUBLE: "a floating-point number",
}
_MESSAGES = {
    "google.protobuf.Timestamp": "an RFC 3339 time",
    "google.protobuf.Duration": "seconds such as 1.5s",
    "google.protobuf.FieldMask": "a list of field names in lowerCamelCase, separated by commas,",
    "google.protobuf.Any": "an object with a known @type",
    "google.protobuf.ListValue": "a list",
    "google.protobuf.BoolValue": "true or false",
    "google.protobuf.StringValue": "a string",
    "google.protobuf.BytesValue": "base64",
    "google.protobuf.Int32Value": "a 32-bit integer",
    "google.protobuf.UInt32Value": "an unsigned 32-bit integer",
    "google.protobuf.Int64Value": "a 64-bit integer",
    "google.protobuf.UInt64Value": "an unsigned 64-bit integer",
    "google.protobuf.FloatValue": "a 32-bit floating-point number",
    "google.protobuf.DoubleValue": "a floating-point number",
}


class Object(dict[str, JsonValue]):
    """A JSON object that remembers a key it had twice."""

    twice: str | None = None

    @classmethod
    def of(cls, pairs: list[tuple[str, JsonValue]]) -> Object:
        """The object of these members."""
        made = cls(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            made.twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return made


def parsed(data: bytes | str) -> JsonValue:
    """JSON with its repeated keys.

    Raises:
        Error: MALFORMED_BODY.
    """
    check_form(data)
    with _refusing():
        return json.loads(data, object_pairs_hook=Object.of)


def check_form(data: bytes | str) -> None:
    """Whether it is JSON at all: UTF-8, no lone surrogates, bounded depth. Much cheaper than `parsed`.

    Raises:
        Error: MALFORMED_BODY.
    """
    with _refusing():
        orjson.loads(data)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise malformed(f"not well-formed JSON: {error}") from None
    except RecursionError:
        raise malformed("the JSON is nested too deeply") from None


def repeats(data: bytes) -> bool:
    """Whether an object in well-formed JSON has a key twice."""
    lost = 0

    def count(pairs: list[tuple[str, JsonValue]]) -> None:
        nonlocal lost
        lost += len(pairs) - len({key for key, _ in pairs})

    json.loads(data, object_pairs_hook=count)
    return lost > 0


def malformed(message: str) -> Error:
    """A body that cannot be read at all."""
    return Error(reasons.MALFORMED_BODY, message)


def field_error(reason: Reason, path: str, description: str) -> Error:
    """A refusal that names a field."""
    if len(path) > MAX_PATH:
        path = f"{path[:MAX_PATH]}…"
    return Error(
        reason, f"{path}: {description}" if path else description, [FieldViolation(path, description)]
    )


def invalid(path: str, description: str) -> Error:
    """A value that its field cannot take."""
    return field_error(reasons.INVALID_FIELD, path, description)


def expected(element: ScalarType | DescEnum | DescMessage) -> str:
    """What a value of a type looks like in JSON."""
    if isinstance(element, ScalarType):
        return _SCALARS[element]
    if isinstance(element, DescEnum):
        return f"a value of {element.type_name}"
    return _MESSAGES.get(element.type_name, "an object")


class Diagnosis:
    """Finds what a codec refused.

    Args:
        registry: resolves `google.protobuf.Any` and extensions.
        ignore_unknown_fields: whether fields that the schema does not have are no reason.
    """

    def __init__(self, registry: Registry, *, ignore_unknown_fields: bool = False) -> None:
        self._registry = registry
        self._ignores_unknown = ignore_unknown_fields
        self._names: dict[str, dict[str, DescField]] = {}

    def of(self, description: DescMessage, value: JsonValue) -> Error:
        """The first thing that is wrong with JSON which was refused as this type."""
        if not isinstance(value, dict) and description.type_name not in OPAQUE:
            return malformed("the body is not a JSON object")
        try:
            found = next(self._rules(description, value, "", 0), None) or self._narrowed(
                description, value, "", 0
            )
        except RecursionError:
            found = None
        return found or malformed(f"the JSON cannot be read as {description.type_name}")

    def of_repeated(self, value: JsonValue) -> Error:
        """The first key that is there twice in JSON as `parsed` returns it."""
        try:
            found = next(self._plain_rules(value, "", 0), None)
        except RecursionError:
            found = None
        return found or malformed("the JSON is nested too deeply")

    # Rules of ours: the same as json_shape checks, and unknown fields.

    def _rules(self, description: DescMessage, value: JsonValue, path: str, depth: int) -> Iterator[Error]:
        if is_too_deep(depth):
            yield invalid(path, "nested too deeply")
        elif isinstance(value, dict):
            yield from self._repeated(value, path)
            if description.type_name == ANY:
                description, depth = any_type(value, self._registry) or description, depth_in_any(depth)
            if description.type_name in OPAQUE:
                yield from self._plain_rules(value, path, depth)
            else:
                yield from self._object_rules(description, value, path, depth)
        else:
            yield from self._plain_rules(value, path, depth)

    def _repeated(self, value: JsonValue, path: str) -> Iterator[Error]:
        if isinstance(value, Object) and value.twice is not None:
            yield invalid(joined(path, value.twice), "the key is there twice")

    def _plain_rules(self, value: JsonValue, path: str, depth: int) -> Iterator[Error]:
        if is_too_deep(depth):
            yield invalid(path, "nested too deeply")
            return
        yield from self._repeated(value, path)
        for key, item in _items(value):
            yield from self._plain_rules(item, f"{path}{key}", depth + 1)

    def _object_rules(
        self, description: DescMessage, value: Mapping[str, JsonValue], path: str, depth: int
    ) -> Iterator[Error]:
        fields = self._names_of(description)
        seen: dict[str, str] = {}
        for key, item in value.items():
            field = fields.get(key)
            if field is None:
                yield from self._unknown(description, key, item, path)
                continue
            here = joined(path, field.name)
            slot = _slot(field, item)
            if slot in seen:
                yield invalid(here, f"{seen[slot]} is given too, and only one of them may be")
            if slot:
                seen[slot] = key
            yield from self._value_rules(field, item, here, depth + 1)

    def _names_of(self, description: DescMessage) -> dict[str, DescField]:
        known = self._names.get(description.type_name)
        if known is None:
            known = self._names[description.type_name] = names(description)
        return known

    def _unknown(self, description: DescMessage, key: str, item: JsonValue, path: str) -> Iterator[Error]:
        if self._ignores_unknown:
            yield from self._plain_rules(item, joined(path, key), 1)
            return
        extension = self._registry.extension(key[1:-1]) if key[:1] == "[" else None
        if key != "@type" and extension is None:
            told = f"{description.type_name} has no such field"
            yield field_error(reasons.UNKNOWN_FIELD, joined(path, key), told)

    def _value_rules(self, field: DescField, item: JsonValue, path: str, depth: int) -> Iterator[Error]:
        element, check = element_of(field), value_check(element_of(field))
        many = isinstance(field.value, DescFieldValueList | DescFieldValueMap)
        if many:
            yield from self._repeated(item, path)
        if (
            isinstance(field.value, DescFieldValueMap)
            and value_check(field.value.key)
            and isinstance(item, dict)
        ):
            yield from (
                invalid(f"{path}{_subscript(key)}", "the key is not an integer")
                for key in item
                if not _INTEGER.fullmatch(key)
            )
        for key, each in _items(item) if many else (("", item),):
            here = f"{path}{key}"
            if check is not None and not check(each):
                yield invalid(here, f"{expected(element)} is expected")
            elif isinstance(element, DescMessage):
                yield from self._rules(element, each, here, depth)
            else:
                yield from self._plain_rules(each, here, depth)

    # What the codec itself refuses: try parts until one is small enough to be named.

    def _narrowed(self, description: DescMessage, value: JsonValue, path: str, depth: int) -> Error | None:
        if not isinstance(value, dict) or description.type_name in OPAQUE:
            return invalid(path, f"{expected(description)} is expected")
        fields = self._names_of(description)
        for key, item in value.items():
            field = fields.get(key)
            if field is not None and self._refuses(description, field, item):
                return self._narrowed_value(field, item, joined(path, field.name), depth + 1)
        return None

    def _narrowed_value(self, field: DescField, item: JsonValue, path: str, depth: int) -> Error | None:
        element = element_of(field)
        if isinstance(field.value, DescFieldValueList | DescFieldValueMap):
            kind = list if isinstance(field.value, DescFieldValueList) else dict
            if not isinstance(item, kind):
                return invalid(path, f"{'a list' if kind is list else 'an object'} is expected")
            subscript, item = self._refused_element(field, item)
            path = f"{path}{subscript}"
        if depth >= MAX_NARROWING:
            return invalid(path, "something within cannot be read")
        if isinstance(element, DescMessage):
            return self._narrowed(element, item, path, depth) or invalid(path, "cannot be read")
        return invalid(path, f"{expected(element)} is expected")

    def _refused_element(self, field: DescField, item: Any) -> tuple[str, JsonValue]:
        """Halves a list or map until one refused element is left."""
        pairs = list(enumerate(item)) if isinstance(item, list) else list(item.items())
        while len(pairs) > 1:
            half = pairs[: len(pairs) // 2]
            part = [each for _, each in half] if isinstance(item, list) else dict(half)
            pairs = half if self._refuses(field.parent, field, part) else pairs[len(half) :]
        key, element = pairs[0]
        return _subscript(key), element

    def _refuses(self, description: DescMessage, field: DescField, item: JsonValue) -> bool:
        try:
            message_from_json_value(
                description.type,
                {field.json_name: item},
                registry=self._registry,
                ignore_unknown_fields=self._ignores_unknown,
            ).to_binary()
        except CODEC_ERRORS:
            return True
        return False


def names(description: DescMessage) -> dict[str, DescField]:
    """Fields by both their names in JSON."""
    return {name: field for field in description.fields for name in (field.name, field.json_name)}


def joined(path: str, name: str) -> str:
    """Path of a field within another."""
    return f"{path}.{name}" if path else name


def _slot(field: DescField, item: JsonValue) -> str:
    """What may be given only once: the oneof, or the field itself under its two names."""
    oneof = getattr(field.value, "oneof", None)
    if oneof is None:
        return field.name
    element = element_of(field)
    null = item is None and getattr(element, "type_name", "") not in NULL_COUNTS
    return "" if null else f"oneof {oneof.name}"


def _items(value: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    if isinstance(value, list):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, dict):
        yield from ((_subscript(key), item) for key, item in value.items())


def _subscript(key: str | int) -> str:
    return f"[{orjson.dumps(key).decode()}]"
