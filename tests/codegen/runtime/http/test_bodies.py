"""Bodies and responses: google/api/http.proto (`body`, `response_body`), and the ProtoJSON mapping."""

from __future__ import annotations

import time
from typing import Any

import pytest

from codegen.runtime.codec import JsonCodec
from codegen.runtime.errors import Error
from codegen.runtime.transcoding.binding import Binding
from tests.codegen.runtime.http.request import Client
from tests.codegen.runtime.http.schema import Schema

BINARY = {"content-type": "application/x-protobuf"}

SAME: list[dict[str, Any]] = [
    {},
    {"text": "a"},
    {"text": 'with "quotes": and \\"colons\\":'},
    {"int64Value": "9223372036854775807", "uint64Value": "18446744073709551615"},
    {"doubleValue": "NaN", "floatValue": "-Infinity"},
    {"data": "+/8="},
    {"inner": {"name": "a", "inner": {"tags": ["b"]}}},
    {"inners": [{"name": "a"}, {}], "named": {"k": {"number": 1}}, "numbered": {"5": "five"}},
    {"time": "2024-01-01T00:00:00Z", "duration": "1.500s", "mask": "text,inner.name"},
    {"struct": {"a": [1.0, None, "x", {"b": True}]}, "value": None},
    {"value": [1.5, "a", None, {"b": []}]},
    {"any": {"@type": "type.googleapis.com/tests.http.v1.Everything.Inner", "name": "x"}},
    {"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}},
    {"wrappedString": "", "wrappedInt64": "0", "wrappedBool": False},
    {"left": ""},
    {"right": "0"},
    {"anything": None},
    {"color": "GREEN", "colors": ["RED", 5]},
    {"maybe": ""},
    {"@odd": "x", "from": "a", "class": "b"},
    {"counts": {"": 1, "a:b": 2}},
]


@pytest.mark.parametrize("value", SAME)
async def test_json_comes_back_as_it_went(client: Client, value: dict[str, Any]) -> None:
    response = await client.post("/v1/everything", value)
    assert response.status == 200, response.content
    assert response.json() == value


READ: list[tuple[bytes, dict[str, Any]]] = [
    (b"", {}),
    (b" { } ", {}),
    (b'{"int32_value": 1, "int64_value": 2}', {"int32Value": 1, "int64Value": "2"}),
    (b'{"int64Value": 9223372036854775807}', {"int64Value": "9223372036854775807"}),
    (b'{"int32Value": "5"}', {"int32Value": 5}),
    (b'{"int32Value": 1.0}', {"int32Value": 1}),
    (b'{"int32Value": 1e2}', {"int32Value": 100}),
    (b'{"data": "-_8"}', {"data": "+/8="}),
    (b'{"color": 1}', {"color": "RED"}),
    (b'{"text": null, "numbers": null, "inner": null, "left": null}', {}),
    (b'{"left": null, "right": "1"}', {"right": "1"}),
    (b'{"text": "\\ud83d\\ude00"}', {"text": "😀"}),
    (b'{"text": "a\\u0000b"}', {"text": "a\0b"}),
    (b'{"text" : "a" , "flag"\n:\ttrue}', {"text": "a", "flag": True}),
    (b'{"time": "2024-01-01T01:00:00+01:00"}', {"time": "2024-01-01T00:00:00Z"}),
]


@pytest.mark.parametrize(("body", "value"), READ)
async def test_every_spelling_of_json_is_read(client: Client, body: bytes, value: dict[str, Any]) -> None:
    response = await client.post("/v1/everything", body)
    assert response.status == 200, response.content
    assert response.json() == value


MALFORMED = [
    *(b"{", b"}", b"[", b"nope", b"{'text': 1}", b'{"text": "a",}', b'{"text": "a"} x', b'{"a" 1}', b"\xff"),
    *(b'{"text": "\xff"}', b'{"text": "\\ud800"}', b'{"text": "\\udc00a"}', b'{"text": "\\x"}', b"\x00"),
    *(b'{"text": "a\x01"}', b'{"int32Value": 01}', b'{"doubleValue": NaN}', b'{"doubleValue": 1e999}'),
    *(b'\xef\xbb\xbf{"text": "a"}', b"[]", b"null", b"1", b'"text"', b"true", b"/* c */ {}"),
    *(b"[" * 50_000, b'{"inner":' * 10_000, b'{"value":' + b"[" * 1100 + b"]" * 1100 + b"}"),
    b'{"int64Value": ' + b"9" * 10_000 + b"}",
]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:24]))
async def test_what_is_not_json_is_refused(client: Client, body: bytes) -> None:
    response = await client.post("/v1/everything", body)
    assert (response.status, response.reason) == (400, "MALFORMED_BODY")


REFUSED = [
    (b'{"nope": 1}', "UNKNOWN_FIELD", "nope"),
    (b'{"inner": {"nope": 1}}', "UNKNOWN_FIELD", "inner.nope"),
    (b'{"inners": [{}, {"nope": 1}]}', "UNKNOWN_FIELD", "inners[1].nope"),
    (b'{"named": {"a b": {"nope": 1}}}', "UNKNOWN_FIELD", 'named["a b"].nope'),
    (b'{"": 1}', "UNKNOWN_FIELD", ""),
    (b'{"[tests.http.v1.nope]": 1}', "UNKNOWN_FIELD", "[tests.http.v1.nope]"),
    (b'{"text": "a", "text": "b"}', "INVALID_FIELD", "text"),
    (b'{"text": "a", "text" : "a"}', "INVALID_FIELD", "text"),
    (b'{"text": "a", "t\\u0065xt": "a"}', "INVALID_FIELD", "text"),
    (b'{"data": "aaaa", "text": "a\\":", "text": "b"}', "INVALID_FIELD", "text"),
    (b'{"int32Value": 1, "int32_value": 1}', "INVALID_FIELD", "int32_value"),
    (b'{"inner": {"name": "a", "name": "b"}}', "INVALID_FIELD", "inner.name"),
    (b'{"named": {"a": {}, "a": {}}}', "INVALID_FIELD", "named.a"),
    (b'{"struct": {"a": 1, "a": 2}}', "INVALID_FIELD", "struct.a"),
    (b'{"left": "a", "right": "1"}', "INVALID_FIELD", "right"),
    (b'{"left": "a", "left": "b"}', "INVALID_FIELD", "left"),
    (b'{"anything": null, "left": "a"}', "INVALID_FIELD", "left"),
    (b'{"text": 1}', "INVALID_FIELD", "text"),
    (b'{"text": {}}', "INVALID_FIELD", "text"),
    (b'{"flag": "true"}', "INVALID_FIELD", "flag"),
    (b'{"flag": 1}', "INVALID_FIELD", "flag"),
    (b'{"int32Value": true}', "INVALID_FIELD", "int32_value"),
    (b'{"int32Value": 1.5}', "INVALID_FIELD", "int32_value"),
    (b'{"int32Value": 2147483648}', "INVALID_FIELD", "int32_value"),
    (b'{"int32Value": ""}', "INVALID_FIELD", "int32_value"),
    (b'{"int32Value": " 1"}', "INVALID_FIELD", "int32_value"),
    (b'{"int32Value": "1_0"}', "INVALID_FIELD", "int32_value"),
    ('{"int32Value": "\uff11"}'.encode(), "INVALID_FIELD", "int32_value"),
    (b'{"int64Value": -9223372036854775809}', "INVALID_FIELD", "int64_value"),
    (b'{"uint64Value": 18446744073709551616}', "INVALID_FIELD", "uint64_value"),
    (b'{"wrappedInt64": "1_0"}', "INVALID_FIELD", "wrapped_int64"),
    (b'{"doubleValue": "1_0.5"}', "INVALID_FIELD", "double_value"),
    (b'{"floatValue": 1e39}', "INVALID_FIELD", "float_value"),
    (b'{"data": "a"}', "INVALID_FIELD", "data"),
    (b'{"color": "BLUE"}', "INVALID_FIELD", "color"),
    (b'{"color": 99999999999}', "INVALID_FIELD", "color"),
    (b'{"colors": ["RED", 99999999999]}', "INVALID_FIELD", "colors[1]"),
    (b'{"inner": []}', "INVALID_FIELD", "inner"),
    (b'{"inner": "a"}', "INVALID_FIELD", "inner"),
    (b'{"numbers": {}}', "INVALID_FIELD", "numbers"),
    (b'{"numbers": 1}', "INVALID_FIELD", "numbers"),
    (b'{"numbers": [1, 2, "x", 3]}', "INVALID_FIELD", "numbers[2]"),
    (b'{"numbers": [1, null]}', "INVALID_FIELD", "numbers[1]"),
    (b'{"inners": [{"number": 1}, {"number": "x"}]}', "INVALID_FIELD", "inners[1].number"),
    (b'{"inners": [null]}', "INVALID_FIELD", "inners[0]"),
    (b'{"named": []}', "INVALID_FIELD", "named"),
    (b'{"named": {"k": {"number": []}}}', "INVALID_FIELD", 'named["k"].number'),
    (b'{"numbered": {"x": "a"}}', "INVALID_FIELD", 'numbered["x"]'),
    (b'{"numbered": {"1_0": "a"}}', "INVALID_FIELD", 'numbered["1_0"]'),
    (b'{"counts": {"a": "x"}}', "INVALID_FIELD", 'counts["a"]'),
    (b'{"time": "now"}', "INVALID_FIELD", "time"),
    (b'{"time": 5}', "INVALID_FIELD", "time"),
    (b'{"times": ["2024-01-01T00:00:00Z", "x"]}', "INVALID_FIELD", "times[1]"),
    (b'{"duration": "1"}', "INVALID_FIELD", "duration"),
    (b'{"mask": "a_b"}', "INVALID_FIELD", "mask"),
    (b'{"any": {"@type": "nope"}}', "INVALID_FIELD", "any"),
    (b'{"any": {"name": "x"}}', "INVALID_FIELD", "any"),
    (b'{"struct": 1}', "INVALID_FIELD", "struct"),
]


@pytest.mark.parametrize(("body", "reason", "field"), REFUSED)
async def test_a_body_is_refused_by_name(client: Client, body: bytes, reason: str, field: str) -> None:
    response = await client.post("/v1/everything", body)
    assert (response.status, response.reason, response.fields) == (400, reason, [field])


@pytest.mark.parametrize(
    "body",
    [
        b'{"inner":' * 150 + b"{}" + b"}" * 150,
        b'{"value":' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"struct":' + b'{"a":' * 300 + b"1" + b"}" * 301,
        b'{"inners":[' + b'{"inner":' * 120 + b"{}" + b"}" * 120 + b"]}",
        b'{"nope":' + b"[" * 900 + b"]" * 900 + b"}",
    ],
    ids=lambda body: repr(body[:16]),
)
async def test_deep_nesting_is_refused(client: Client, body: bytes) -> None:
    response = await client.post("/v1/everything", body)
    assert response.status == 400
    assert response.reason in {"INVALID_FIELD", "UNKNOWN_FIELD", "MALFORMED_BODY"}


@pytest.mark.parametrize(
    ("target", "body", "value"),
    [
        ("/v1/body/inner/a", b'{"name": "b"}', {"text": "a", "inner": {"name": "b"}}),
        ("/v1/body/inner/a", b"", {"text": "a"}),
        ("/v1/body/inner/a", b"null", {"text": "a"}),
        ("/v1/body/numbers", b"[1, 2]", {"numbers": [1, 2]}),
        ("/v1/body/numbers", b"[]", {}),
        ("/v1/body/named", b'{"a": {"name": "b"}}', {"named": {"a": {"name": "b"}}}),
        ("/v1/body/text", b'"a"', {"text": "a"}),
        ("/v1/body/time", b'"2024-01-01T00:00:00Z"', {"time": "2024-01-01T00:00:00Z"}),
        ("/v1/body/middle?text=a", b'{"name": "b"}', {"text": "a", "middle": {"name": "b"}}),
    ],
)
async def test_a_body_fills_its_field(
    client: Client, target: str, body: bytes, value: dict[str, Any]
) -> None:
    response = await client.post(target, body)
    assert response.status == 200, response.content
    assert response.json() == value


@pytest.mark.parametrize(
    ("target", "body", "field"),
    [
        ("/v1/body/inner/a", b"[]", "inner"),
        ("/v1/body/inner/a", b'{"number": "x"}', "inner.number"),
        ("/v1/body/inner/a", b'{"name": "a", "name": "b"}', "name"),
        ("/v1/body/numbers", b'[1, "x"]', "numbers[1]"),
        ("/v1/body/numbers", b"{}", "numbers"),
        ("/v1/body/text", b"1", "text"),
        ("/v1/body/time", b'"now"', "time"),
        ("/v1/body/middle?left=a", b"{}", "middle"),
    ],
)
async def test_a_body_of_a_field_is_refused_by_name(
    client: Client, target: str, body: bytes, field: str
) -> None:
    response = await client.post(target, body)
    assert (response.status, response.reason, response.fields) == (400, "INVALID_FIELD", [field])


@pytest.mark.parametrize(
    ("verb", "target", "body", "value"),
    [
        ("PUT", "/v1/everything/a", b"{}", {"text": "a"}),
        ("PUT", "/v1/everything/a", b"", {"text": "a"}),
        ("PUT", "/v1/everything/a", b'{"text": "a", "flag": true}', {"text": "a", "flag": True}),
        ("PUT", "/v1/everything/a", b'{"text": null}', {"text": "a"}),
        ("PATCH", "/v1/inner/a", b'{"inner": {"number": 1}}', {"inner": {"name": "a", "number": 1}}),
        ("PATCH", "/v1/inner/a", b'{"inner": null}', {"inner": {"name": "a"}}),
        ("PATCH", "/v1/inner/a", b'{"inner": {"name": "a"}}', {"inner": {"name": "a"}}),
        ("PUT", "/v1/inner/a/b", b'{"number": 1}', {"text": "b", "inner": {"name": "a", "number": 1}}),
        ("PUT", "/v1/inner/a/b?flag=true", b"{}", {"text": "b", "flag": True, "inner": {"name": "a"}}),
        ("PUT", "/v1/inner/a/b", b'{"name": "a"}', {"text": "b", "inner": {"name": "a"}}),
        ("PUT", "/v1/inner/a/b", b"null", {"text": "b", "inner": {"name": "a"}}),
        ("PUT", "/v1/inner/a/b", b"", {"text": "b", "inner": {"name": "a"}}),
    ],
)
async def test_the_path_fills_its_field_within_the_body(
    client: Client, verb: str, target: str, body: bytes, value: dict[str, Any]
) -> None:
    response = await client.send(verb, target, body)
    assert response.status == 200, response.content
    assert response.json() == value


@pytest.mark.parametrize(
    ("verb", "target", "body", "field"),
    [
        ("PUT", "/v1/everything/a", b'{"text": "b"}', "text"),
        ("PATCH", "/v1/inner/a", b'{"inner": {"name": "b"}}', "inner.name"),
        ("PATCH", "/v1/inner/a", b'{"inner": 5}', "inner"),
        ("PUT", "/v1/inner/a/b", b'{"name": "b"}', "inner.name"),
        ("PUT", "/v1/inner/a/b", b"5", "inner"),
        ("PUT", "/v1/inner/a/b?inner.name=c", b"{}", "inner.name"),
        ("PUT", "/v1/inner/a/b?inner.number=1", b"{}", "inner.number"),
    ],
)
async def test_a_body_that_contradicts_the_path_is_refused(
    client: Client, verb: str, target: str, body: bytes, field: str
) -> None:
    response = await client.send(verb, target, body)
    assert (response.status, response.reason, response.fields) == (400, "INVALID_FIELD", [field])


@pytest.mark.parametrize("body", [b"{}", b"x", b" "])
async def test_a_body_where_none_belongs_is_refused(client: Client, body: bytes) -> None:
    for verb, target in (("GET", "/v1/texts/a"), ("POST", "/v1/nothing"), ("DELETE", "/v1/texts/a")):
        response = await client.send(verb, target, body)
        assert (response.status, response.reason) == (400, "MALFORMED_BODY")
        assert (await client.send(verb, target, b"")).status == 200


@pytest.mark.parametrize(
    ("target", "whole", "part"),
    [
        ("inner", {"inner": {"name": "a"}}, {"name": "a"}),
        ("inner", {}, None),
        ("numbers", {"numbers": [1, 2]}, [1, 2]),
        ("numbers", {}, []),
        ("named", {"named": {"a": {}}}, {"a": {}}),
        ("named", {}, {}),
        ("text", {"text": "a"}, "a"),
        ("text", {}, ""),
        ("int64", {"int64Value": "5"}, "5"),
        ("int64", {}, "0"),
        ("color", {"color": "RED"}, "RED"),
        ("color", {}, "COLOR_UNSPECIFIED"),
        ("flag", {}, False),
        ("double", {}, 0.0),
        ("time", {"time": "2024-01-01T00:00:00Z"}, "2024-01-01T00:00:00Z"),
    ],
)
async def test_a_response_may_be_one_field(client: Client, target: str, whole: Any, part: Any) -> None:
    response = await client.post(f"/v1/response/{target}", whole)
    assert response.json() == part


async def test_binary_goes_in_and_out(client: Client, schema: Schema) -> None:
    request: Any = schema.methods["Body"].request
    sent = request(text="a", numbers=[1, 2], wrapped_int64={"value": 5})
    headers = {**BINARY, "accept": "application/x-protobuf"}
    response = await client.send("POST", "/v1/everything", sent.SerializeToString(), headers)
    assert response.headers["content-type"] == "application/x-protobuf"
    assert request.FromString(response.content) == sent
    inner = await client.send("POST", "/v1/body/inner/a", sent.Inner(name="b").SerializeToString(), BINARY)
    assert inner.json() == {"text": "a", "inner": {"name": "b"}}
    part = await client.post(
        "/v1/response/inner", {"inner": {"name": "b"}}, {"accept": "application/protobuf"}
    )
    assert sent.Inner.FromString(part.content).name == "b"


async def test_a_binary_body_obeys_the_path(client: Client, schema: Schema) -> None:
    request: Any = schema.methods["Body"].request
    same = await client.send("PUT", "/v1/everything/a", request(text="a").SerializeToString(), BINARY)
    none = await client.send("PUT", "/v1/everything/a", request(flag=True).SerializeToString(), BINARY)
    other = await client.send("PUT", "/v1/everything/a", request(text="b").SerializeToString(), BINARY)
    nested = await client.send(
        "PATCH", "/v1/inner/a", request(inner={"number": 1}).SerializeToString(), BINARY
    )
    assert same.json() == {"text": "a"}
    assert none.json() == {"text": "a", "flag": True}
    assert (other.reason, other.fields) == ("INVALID_FIELD", ["text"])
    assert nested.json() == {"inner": {"name": "a", "number": 1}}


async def test_a_binary_field_obeys_the_path(client: Client, schema: Schema) -> None:
    inner: Any = schema.methods["Body"].request.Inner  # type: ignore[attr-defined]
    none = await client.send("PUT", "/v1/inner/a/b", inner(number=1).SerializeToString(), BINARY)
    same = await client.send("PUT", "/v1/inner/a/b", inner(name="a").SerializeToString(), BINARY)
    other = await client.send("PUT", "/v1/inner/a/b", inner(name="b").SerializeToString(), BINARY)
    assert none.json() == {"text": "b", "inner": {"name": "a", "number": 1}}
    assert same.json() == {"text": "b", "inner": {"name": "a"}}
    assert (other.reason, other.fields) == ("INVALID_FIELD", ["inner.name"])


@pytest.mark.parametrize(
    "body", [b"\xff", b"\x0a\x05ab", b"\x0b" * 1000, b"\x0a\x02\xff\xff", b"\x00", b"{}"]
)
async def test_what_is_no_serialized_message_is_refused(client: Client, body: bytes) -> None:
    response = await client.send("POST", "/v1/everything", body, BINARY)
    assert (response.status, response.reason) == (400, "MALFORMED_BODY")


async def test_binary_cannot_fill_a_field_that_is_no_message(client: Client) -> None:
    response = await client.send("POST", "/v1/body/numbers", b"\x01", BINARY)
    assert (response.status, response.reason) == (400, "MALFORMED_BODY")
    clash = await client.send("POST", "/v1/body/middle?left=a", b"\x0a\x01x", BINARY)
    assert (clash.status, clash.fields) == (400, ["middle"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"numbers":[' + b"1," * 1_000_000 + b'"x"]}',
        b'{"inners":[' + b'{"name":"a"},' * 100_000 + b'{"name":"x","name":"y"}]}',
        b'{"inner":' * 80 + b'{"tags":[' + b'"a",' * 200_000 + b"1]}" + b"}" * 80,
    ],
    ids=["numbers", "objects", "deep"],
)
def test_a_large_refusal_takes_no_long_time(schema: Schema, body: bytes) -> None:
    kind = JsonCodec(schema.registry).type("tests.http.v1.Everything")
    start = time.process_time()
    with pytest.raises(Error, match="MALFORMED_BODY"):
        kind.parse(body)
    assert time.process_time() - start < 1.5


@pytest.mark.parametrize(
    "body",
    [
        b'{"inners":[' + b'{"name":"a"},' * 150_000 + b'{"name":1}]}',
        b'{"inners":[' + b'{"name":"a"},' * 150_000 + b'{"name":"x","name":"y"}]}',
        b'{"text":[' + b'{"name":"a"},' * 150_000 + b"1]}",
    ],
    ids=["value", "key twice", "field of the path"],
)
def test_a_large_refusal_beside_a_path_takes_no_long_time(schema: Schema, body: bytes) -> None:
    route = next(each for each in schema.routes if each.template == "/v1/everything/{text}")
    binding = Binding(route, JsonCodec(schema.registry))
    start = time.process_time()
    with pytest.raises(Error, match=r"MALFORMED_BODY.*too large to say where"):
        binding.decode(["v1", "everything", "a"], b"", body, binary=False)
    assert time.process_time() - start < 1.5


@pytest.mark.parametrize(
    ("length", "status"),
    [("9" * 5000, 413), ("0" * 5000 + "2", 200), ("1" + "0" * 30, 413), ("+2", 200), ("\xb2", 200)],
)
async def test_an_announced_length_of_any_form_is_no_defect(client: Client, length: str, status: int) -> None:
    headers = [("content-type", "application/json"), ("content-length", length)]
    assert (await client.send("POST", "/v1/everything", [b"{}"], headers)).status == status
