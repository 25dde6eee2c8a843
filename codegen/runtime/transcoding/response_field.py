"""What of a response is sent: the whole, or one field (`response_body`), as JSON, in binary form or raw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    Message,
    ScalarType,
)

from codegen.runtime.codec import JsonCodec, MessageJson
from codegen.runtime.json_shape import JsonValue, element_of
from codegen.runtime.transcoding.http_body import content_of, is_http_body
from codegen.runtime.transcoding.negotiation import BINARY, JSON

_LONG = frozenset(
    (ScalarType.INT64, ScalarType.UINT64, ScalarType.SINT64, ScalarType.FIXED64, ScalarType.SFIXED64)
)


class Answer:
    """Writes responses of one type.

    Args:
        response: the type.
        field: the one that is sent instead of the whole, if there is one.
        codec: of all types.
    """

    def __init__(self, response: MessageJson, field: DescField | None, codec: JsonCodec) -> None:
        self.raw = is_http_body(response.description, field)
        self._response = response
        self._field = field
        self._codec = codec

    def encode(self, data: bytes, *, binary: bool) -> tuple[bytes, str]:
        """Body and content type of a response in binary form.

        A field other than a message has no binary form of its own, and goes out as JSON.
        """
        if self.raw:
            return content_of(self._part(self._response.parse_binary(data)))
        if self._field is None:
            return (data, BINARY) if binary else (self._response.to_json(data), JSON)
        message = self._response.parse_binary(data)
        if isinstance(self._field.value, DescFieldValueMessage):
            return self._message(message[self._field], binary=binary)
        alone: Any = type(message)()  # what is beside the field costs no time, and may have no JSON
        if message.has_field(self._field.name):
            alone[self._field] = message[self._field]
        told = self._codec.to_json_value(alone)
        return orjson.dumps(field_json(told, self._field, self._codec.name(self._field))), JSON

    def _part(self, message: Message[Any]) -> Message[Any] | None:
        part: Message[Any] | None = message if self._field is None else message[self._field]
        return part

    def _message(self, part: Message[Any] | None, *, binary: bool) -> tuple[bytes, str]:
        if binary:
            return (part.to_binary() if part is not None else b""), BINARY
        return (self._codec.to_json(part) if part is not None else b"null"), JSON


def field_json(message: Mapping[str, JsonValue], field: DescField, name: str | None = None) -> JsonValue:
    """ProtoJSON of a field, given that of its message; null if absent, or the default where nothing is.

    Args:
        message: ProtoJSON.
        field: the field.
        name: of the field in it, if it is not the JSON name.
    """
    name = name or field.json_name
    if name in message:
        return message[name]
    if isinstance(field.value, DescFieldValueList):
        return []
    if isinstance(field.value, DescFieldValueMap):
        return {}
    if field.presence.name != "IMPLICIT":
        return None
    element = element_of(field)
    if isinstance(element, DescEnum):
        return element.values[0].name
    return _scalar_default(element)


def _scalar_default(scalar: ScalarType) -> JsonValue:
    if scalar in _LONG:
        return "0"
    if scalar in (ScalarType.STRING, ScalarType.BYTES):
        return ""
    if scalar in (ScalarType.FLOAT, ScalarType.DOUBLE):
        return 0.0
    return False if scalar is ScalarType.BOOL else 0
