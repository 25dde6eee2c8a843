# ruff: noqa: E501 - a row is a line
"""Bodies: ProtoJSON as it is read, and what part of a request it fills."""

from __future__ import annotations

from typing import Any

from tests.codegen.runtime.http.table.row import ENVOY, GATEWAY, HTTP_PROTO, PROTO_JSON, Call, Refused

SPEC = PROTO_JSON
URL = "type.googleapis.com"
INNER = f"{URL}/tests.http.v1.Everything.Inner"


def _body(source: str, body: str, answer: Any, differs: str = "") -> Call:
    return Call(f"{SPEC}: {source}", "POST /v1/everything", body.encode(), answer, differs=differs)


def _in(target: str, source: str, body: str, answer: Any) -> Call:
    return Call(source, f"POST /v1/body/{target}", body.encode(), answer)


def _invalid(field: str) -> Refused:
    return Refused("INVALID_FIELD", field)


MALFORMED = Refused("MALFORMED_BODY")

BODIES = [
    # Names and null.
    _body("names", '{"int32Value": 1}', {"int32Value": 1}),
    _body("names as in the schema are read too", '{"int32_value": 1}', {"int32Value": 1}),
    _body("json_name", '{"@odd": "a"}', {"@odd": "a"}),
    _body("unknown fields", '{"nope": 1}', Refused("UNKNOWN_FIELD", "nope")),
    _body("unknown fields", '{"Int32Value": 1}', Refused("UNKNOWN_FIELD", "Int32Value")),
    _body("unknown fields", '{"inner": {"nope": null}}', Refused("UNKNOWN_FIELD", "inner.nope")),
    _body("repeated keys", '{"text": "a", "text": "b"}', _invalid("text")),
    _body("repeated keys", '{"int32Value": 1, "int32_value": 1}', _invalid("int32_value")),
    _body("null", '{"text": null, "inner": null, "numbers": null, "counts": null, "color": null}', {}),
    _body("null in a list", '{"numbers": [null]}', _invalid("numbers[0]")),
    _body("null in a list", '{"inners": [null]}', _invalid("inners[0]")),
    _body("null in a map", '{"counts": {"a": null}}', _invalid('counts["a"]')),
    _body("null is a Value", '{"value": null}', {"value": None}),
    _body("null is no wrapper", '{"wrappedInt64": null}', {}),
    _body("null chooses no member of a oneof", '{"left": null, "right": 1}', {"right": "1"}),
    _body("null chooses a Value of a oneof", '{"anything": null}', {"anything": None}),
    _body("oneof", '{"left": "a", "middle": {}}', _invalid("middle")),
    _body("oneof", '{"left": ""}', {"left": ""}),
    _body("oneof", '{"middle": {}}', {"middle": {}}),
    _body("optional", '{"maybe": ""}', {"maybe": ""}),
    _body("optional", '{"maybe": null}', {}),
    # Numbers.
    _body("int32", '{"int32Value": "-5"}', {"int32Value": -5}),
    _body("int32", '{"int32Value": 1.0}', {"int32Value": 1}),
    _body("int32", '{"int32Value": 1e5}', {"int32Value": 100000}),
    _body("int32", '{"int32Value": "1e2"}', {"int32Value": 100}),
    _body("int32", '{"int32Value": 0.5}', _invalid("int32_value")),
    _body("int32", '{"int32Value": 2147483648}', _invalid("int32_value")),
    _body("int32", '{"int32Value": -2147483648}', {"int32Value": -2147483648}),
    _body("int32", '{"int32Value": ""}', _invalid("int32_value")),
    _body("int32", '{"int32Value": true}', _invalid("int32_value")),
    _body("int32, JSON has no leading zeros", '{"int32Value": 01}', MALFORMED),
    _body("int32, JSON has no plus sign", '{"int32Value": +1}', MALFORMED),
    _body("uint32", '{"uint32Value": 4294967295}', {"uint32Value": 4294967295}),
    _body("uint32", '{"uint32Value": -1}', _invalid("uint32_value")),
    _body("fixed32", '{"fixed32Value": "4294967296"}', _invalid("fixed32_value")),
    _body("int64 is a string", '{"int64Value": 9007199254740993}', {"int64Value": "9007199254740993"}),
    _body("int64", '{"int64Value": "-9223372036854775808"}', {"int64Value": "-9223372036854775808"}),
    _body("int64", '{"int64Value": 9223372036854775808}', _invalid("int64_value")),
    _body("uint64", '{"uint64Value": "18446744073709551615"}', {"uint64Value": "18446744073709551615"}),
    _body("uint64", '{"uint64Value": 18446744073709551616}', _invalid("uint64_value")),
    _body("sint64, fixed64, sfixed64", '{"sint64Value": -1, "fixed64Value": 1, "sfixed64Value": "-1"}', {"sint64Value": "-1", "fixed64Value": "1", "sfixed64Value": "-1"}),
    _body("double", '{"doubleValue": "NaN"}', {"doubleValue": "NaN"}),
    _body("double", '{"doubleValue": "Infinity", "floatValue": "-Infinity"}', {"doubleValue": "Infinity", "floatValue": "-Infinity"}),
    _body("double", '{"doubleValue": NaN}', MALFORMED),
    _body("double", '{"doubleValue": "inf"}', _invalid("double_value")),
    _body("double", '{"doubleValue": "1.5"}', {"doubleValue": 1.5}),
    _body("double", '{"doubleValue": 1}', {"doubleValue": 1.0}),
    _body("double, negative zero", '{"doubleValue": -0.0}', {"doubleValue": -0.0}),
    _body("float", '{"floatValue": 3.5e38}', _invalid("float_value")),
    _body("float", '{"floatValue": 0.1}', {"floatValue": 0.1}),
    _body("float, fewest digits", '{"floats": [3.4028235e38, -1e-45, 16777216, 0.3333333432674408]}', {"floats": [3.4028235e38, -1e-45, 16777216.0, 0.33333334]}),
    _body("float, fewest digits", '{"ratios": {"a": 0.1}, "wrappedFloat": 0.7}', {"ratios": {"a": 0.1}, "wrappedFloat": 0.7}),
    _body("float, fewest digits", '{"floats": ["NaN", "Infinity"], "wrappedFloat": "-Infinity"}', {"floats": ["NaN", "Infinity"], "wrappedFloat": "-Infinity"}),
    _body("float, fewest digits, within Any", f'{{"any": {{"@type": "{URL}/google.protobuf.FloatValue", "value": 0.1}}}}', {"any": {"@type": f"{URL}/google.protobuf.FloatValue", "value": 0.1}}),
    _body("float, fewest digits, within Any", f'{{"any": {{"@type": "{URL}/tests.http.v1.Everything", "floatValue": 0.1}}}}', {"any": {"@type": f"{URL}/tests.http.v1.Everything", "floatValue": 0.1}}),
    _body("float, largest", '{"floatValue": 3.40282347e38, "floats": [-3.4028235e+38], "ratios": {"a": 3.4028235E38}}', {"floatValue": 3.4028235e38, "floats": [-3.4028235e38], "ratios": {"a": 3.4028235e38}}),
    _body("float, largest", '{"floats": [3.4028236e38]}', _invalid("floats[0]")),
    _body("float, largest, repeated keys", '{"floatValue": 3.4028235e38, "text": "a", "text": "b"}', _invalid("text")),
    _body("float, largest, in a double", '{"doubleValue": 3.4028235e38}', {"doubleValue": 3.4028235e38}),
    _body("double keeps its digits", '{"doubleValue": 0.10000000149011612}', {"doubleValue": 0.10000000149011612}),
    _body("bool", '{"flag": "true"}', _invalid("flag")),
    _body("bool", '{"flag": 0}', _invalid("flag")),
    # Text, bytes, enums.
    _body("string", '{"text": "\\u20ac\\ud83d\\ude00"}', {"text": "€😀"}),
    _body("string, lone surrogate", '{"text": "\\ud800"}', MALFORMED),
    _body("string", '{"text": 5}', _invalid("text")),
    _body("bytes", '{"data": "AQI="}', {"data": "AQI="}),
    _body("bytes, base64url", '{"data": "-_8="}', {"data": "+/8="}),
    _body("bytes, no padding", '{"data": "AQ"}', {"data": "AQ=="}),
    _body("bytes", '{"data": "*"}', _invalid("data")),
    _body("enum", '{"color": "GREEN"}', {"color": "GREEN"}),
    _body("enum", '{"color": -2}', {"color": "GREEN"}),
    _body("enum", '{"color": 99}', {"color": 99}),
    _body("enum", '{"color": "BLUE"}', _invalid("color")),
    _body("enum", '{"color": 1.5}', _invalid("color")),
    _body("enum", '{"color": 2147483648}', _invalid("color")),
    # Lists and maps.
    _body("repeated", '{"numbers": []}', {}),
    _body("repeated", '{"numbers": 1}', _invalid("numbers")),
    _body("repeated", '{"numbers": ["1", 2.0]}', {"numbers": [1, 2]}),
    _body("map", '{"counts": {"a": 1, "": 2}}', {"counts": {"a": 1, "": 2}}),
    _body("map, keys are strings", '{"numbered": {"5": "a"}}', {"numbered": {"5": "a"}}),
    _body("map, keys are strings", '{"numbered": {"x": "a"}}', _invalid('numbered["x"]')),
    _body("map, repeated keys", '{"counts": {"a": 1, "a": 2}}', _invalid("counts.a")),
    _body("map", '{"counts": []}', _invalid("counts")),
    # Well-known types.
    _body("Timestamp", '{"time": "1972-01-01T10:00:20.021Z"}', {"time": "1972-01-01T10:00:20.021Z"}),
    _body("Timestamp, 0, 3, 6 or 9 digits", '{"time": "1972-01-01T10:00:20.0210Z"}', {"time": "1972-01-01T10:00:20.021Z"}),
    _body("Timestamp", '{"time": "0001-01-01T00:00:00Z"}', {"time": "0001-01-01T00:00:00Z"}),
    _body("Timestamp", '{"time": "9999-12-31T23:59:59.999999999Z"}', {"time": "9999-12-31T23:59:59.999999999Z"}),
    _body("Timestamp", '{"time": "10000-01-01T00:00:00Z"}', _invalid("time")),
    _body("Timestamp", '{"time": "1972-01-01T10:00:20"}', _invalid("time")),
    _body("Timestamp", '{"time": "1972-01-01t10:00:20z"}', _invalid("time")),
    _body("Duration", '{"duration": "1.000340012s"}', {"duration": "1.000340012s"}),
    _body("Duration", '{"duration": "0s"}', {"duration": "0s"}),
    _body("Duration", '{"duration": "315576000001s"}', _invalid("duration")),
    _body("Duration", '{"duration": "1"}', _invalid("duration")),
    _body("FieldMask", '{"mask": "f.fooBar,h"}', {"mask": "f.fooBar,h"}),
    _body("FieldMask", '{"mask": ""}', {"mask": ""}),
    _body("AIP-134: full replacement", '{"mask": "*"}', {"mask": "*"}),
    _body("AIP-134: nothing stands beside it", '{"mask": "*,h"}', _invalid("mask")),
    _body("FieldMask", '{"mask": "foo_bar"}', _invalid("mask")),
    _body("Struct", '{"struct": {"a": {"b": [1, null, "x", true, {}]}}}', {"struct": {"a": {"b": [1.0, None, "x", True, {}]}}}),
    _body("Struct", '{"struct": {}}', {"struct": {}}),
    _body("Struct", '{"struct": []}', _invalid("struct")),
    _body("Value", '{"value": [1, {"a": null}]}', {"value": [1.0, {"a": None}]}),
    _body("Value", '{"value": "a"}', {"value": "a"}),
    _body("wrappers", '{"wrappedInt64": "5", "wrappedString": "", "wrappedBool": false}', {"wrappedInt64": "5", "wrappedString": "", "wrappedBool": False}),
    _body("wrappers", '{"wrappedInt64": {"value": 5}}', _invalid("wrapped_int64")),
    _body("wrappers in a list", '{"wrappedNumbers": [1, "2"]}', {"wrappedNumbers": [1, 2]}),
    _body("Any", f'{{"any": {{"@type": "{INNER}", "name": "a"}}}}', {"any": {"@type": INNER, "name": "a"}}),
    _body("Any, @type need not be first", f'{{"any": {{"name": "a", "@type": "{INNER}"}}}}', {"any": {"@type": INNER, "name": "a"}}),
    _body("Any of a well-known type", f'{{"any": {{"@type": "{URL}/google.protobuf.Duration", "value": "1.212s"}}}}', {"any": {"@type": f"{URL}/google.protobuf.Duration", "value": "1.212s"}}),
    _body("Any of Any", f'{{"any": {{"@type": "{URL}/google.protobuf.Any", "value": {{"@type": "{INNER}"}}}}}}', {"any": {"@type": f"{URL}/google.protobuf.Any", "value": {"@type": INNER}}}),
    _body("Any, empty", '{"any": {}}', {"any": {}}),
    _body("Any", '{"any": {"name": "a"}}', _invalid("any")),
    _body("Any", f'{{"any": {{"@type": "{URL}/no.such.Type"}}}}', _invalid("any")),
    _body("Any, repeated keys within", f'{{"any": {{"@type": "{INNER}", "name": "a", "name": "b"}}}}', _invalid("any.name")),
    Call(f"{SPEC}: Empty", "POST /v1/nothing", None, {}),
    # JSON itself.
    *(
        Call("RFC 8259, JSON texts", "POST /v1/everything", body, MALFORMED)
        for body in (b"{", b'{"text": "a",}', b"{'text': 'a'}", b'{"text": "a"} {}', b"\xef\xbb\xbf{}", b"{} //", b'{"text": "\x01"}')
    ),
    *(
        Call(f"{SPEC}: a message is an object", "POST /v1/everything", body, MALFORMED)
        for body in (b"[]", b"1", b'"a"', b"null", b"true")
    ),
    Call("RFC 8259, 8.1: UTF-8", "POST /v1/everything", b'{"text": "\xff"}', MALFORMED),
    Call("RFC 8259, 2: white space", "POST /v1/everything", b' \r\n\t{ "text" :\t"a" } ', {"text": "a"}),
    # What a body fills.
    Call(f"{HTTP_PROTO}: body *", "PUT /v1/everything/a", b'{"flag": true}', {"text": "a", "flag": True}),
    Call(f"{HTTP_PROTO}: body *, every field not bound by the path", "PUT /v1/everything/a", b'{"text": "b"}', _invalid("text")),
    Call(f"{HTTP_PROTO}: body *, every field not bound by the path", "PUT /v1/everything/a", b'{"text": "a"}', {"text": "a"}),
    Call(f"{GATEWAY}: the path overrides the body there", "PATCH /v1/inner/a", b'{"inner": {"name": "b"}}', _invalid("inner.name"), differs="another value is a mistake that is named; the same one is fine"),
    Call(f"{HTTP_PROTO}: no body", "GET /v1/texts/a", b"{}", Refused("MALFORMED_BODY")),
    Call(f"{HTTP_PROTO}: no body", "POST /v1/nothing", b'{"a": 1}', Refused("MALFORMED_BODY")),
    Call(f"{ENVOY} docs: an empty body is an empty message", "POST /v1/everything", b"", {}),
    _in("inner/a", f"{HTTP_PROTO}: body field, message", '{"name": "b"}', {"text": "a", "inner": {"name": "b"}}),
    _in("inner/a", f"{HTTP_PROTO}: body field, message", "null", {"text": "a"}),
    _in("numbers", f"{HTTP_PROTO}: body field, repeated", "[1, 2]", {"numbers": [1, 2]}),
    _in("numbers", f"{HTTP_PROTO}: body field, repeated", "1", _invalid("numbers")),
    _in("inners", f"{HTTP_PROTO}: body field, repeated", '[{"name": "a"}, {}]', {"inners": [{"name": "a"}, {}]}),
    _in("inners", f"{HTTP_PROTO}: body field, repeated", '[{"nope": 1}]', Refused("UNKNOWN_FIELD", "inners[0].nope")),
    _in("named", f"{HTTP_PROTO}: body field, map", '{"k": {"number": 1}}', {"named": {"k": {"number": 1}}}),
    _in("text", f"{HTTP_PROTO}: body field, string", '"a"', {"text": "a"}),
    _in("data", f"{HTTP_PROTO}: body field, bytes", '"AQI="', {"data": "AQI="}),
    _in("time", f"{HTTP_PROTO}: body field, Timestamp", '"1972-01-01T10:00:20Z"', {"time": "1972-01-01T10:00:20Z"}),
    _in("value", f"{HTTP_PROTO}: body field, Value", "[null]", {"value": [None]}),
    _in("value", f"{HTTP_PROTO}: body field, Value", "null", {"value": None}),
    _in("struct", f"{HTTP_PROTO}: body field, Struct", '{"a": 1, "a": 2}', _invalid("a")),
    _in("middle?left=a", f"{SPEC}: oneof", "{}", _invalid("middle")),
    _in("middle", f"{SPEC}: oneof", "{}", {"middle": {}}),
]  # fmt: skip
