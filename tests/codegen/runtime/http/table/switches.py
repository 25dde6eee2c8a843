# ruff: noqa: E501 - a row is a line
"""What switches change."""

from __future__ import annotations

from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.runtime.http.table.row import ENVOY, GATEWAY, PROTO_JSON, Call, Refused

ALL = HttpSettings(always_print_fields_with_no_presence=True)
NAMES = HttpSettings(preserving_proto_field_name=True)
PARAMETERS = HttpSettings(ignore_unknown_parameters=True)
FIELDS = HttpSettings(ignore_unknown_fields=True)
PRINT = f"{ENVOY} docs: print_options.preserve_proto_field_names"
IGNORE = f"{ENVOY} docs: ignore_unknown_query_parameters"
DISCARD = f"{GATEWAY} docs: UnmarshalOptions.DiscardUnknown"
ZEROS = f"{ENVOY} docs: print_options.always_print_primitive_fields"
INNER = "type.googleapis.com/tests.http.v1.Everything.Inner"

SWITCHES = [
    (NAMES, Call(PRINT, "POST /v1/everything", b'{"int32Value": 1}', {"int32_value": 1})),
    (NAMES, Call(PRINT, "POST /v1/everything", b'{"@odd": "a", "wrappedInt64": 1}', {"odd": "a", "wrapped_int64": "1"})),
    (NAMES, Call(PRINT, "POST /v1/response/int64", b'{"int64Value": 1}', "1")),
    (NAMES, Call(PRINT, "POST /v1/response/wrapped", b'{"wrappedInt64": 1}', "1")),
    (NAMES, Call(f"{PROTO_JSON}: masks stay lowerCamelCase", "POST /v1/everything", b'{"mask": "int32Value"}', {"mask": "int32Value"})),
    (PARAMETERS, Call(IGNORE, "GET /v1/query?nope=1&text=a&inner.nope=2", None, {"text": "a"})),
    (PARAMETERS, Call(IGNORE, "GET /v1/query?counts[a]=1&inners=1&=2&.=3", None, {})),
    (PARAMETERS, Call(f"{IGNORE}: known ones are read as ever", "GET /v1/query?flag=x", None, Refused("INVALID_FIELD", "flag"))),
    (PARAMETERS, Call(f"{IGNORE}: known ones are read as ever", "GET /v1/texts/a?text=b", None, Refused("INVALID_FIELD", "text"))),
    (PARAMETERS, Call(f"{IGNORE}: bodies are as strict as ever", "POST /v1/everything", b'{"nope": 1}', Refused("UNKNOWN_FIELD", "nope"))),
    (FIELDS, Call(DISCARD, "POST /v1/everything", b'{"nope": {"a": [1]}, "text": "a"}', {"text": "a"})),
    (FIELDS, Call(DISCARD, "POST /v1/everything", b'{"inner": {"nope": 1, "name": "a"}}', {"inner": {"name": "a"}})),
    (FIELDS, Call(DISCARD, "POST /v1/everything", f'{{"any": {{"@type": "{INNER}", "nope": 1}}}}'.encode(), {"any": {"@type": INNER}})),
    (FIELDS, Call(DISCARD, "POST /v1/body/inner/a", b'{"nope": 1}', {"text": "a", "inner": {}})),
    (FIELDS, Call(DISCARD, "PUT /v1/everything/a", b'{"nope": 1}', {"text": "a"})),
    (FIELDS, Call(f"{PROTO_JSON}: unknown enum names may be ignored", "POST /v1/everything", b'{"color": "BLUE"}', {})),
    (FIELDS, Call(f"{DISCARD}: the rest is as strict as ever", "POST /v1/everything", b'{"text": "a", "text": "b"}', Refused("INVALID_FIELD", "text"))),
    (FIELDS, Call(f"{DISCARD}: the rest is as strict as ever", "POST /v1/everything", b'{"nope": {"a": 1, "a": 2}}', Refused("INVALID_FIELD", "nope.a"))),
    (FIELDS, Call(f"{DISCARD}: the rest is as strict as ever", "POST /v1/everything", b'{"left": "a", "right": 1}', Refused("INVALID_FIELD", "right"))),
    (FIELDS, Call(f"{DISCARD}: the rest is as strict as ever", "POST /v1/everything", b'{"nope": 1, "flag": 1}', Refused("INVALID_FIELD", "flag"))),
    (FIELDS, Call(f"{DISCARD}: parameters are as strict as ever", "GET /v1/query?nope=1", None, Refused("UNKNOWN_FIELD", "nope"))),
    (ALL, Call(ZEROS, "POST /v1/response/inners", b'{"inners": [{}]}', [{"name": "", "number": 0, "tags": []}])),
    (ALL, Call(f"{PROTO_JSON}: what has presence is left out", "POST /v1/response/inner", b'{"inner": {}}', {"name": "", "number": 0, "tags": []})),
]  # fmt: skip
