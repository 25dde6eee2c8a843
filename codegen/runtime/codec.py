"""ProtoJSON to messages and back, by descriptors; strict.

Refused beyond what the library refuses: an object with the same key twice, one field under both its names,
two members of one oneof, and numbers in strings that only Python reads. Every refusal is an Error that names
the field.
"""

from __future__ import annotations

import re
from typing import Any, TypedDict

import orjson
from protobuf import (
    DescField,
    DescMessage,
    Message,
    Registry,
    message_from_json_value,
    message_to_json_value,
)

from codegen.runtime.errors import Error
from codegen.runtime.json_diagnosis import CODEC_ERRORS, Diagnosis, check_form, malformed, parsed, repeats
from codegen.runtime.json_floats import Floats
from codegen.runtime.json_known import Known
from codegen.runtime.json_shape import JsonValue, RefusedError, Shapes, keys_in

MAX_DIAGNOSED_BYTES = 1 << 16
"""Longest JSON whose refusal names the field: finding it may take several microseconds for each byte."""

_LARGEST_FLOAT = re.compile(rb"3\.40282|340282")
_SPACED_KEY = re.compile(rb'"[ \t\r\n]+:')


class _Printing(TypedDict):
    """What the codec is told when it writes JSON."""

    registry: Registry
    always_emit_implicit: bool
    use_proto_field_name: bool


class JsonCodec:
    """Types of one schema by name.

    Args:
        registry: all types; `google.protobuf.Any` and extensions are resolved in it too.
        always_print_fields_with_no_presence: whether JSON says zeros, empty texts and empty lists too, or
            leaves them out, as ProtoJSON does by default.
        preserving_proto_field_name: whether JSON names fields as the schema writes them, `page_size`.
        ignore_unknown_fields: whether fields and enum values that the schema does not have are passed over,
            as a client does whose service is newer.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        always_print_fields_with_no_presence: bool = False,
        preserving_proto_field_name: bool = False,
        ignore_unknown_fields: bool = False,
    ) -> None:
        self.registry = registry
        self.printing = _Printing(
            registry=registry,
            always_emit_implicit=always_print_fields_with_no_presence,
            use_proto_field_name=preserving_proto_field_name,
        )
        self.known = Known(registry) if ignore_unknown_fields else None
        self.shapes = Shapes(registry)
        self.floats = Floats(registry, self.name)
        self.diagnosis = Diagnosis(registry, ignore_unknown_fields=ignore_unknown_fields)
        self._types: dict[str, MessageJson] = {}

    def type(self, full_name: str) -> MessageJson:
        """The codec of one message type.

        Raises:
            LookupError: the registry has no such message.
        """
        if (known := self._types.get(full_name)) is not None:
            return known
        description = self.registry.message(full_name)
        if description is None:
            raise LookupError(f"no message {full_name} in the registry")
        made = self._types[full_name] = MessageJson(description, self)
        return made

    def loads(self, data: bytes) -> JsonValue:
        """JSON without a type, its keys unique.

        Raises:
            Error: MALFORMED_BODY or INVALID_FIELD.
        """
        try:
            value = orjson.loads(data)
            if is_unique(data, keys_in(value)):
                return value
        except (ValueError, RecursionError):
            pass
        if len(data) > MAX_DIAGNOSED_BYTES:
            check_form(data)
            raise malformed("the JSON has a key twice or is nested too deeply, and is too large to say where")
        raise self.diagnosis.of_repeated(parsed(data))

    def to_json(self, message: Message[Any]) -> bytes:
        """JSON of a message.

        Raises:
            ValueError: the message has a value that JSON cannot say, such as a time out of range.
        """
        if self.floats.within(message.desc()):
            return orjson.dumps(self.to_json_value(message))
        return message.to_json(**self.printing).encode()

    def to_json_value(self, message: Message[Any]) -> JsonValue:
        """As `to_json`, before it is text."""
        value = message_to_json_value(message, **self.printing)
        description = message.desc()
        return self.floats.shorten(description, value) if self.floats.within(description) else value

    def name(self, field: DescField) -> str:
        """Name of a field in JSON that is written."""
        return field.name if self.printing["use_proto_field_name"] else field.json_name


class MessageJson:
    """The codec of one message type; made by `JsonCodec.type`."""

    def __init__(self, description: DescMessage, codec: JsonCodec) -> None:
        self.description = description
        self.message = description.type
        self._codec = codec
        self._shape = codec.shapes.of(description)
        self._walk = codec.shapes.walk
        self._registry = codec.registry
        self._from_binary = self.message.from_binary
        self._printing = codec.printing
        self._has_floats = codec.floats.within(description)
        self._known = codec.known

    def parse(self, data: bytes | str) -> Message[Any]:
        """The message that a JSON text says.

        Raises:
            Error: MALFORMED_BODY, INVALID_FIELD or UNKNOWN_FIELD.
        """
        raw = data if data.__class__ is bytes else _encoded(data)
        try:
            # The gate bounds the depth and refuses what the codec would crash on or read in its own way.
            value = orjson.loads(raw)
            if value.__class__ is dict:
                count = self._walk(value, self._shape)
                if raw.count(b":") != count and not is_unique(raw, count):
                    raise RefusedError
            if self._known is not None:
                value = self._known.of(self.description, value)
            return message_from_json_value(self.message, value, registry=self._registry)
        except CODEC_ERRORS:
            if _LARGEST_FLOAT.search(raw) is None or not self._codec.floats.within(self.description):
                raise self._refusal(raw) from None
        value = self._codec.loads(raw)
        if not isinstance(value, dict):
            raise self._refusal(raw)
        return self.parse_value(value, len(raw))

    def parse_value(self, value: dict[str, JsonValue], size: int = 0) -> Message[Any]:
        """The message that parsed JSON says; its keys must be known to be unique.

        Args:
            value: changed where it has floats just above the largest one.
            size: bytes of its text, as far as a client can make it large.

        Raises:
            Error: INVALID_FIELD or UNKNOWN_FIELD.
        """
        try:
            self._walk(value, self._shape)
            return self._from_value(value)
        except CODEC_ERRORS:
            if not self._codec.floats.narrow(self.description, value):
                if size > MAX_DIAGNOSED_BYTES:
                    raise self._unsaid() from None
                raise self._codec.diagnosis.of(self.description, value) from None
        return self.parse_value(value, size)

    def _from_value(self, value: JsonValue) -> Message[Any]:
        known = value if self._known is None else self._known.of(self.description, value)
        return message_from_json_value(self.message, known, registry=self._registry)

    def parse_binary(self, data: bytes) -> Message[Any]:
        """The message that the bytes hold.

        Raises:
            Error: MALFORMED_BODY.
        """
        try:
            return self.message.from_binary(data)
        except CODEC_ERRORS:
            raise malformed(f"the bytes are not a serialized {self.description.type_name}") from None

    def to_binary(self, message: Message[Any]) -> bytes:
        """The binary form of a parsed message.

        Raises:
            Error: INVALID_FIELD, for what JSON can say but the binary form cannot.
        """
        try:
            return message.to_binary()
        except CODEC_ERRORS as error:
            raise self._incomplete(error) from None

    def to_json(self, data: bytes | Message[Any]) -> bytes:
        """JSON of a message, or of its binary form.

        Raises:
            ValueError: the message has a value that JSON cannot say, such as a time out of range.
        """
        message = self._from_binary(data) if isinstance(data, bytes) else data
        if self._has_floats:
            return self._codec.to_json(message)
        return message.to_json(**self._printing).encode()

    def _refusal(self, raw: bytes) -> Error:
        if len(raw) > MAX_DIAGNOSED_BYTES:
            check_form(raw)
            return self._unsaid()
        return self._codec.diagnosis.of(self.description, parsed(raw))

    def _unsaid(self) -> Error:
        name = self.description.type_name
        return malformed(f"the JSON cannot be read as {name}, and is too large to say where")

    def _incomplete(self, error: Exception) -> Error:
        return malformed(f"the message cannot be serialized as {self.description.type_name}: {error}")


def is_unique(data: bytes, count: int) -> bool:
    """Whether no object in JSON has a key twice.

    As many colons in all, or as many quotes before colons, as keys are left after parsing mean that none was
    lost. Otherwise strings contain such signs, and only a second parse can tell.

    Args:
        data: well-formed.
        count: keys in all of it after parsing.
    """
    if data.count(b":") == count or (data.count(b'":') == count and not _SPACED_KEY.search(data)):
        return True
    return not repeats(data)


def _encoded(data: bytes | str) -> bytes:
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
