"""Scalars and well-known types as JSON Schema: what ProtoJSON makes of them.

Schemas give the form that is written. What is read besides, such as numbers for 64 bits, stands in the
document's own description.
"""

from __future__ import annotations

from typing import Any, Final

from protobuf import ScalarType

Node = dict[str, Any]

_INT32: Final = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
_UINT32: Final = {"type": "integer", "format": "uint32", "minimum": 0, "maximum": 2**32 - 1}
_INT64: Final = {"type": "string", "format": "int64", "pattern": "^(?:0|-?[1-9][0-9]{0,18})$"}
_UINT64: Final = {"type": "string", "format": "uint64", "pattern": "^(?:0|[1-9][0-9]{0,19})$"}
_BASE64: Final = "[A-Za-z0-9+/]"
_BYTES: Final = {
    "type": "string",
    "contentEncoding": "base64",
    "pattern": f"^(?:{_BASE64}{{4}})*(?:{_BASE64}[AQgw]==|{_BASE64}{{2}}[AEIMQUYcgkosw048]=)?$",
}
_TEXTS: Final = {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}
_MAX_FLOAT: Final = 3.4028235e38  # as the largest one is written
_DOUBLE: Final = {"anyOf": [{"type": "number", "format": "double"}, _TEXTS]}
_FLOAT: Final = {
    "anyOf": [{"type": "number", "format": "float", "minimum": -_MAX_FLOAT, "maximum": _MAX_FLOAT}, _TEXTS]
}
_STRING: Final = {"type": "string"}
_BOOL: Final = {"type": "boolean"}

_NAME: Final = "[A-Za-z][A-Za-z0-9]*"
_PATH: Final = rf"{_NAME}(?:\.{_NAME})*"
# 315,576,000,000 seconds at most: google/protobuf/duration.proto.
_SECONDS: Final = "[0-9]{1,11}|[12][0-9]{11}|30[0-9]{10}|31[0-4][0-9]{9}|315[0-4][0-9]{8}|3155[0-6][0-9]{7}"

SCALARS: Final[dict[ScalarType, Node]] = {
    ScalarType.BOOL: _BOOL,
    ScalarType.BYTES: _BYTES,
    ScalarType.DOUBLE: _DOUBLE,
    ScalarType.FIXED32: _UINT32,
    ScalarType.FIXED64: _UINT64,
    ScalarType.FLOAT: _FLOAT,
    ScalarType.INT32: _INT32,
    ScalarType.INT64: _INT64,
    ScalarType.SFIXED32: _INT32,
    ScalarType.SFIXED64: _INT64,
    ScalarType.SINT32: _INT32,
    ScalarType.SINT64: _INT64,
    ScalarType.STRING: _STRING,
    ScalarType.UINT32: _UINT32,
    ScalarType.UINT64: _UINT64,
}
"""Of every scalar type."""

ANY: Final[Node] = {
    "type": "object",
    "properties": {
        "@type": {
            "type": "string",
            "pattern": "^[^/]*/(?:[^/]*/)*[A-Za-z_][A-Za-z_0-9.]*$",
            "description": "Which message it is: `type.googleapis.com/` and its full name.",
        }
    },
    "required": ["@type"],
    "additionalProperties": True,
    "examples": [{"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.5s"}],
}
"""`google.protobuf.Any`."""

WRAPPERS: Final[dict[str, Node]] = {
    "google.protobuf.BoolValue": _BOOL,
    "google.protobuf.BytesValue": _BYTES,
    "google.protobuf.DoubleValue": _DOUBLE,
    "google.protobuf.FloatValue": _FLOAT,
    "google.protobuf.Int32Value": _INT32,
    "google.protobuf.Int64Value": _INT64,
    "google.protobuf.StringValue": _STRING,
    "google.protobuf.UInt32Value": _UINT32,
    "google.protobuf.UInt64Value": _UINT64,
}
"""Where they are fields, null is as good as absent."""

WELL_KNOWN: Final[dict[str, Node]] = WRAPPERS | {
    "google.protobuf.Any": ANY,
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": rf"^-?(?:{_SECONDS}|31557[0-5][0-9]{{6}})(?:\.[0-9]{{1,9}})?s$",
        "examples": ["1.5s"],
    },
    "google.protobuf.Empty": {"type": "object", "additionalProperties": False},
    "google.protobuf.FieldMask": {
        "type": "string",
        "pattern": rf"^(?:{_PATH}(?:,{_PATH})*)?$",
        "description": "Names of fields, separated by commas.",
    },
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.NullValue": {"type": "null"},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Value": {},
}
"""Of every message and enum that ProtoJSON writes in a way of its own."""

KEYS: Final[dict[ScalarType, Node]] = {
    ScalarType.BOOL: {"enum": ["true", "false"]},
    **{
        kind: {"pattern": "^(?:0|-?[1-9][0-9]*)$"}
        for kind in (ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32)
    },
    **{kind: {"pattern": "^(?:0|[1-9][0-9]*)$"} for kind in (ScalarType.UINT32, ScalarType.FIXED32)},
    **{
        kind: {"format": "int64", "pattern": _INT64["pattern"]}
        for kind in (ScalarType.INT64, ScalarType.SINT64, ScalarType.SFIXED64)
    },
    **{
        kind: {"format": "uint64", "pattern": _UINT64["pattern"]}
        for kind in (ScalarType.UINT64, ScalarType.FIXED64)
    },
}
"""Keys of maps, which JSON writes as text; those that are text say nothing of themselves."""


def nullable(node: Node) -> Node:
    """A schema that allows null too."""
    if isinstance(node.get("type"), str):
        return node | {"type": [node["type"], "null"]}
    if "anyOf" in node:
        return node | {"anyOf": [*node["anyOf"], {"type": "null"}]}
    return {"anyOf": [node, {"type": "null"}]} if node else node
