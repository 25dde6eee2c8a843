# ruff: noqa: E501 - a row is a line
"""What comes back: one field of a response, and raw content."""

from __future__ import annotations

from typing import Any

from tests.codegen.runtime.http.table.row import GATEWAY, HTTP_PROTO, PROTO_JSON, Call

FIELD = f"{HTTP_PROTO}: response_body"
INNER = "type.googleapis.com/tests.http.v1.Everything.Inner"


def _field(source: str, name: str, body: str, answer: Any) -> Call:
    return Call(source, f"POST /v1/response/{name}", body.encode(), answer)


RESPONSES = [
    _field(FIELD, "inner", '{"inner": {"name": "a", "inner": {"number": 1}}}', {"name": "a", "inner": {"number": 1}}),
    _field(FIELD, "inner", '{"text": "a", "inner": {}}', {}),
    _field(f"{GATEWAY}: an absent message is null", "inner", "{}", None),
    _field(FIELD, "numbers", '{"numbers": [1, 2]}', [1, 2]),
    _field(f"{GATEWAY}: an empty list is a list", "numbers", "{}", []),
    _field(FIELD, "inners", '{"inners": [{}, {"name": "a"}]}', [{}, {"name": "a"}]),
    _field(FIELD, "named", '{"named": {"a": {"number": 1}}}', {"a": {"number": 1}}),
    _field(FIELD, "named", "{}", {}),
    _field(FIELD, "text", '{"text": "a"}', "a"),
    _field(FIELD, "text", "{}", ""),
    _field(f"{PROTO_JSON}: int64", "int64", '{"int64Value": 9007199254740993}', "9007199254740993"),
    _field(f"{PROTO_JSON}: int64", "int64", "{}", "0"),
    _field(f"{PROTO_JSON}: enum", "color", '{"color": 1}', "RED"),
    _field(f"{PROTO_JSON}: enum", "color", '{"color": 7}', 7),
    _field(f"{PROTO_JSON}: enum", "color", "{}", "COLOR_UNSPECIFIED"),
    _field(f"{PROTO_JSON}: bool", "flag", '{"flag": true}', True),
    _field(f"{PROTO_JSON}: bool", "flag", "{}", False),
    _field(f"{PROTO_JSON}: double", "double", '{"doubleValue": "NaN"}', "NaN"),
    _field(f"{PROTO_JSON}: double", "double", "{}", 0.0),
    _field(f"{PROTO_JSON}: bytes", "data", '{"data": "-_8"}', "+/8="),
    _field(f"{PROTO_JSON}: Timestamp", "time", '{"time": "1972-01-01T10:00:20.5Z"}', "1972-01-01T10:00:20.500Z"),
    _field(f"{PROTO_JSON}: FieldMask", "mask", '{"mask": "a.bC,d"}', "a.bC,d"),
    _field(f"{PROTO_JSON}: Struct", "struct", '{"struct": {"a": [1]}}', {"a": [1.0]}),
    _field(f"{PROTO_JSON}: Struct", "struct", "{}", None),
    _field(f"{PROTO_JSON}: Value", "value", '{"value": [null, 1]}', [None, 1.0]),
    _field(f"{PROTO_JSON}: Value", "value", '{"value": null}', None),
    _field(f"{PROTO_JSON}: wrappers", "wrapped", '{"wrappedInt64": 5}', "5"),
    _field(f"{PROTO_JSON}: wrappers", "wrapped", '{"wrappedInt64": 0}', "0"),
    _field(f"{PROTO_JSON}: wrappers, null is absent", "wrapped", "{}", None),
    _field(f"{PROTO_JSON}: Any", "any", f'{{"any": {{"@type": "{INNER}", "name": "a"}}}}', {"@type": INNER, "name": "a"}),
    _field(f"{PROTO_JSON}: optional", "maybe", '{"maybe": ""}', ""),
    _field(f"{GATEWAY}: an absent optional field is null", "maybe", "{}", None),
    _field(f"{PROTO_JSON}: oneof", "right", '{"right": 0}', "0"),
    _field(f"{PROTO_JSON}: oneof, another member", "right", '{"left": "a"}', None),
]  # fmt: skip
