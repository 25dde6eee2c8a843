# ruff: noqa: E501 - a row is a line
"""Query parameters and values in paths."""

from __future__ import annotations

from typing import Any

from tests.codegen.runtime.http.table.row import ENVOY, GATEWAY, HTTP_PROTO, PROTO_JSON, Call, Refused

RULES = f"{HTTP_PROTO}, Rules for HTTP mapping"
QUERY = f"{GATEWAY} runtime/query_test.go"
MAPPING = f"{GATEWAY} docs: query parameters"
FORM = "URL Standard, application/x-www-form-urlencoded"


def _query(source: str, query: str, answer: Any, differs: str = "") -> Call:
    return Call(source, f"GET /v1/query?{query}", None, answer, differs=differs)


def _typed(source: str, kind: str, text: str, answer: Any, differs: str = "") -> Call:
    return Call(source, f"GET /v1/typed/{kind}/{text}", None, answer, differs=differs)


def _invalid(field: str) -> Refused:
    return Refused("INVALID_FIELD", field)


def _unknown(field: str) -> Refused:
    return Refused("UNKNOWN_FIELD", field)


QUERIES = [
    # What is a parameter.
    _query(RULES, "", {}),
    _query(RULES, "text=a", {"text": "a"}),
    _query(RULES, "inner.name=foo", {"inner": {"name": "foo"}}),
    _query(RULES, "inner.inner.name=foo&inner.name=bar", {"inner": {"name": "bar", "inner": {"name": "foo"}}}),
    _query(RULES, "numbers=1&numbers=2", {"numbers": [1, 2]}),
    _query(RULES, "inner.tags=A&inner.tags=B", {"inner": {"tags": ["A", "B"]}}),
    _query(f"{HTTP_PROTO}: repeated messages must not be parameters", "inners=1", _unknown("inners")),
    _query(f"{HTTP_PROTO}: repeated messages must not be parameters", "inners.name=1", _unknown("inners.name")),
    _query(f"{HTTP_PROTO}: parameters have primitive types", "named=1", _unknown("named")),
    _query(f"{HTTP_PROTO}: parameters have primitive types", "struct=1", _unknown("struct")),
    _query(f"{HTTP_PROTO}: parameters have primitive types", "inner=1", _unknown("inner")),
    Call(f"{RULES}: fields of the path", "GET /v1/texts/a?text=b", None, _invalid("text")),
    Call(f"{RULES}: body *", "POST /v1/everything?flag=true", b"{}", _invalid("flag")),
    Call(f"{RULES}: fields of the body", "POST /v1/body/inner/a?inner.number=1", b"{}", _invalid("inner.number")),
    Call(f"{RULES}: beside a body", "POST /v1/body/inner/a?flag=true", b"{}", {"text": "a", "flag": True, "inner": {}}),
    Call(f"{RULES}: beside a path", "GET /v1/texts/a?flag=true", None, {"text": "a", "flag": True}),
    # Names.
    _query(QUERY, "int32_value=-2&int64Value=-1", {"int32Value": -2, "int64Value": "-1"}),
    _query(QUERY, "floatValue=1.5&double_value=2.5", {"floatValue": 1.5, "doubleValue": 2.5}),
    _query(f"{PROTO_JSON}: json_name", "%40odd=x", {"@odd": "x"}),
    _query("AIP-127: names as in the schema", "odd=x", {"@odd": "x"}),
    _query(RULES, "nope=1", _unknown("nope")),
    _query(f"{ENVOY} docs: unknown parameters are not transcoded by default", "key=1", _unknown("key")),
    _query(f"{MAPPING}: unknown fields are ignored there", "text=a&nope=1", _unknown("nope"), "AIP-193 wants typed errors; ignore_unknown_parameters is a switch"),
    # Values.
    _query(QUERY, "bool_value=true".replace("bool_value", "flag"), {"flag": True}),
    _query(f"{PROTO_JSON}: bool", "flag=false", {}),
    _query(f"{QUERY}: strconv.ParseBool takes 1", "flag=1", _invalid("flag"), f"{PROTO_JSON}: true and false alone are bools"),
    _query(f"{PROTO_JSON}: bool", "flag=True", _invalid("flag")),
    _query(QUERY, "uint64_value=3&uint32_value=4", {"uint64Value": "3", "uint32Value": 4}),
    _query(QUERY, "color=RED", {"color": "RED"}),
    _query(QUERY, "color=1&colors=0&colors=RED&colors=-2", {"color": "RED", "colors": ["COLOR_UNSPECIFIED", "RED", "GREEN"]}),
    _query(f"{PROTO_JSON}: enum, open in proto3", "color=7", {"color": 7}),
    _query(f"{PROTO_JSON}: enum", "color=red", _invalid("color")),
    _query(QUERY, "data=Ynl0ZXM=", {"data": "Ynl0ZXM="}),
    _query(f"{PROTO_JSON}: bytes, both alphabets", "data=-_8", {"data": "+/8="}),
    _query(f"{PROTO_JSON}: bytes, both alphabets", "data=%2B/8%3D", {"data": "+/8="}),
    _query(f"{PROTO_JSON}: bytes, padding may be missing", "data=YQ", {"data": "YQ=="}),
    _query(f"{FORM}: a plus sign is a space", "data=+/8=", _invalid("data")),
    _query(f"{PROTO_JSON}: Timestamp", "time=2016-12-15T12:23:32.049Z", {"time": "2016-12-15T12:23:32.049Z"}),
    _query(f"{PROTO_JSON}: Timestamp, offset", "time=2016-12-15T13:23:32%2B01:00", {"time": "2016-12-15T12:23:32Z"}),
    _query(f"{PROTO_JSON}: Timestamp", "time=1481804612", _invalid("time")),
    _query(f"{PROTO_JSON}: Duration", "duration=1.5s", {"duration": "1.500s"}),
    _query(f"{PROTO_JSON}: Duration", "duration=-0.5s", {"duration": "-0.500s"}),
    _query(f"{PROTO_JSON}: Duration", "duration=13h0m0s", _invalid("duration")),
    _query(f"{PROTO_JSON}: FieldMask", "mask=text,inner.name", {"mask": "text,inner.name"}),
    _query(f"{PROTO_JSON}: FieldMask, lowerCamelCase", "mask=int32Value", {"mask": "int32Value"}),
    _query(f"{QUERY}: snake_case in masks", "mask=float_value,double_value", _invalid("mask"), f"{PROTO_JSON}: paths are lowerCamelCase"),
    _query(QUERY, "wrapped_int64=-1&wrapped_bool=true&wrapped_string=str", {"wrappedInt64": "-1", "wrappedBool": True, "wrappedString": "str"}),
    _query(QUERY, "wrapped_bytes=Ynl0ZXM=&wrapped_double=2.5", {"wrappedBytes": "Ynl0ZXM=", "wrappedDouble": 2.5}),
    _query(f"{PROTO_JSON}: wrappers keep zero", "wrapped_int64=0&wrapped_string=&wrapped_bool=false", {"wrappedInt64": "0", "wrappedString": "", "wrappedBool": False}),
    _query(f"{PROTO_JSON}: optional keeps zero", "maybe=", {"maybe": ""}),
    _query(f"{PROTO_JSON}: float", "double_value=NaN&float_value=-Infinity", {"doubleValue": "NaN", "floatValue": "-Infinity"}),
    _query(f"{PROTO_JSON}: float", "double_value=1e3", {"doubleValue": 1000.0}),
    _query(f"{PROTO_JSON}: float, range", "float_value=3.5e38", _invalid("float_value")),
    _query(f"{PROTO_JSON}: int64, range", "int64_value=9223372036854775807", {"int64Value": "9223372036854775807"}),
    _query(f"{PROTO_JSON}: int64, range", "int64_value=9223372036854775808", _invalid("int64_value")),
    _query(f"{PROTO_JSON}: int32, range", "int32_value=-2147483649", _invalid("int32_value")),
    _query(f"{PROTO_JSON}: uint32, range", "uint32_value=4294967296", _invalid("uint32_value")),
    _query(f"{PROTO_JSON}: uint64, range", "uint64_value=-1", _invalid("uint64_value")),
    _query(f"{QUERY}: strconv.ParseInt takes 0x", "int32_value=0x10", _invalid("int32_value"), f"{PROTO_JSON}: numbers are decimal"),
    # Several.
    _query(f"{RULES}: a field that is not repeated", "text=a&text=b", _invalid("text")),
    _query(f"{QUERY}: the first of several counts", "uint64_value=1&uint64_value=2", _invalid("uint64_value"), "the caller is told rather than half heard"),
    _query(f"{QUERY}: Don't allow setting a oneof more than once", "left=a&right=1", _invalid("right")),
    _query(QUERY, "left=foobar", {"left": "foobar"}),
    _query(QUERY, "right=5", {"right": "5"}),
    _query(f"{MAPPING}: map_value[key]", "counts[a]=1", _unknown("counts[a]"), f"{HTTP_PROTO}: parameters have primitive types"),
    # Encoding.
    _query(FORM, "text=Hello%20world", {"text": "Hello world"}),
    _query(FORM, "text=Hello+world", {"text": "Hello world"}),
    _query(FORM, "text=a%2Bb", {"text": "a+b"}),
    _query(FORM, "text=%24%25%2F%20%0A", {"text": "$%/ \n"}),
    _query(FORM, "text=a=b", {"text": "a=b"}),
    _query(FORM, "text=a%26b", {"text": "a&b"}),
    _query(FORM, "&&text=a&", {"text": "a"}),
    _query(FORM, "text", {}),
    _query(FORM, "te%78t=a", {"text": "a"}),
    _query(f"{FORM}: a semicolon separates nothing", "text=a;flag=true", {"text": "a;flag=true"}),
    _query("RFC 3629: UTF-8", "text=%E2%82%AC", {"text": "€"}),
    _query("RFC 3629: no UTF-8", "text=%E2%82", _invalid("text")),
    _query("RFC 3629: surrogates", "text=%ED%A0%80", _invalid("text")),
    _query("RFC 3629: overlong", "text=%C0%AF", _invalid("text")),
    _query("RFC 3986, 2.1: two hexadecimal digits", "text=%4", _invalid("text")),
    _query("RFC 3986, 2.1: two hexadecimal digits", "text=%zz", _invalid("text")),
    # Values in paths.
    _typed(f"{PROTO_JSON}: bool", "flag", "true", {"flag": True}),
    _typed(f"{PROTO_JSON}: bool", "flag", "yes", _invalid("flag")),
    _typed(f"{PROTO_JSON}: int32", "int32", "-5", {"int32Value": -5}),
    _typed(f"{PROTO_JSON}: int32, range", "int32", "2147483648", _invalid("int32_value")),
    _typed(f"{PROTO_JSON}: int32", "int32", "5.0", _invalid("int32_value"), "1.0 is an integer in JSON, but not in a URL; strconv.ParseInt of grpc-gateway refuses it too"),
    _typed(f"{PROTO_JSON}: sint32", "sint32", "-2147483648", {"sint32Value": -2147483648}),
    _typed(f"{PROTO_JSON}: sfixed32, range", "sfixed32", "-2147483649", _invalid("sfixed32_value")),
    _typed(f"{PROTO_JSON}: int64", "int64", "-9223372036854775808", {"int64Value": "-9223372036854775808"}),
    _typed(f"{PROTO_JSON}: uint32", "uint32", "4294967295", {"uint32Value": 4294967295}),
    _typed(f"{PROTO_JSON}: uint64", "uint64", "18446744073709551615", {"uint64Value": "18446744073709551615"}),
    _typed(f"{PROTO_JSON}: fixed64, range", "fixed64", "18446744073709551616", _invalid("fixed64_value")),
    _typed(f"{PROTO_JSON}: float", "float", "1e-3", {"floatValue": 0.001}),
    _typed(f"{PROTO_JSON}: double", "double", "-Infinity", {"doubleValue": "-Infinity"}),
    _typed(f"{PROTO_JSON}: double", "double", "1..5", _invalid("double_value")),
    _typed(f"{PROTO_JSON}: bytes", "data", "-_8", {"data": "+/8="}),
    _typed(f"{PROTO_JSON}: bytes", "data", "%2B%2F8%3D", {"data": "+/8="}),
    _typed(f"{PROTO_JSON}: bytes", "data", "a", _invalid("data")),
    _typed(f"{GATEWAY} runtime/convert.go: enum by name", "color", "RED", {"color": "RED"}),
    _typed(f"{GATEWAY} runtime/convert.go: enum by number", "color", "-2", {"color": "GREEN"}),
    _typed(f"{GATEWAY} runtime/convert.go: enum", "color", "BLUE", _invalid("color")),
    _typed(f"{GATEWAY} runtime/convert.go: Timestamp", "time", "2016-12-15T12:23:32Z", {"time": "2016-12-15T12:23:32Z"}),
    _typed(f"{GATEWAY} runtime/convert.go: Duration", "duration", "46800s", {"duration": "46800s"}),
    _typed(f"{PROTO_JSON}: FieldMask", "mask", "text,inner.name", {"mask": "text,inner.name"}),
    _typed(f"{GATEWAY} runtime/convert.go: Int64Value", "wrapped", "0", {"wrappedInt64": "0"}),
    _typed(f"{GATEWAY} runtime/convert.go: StringValue", "wrapped_string", "a%20b", {"wrappedString": "a b"}),
    _typed(f"{GATEWAY} runtime/convert.go: BoolValue", "wrapped_bool", "false", {"wrappedBool": False}),
    _typed(f"{GATEWAY} runtime/convert.go: BytesValue", "wrapped_bytes", "_-8=", {"wrappedBytes": "/+8="}),
    _typed(f"{GATEWAY} runtime/convert.go: DoubleValue", "wrapped_double", "x", _invalid("wrapped_double")),
    _typed(f"{PROTO_JSON}: optional", "maybe", "a", {"maybe": "a"}),
    _typed(f"{HTTP_PROTO}: a member of a oneof", "left", "a", {"left": "a"}),
    Call(f"{HTTP_PROTO}: a member of a oneof", "GET /v1/typed/left/a?right=1", None, _invalid("right")),
    Call("RFC 3986, 2.1: two hexadecimal digits", "GET /v1/texts/%4", None, Refused("MALFORMED_PATH")),
    Call("RFC 3629: no UTF-8", "GET /v1/texts/%FF", None, Refused("MALFORMED_PATH")),
    Call("RFC 3629: surrogates", "GET /v1/files/a/%ED%A0%80", None, Refused("MALFORMED_PATH")),
]  # fmt: skip
