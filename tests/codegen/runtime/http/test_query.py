"""Query parameters: google/api/http.proto, "any fields … not bound by the path template"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.codegen.runtime.http.request import Client

READ: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("&", {}),
    ("text=a", {"text": "a"}),
    ("text=", {}),
    ("text", {}),
    ("text=a%20b", {"text": "a b"}),
    ("text=a+b", {"text": "a b"}),
    ("text=a%2Bb", {"text": "a+b"}),
    ("text=a=b", {"text": "a=b"}),
    ("text=a%26b", {"text": "a&b"}),
    ("text=a;flag=true", {"text": "a;flag=true"}),
    ("text=%C3%A9", {"text": "é"}),
    ("text=%00", {"text": "\0"}),
    ("%74ext=a", {"text": "a"}),
    ("&&text=a&", {"text": "a"}),
    ("flag=true", {"flag": True}),
    ("int32_value=5", {"int32Value": 5}),
    ("int32Value=5", {"int32Value": 5}),
    ("int64Value=-5", {"int64Value": "-5"}),
    ("uint64Value=18446744073709551615", {"uint64Value": "18446744073709551615"}),
    ("sint32Value=-1&sint64Value=-2", {"sint32Value": -1, "sint64Value": "-2"}),
    ("fixed32Value=1&fixed64Value=2", {"fixed32Value": 1, "fixed64Value": "2"}),
    ("sfixed32Value=-1&sfixed64Value=-2", {"sfixed32Value": -1, "sfixed64Value": "-2"}),
    ("floatValue=0.5&doubleValue=1e3", {"floatValue": 0.5, "doubleValue": 1000.0}),
    ("doubleValue=Infinity", {"doubleValue": "Infinity"}),
    ("data=-_8", {"data": "+/8="}),
    ("data=%2B/8=", {"data": "+/8="}),
    ("color=RED", {"color": "RED"}),
    ("color=1", {"color": "RED"}),
    ("time=2024-01-01T00:00:00Z", {"time": "2024-01-01T00:00:00Z"}),
    ("time=1969-12-31T23:59:59.999Z", {"time": "1969-12-31T23:59:59.999Z"}),
    ("duration=-3s", {"duration": "-3s"}),
    ("mask=text,inner.name", {"mask": "text,inner.name"}),
    ("wrappedString=", {"wrappedString": ""}),
    ("wrapped_int64=0", {"wrappedInt64": "0"}),
    ("wrappedBool=false", {"wrappedBool": False}),
    ("wrappedBytes=AQ==", {"wrappedBytes": "AQ=="}),
    ("wrappedDouble=1.5", {"wrappedDouble": 1.5}),
    ("maybe=", {"maybe": ""}),
    ("left=a", {"left": "a"}),
    ("right=0", {"right": "0"}),
    ("inner.name=a", {"inner": {"name": "a"}}),
    ("inner.inner.inner.number=3", {"inner": {"inner": {"inner": {"number": 3}}}}),
    ("inner.name=a&inner.number=1", {"inner": {"name": "a", "number": 1}}),
    ("inner.tags=a&inner.tags=b", {"inner": {"tags": ["a", "b"]}}),
    ("middle.name=a&middle.number=1", {"middle": {"name": "a", "number": 1}}),
    ("numbers=1&numbers=2&numbers=1", {"numbers": [1, 2, 1]}),
    ("texts=a&texts=&texts=b", {"texts": ["a", "", "b"]}),
    ("colors=RED&colors=-2", {"colors": ["RED", "GREEN"]}),
    ("blobs=AQ==&blobs=", {"blobs": ["AQ==", ""]}),
    ("times=2024-01-01T00:00:00Z", {"times": ["2024-01-01T00:00:00Z"]}),
    ("wrappedNumbers=1&wrapped_numbers=2", {"wrappedNumbers": [1, 2]}),
    ("from=a&class=b", {"from": "a", "class": "b"}),
    ("odd=x", {"@odd": "x"}),
    ("@odd=x", {"@odd": "x"}),
]


@pytest.mark.parametrize(("query", "value"), READ)
async def test_a_query_fills_fields(client: Client, query: str, value: dict[str, Any]) -> None:
    response = await client.send("GET", f"/v1/query?{query}")
    assert response.status == 200, response.content
    assert response.json() == value


REFUSED = [
    ("nope=1", "UNKNOWN_FIELD", "nope"),
    ("Text=1", "UNKNOWN_FIELD", "Text"),
    ("=1", "UNKNOWN_FIELD", ""),
    ("text.x=1", "UNKNOWN_FIELD", "text.x"),
    ("inner.nope=1", "UNKNOWN_FIELD", "inner.nope"),
    ("inner=1", "UNKNOWN_FIELD", "inner"),
    ("inner.=1", "UNKNOWN_FIELD", "inner."),
    (".inner=1", "UNKNOWN_FIELD", ".inner"),
    ("time.seconds=1", "UNKNOWN_FIELD", "time.seconds"),
    ("wrapped_int64.value=1", "UNKNOWN_FIELD", "wrapped_int64.value"),
    ("inners.name=1", "UNKNOWN_FIELD", "inners.name"),  # repeated messages are not offered
    ("named=1", "UNKNOWN_FIELD", "named"),  # nor maps
    ("named.a=1", "UNKNOWN_FIELD", "named.a"),
    ("struct=1", "UNKNOWN_FIELD", "struct"),
    ("any=1", "UNKNOWN_FIELD", "any"),
    ("text=a&text=b", "INVALID_FIELD", "text"),
    ("int32_value=1&int32Value=1", "INVALID_FIELD", "int32_value"),
    ("inner.name=a&inner.name=a", "INVALID_FIELD", "inner.name"),
    ("left=a&right=1", "INVALID_FIELD", "right"),
    ("left=a&middle.name=b", "INVALID_FIELD", "middle"),
    ("flag=1", "INVALID_FIELD", "flag"),
    ("flag=", "INVALID_FIELD", "flag"),
    ("flag=TRUE", "INVALID_FIELD", "flag"),
    ("int32_value=", "INVALID_FIELD", "int32_value"),
    ("int32_value=1.5", "INVALID_FIELD", "int32_value"),
    ("int32_value=99999999999", "INVALID_FIELD", "int32_value"),
    ("int32_value=%2B1", "INVALID_FIELD", "int32_value"),
    ("uint32_value=-1", "INVALID_FIELD", "uint32_value"),
    ("numbers=1&numbers=x", "INVALID_FIELD", "numbers"),
    ("numbers=1&numbers=99999999999", "INVALID_FIELD", "numbers[1]"),
    ("inner.number=x", "INVALID_FIELD", "inner.number"),
    ("double_value=x", "INVALID_FIELD", "double_value"),
    ("float_value=1e39", "INVALID_FIELD", "float_value"),
    ("data=%C3%A9", "INVALID_FIELD", "data"),
    ("color=BLUE", "INVALID_FIELD", "color"),
    ("color=", "INVALID_FIELD", "color"),
    ("time=now", "INVALID_FIELD", "time"),
    ("duration=1h", "INVALID_FIELD", "duration"),
    ("mask=a_b", "INVALID_FIELD", "mask"),
    ("mask=a..b", "INVALID_FIELD", "mask"),
    ("mask=a,,b", "INVALID_FIELD", "mask"),
    ("mask=;x", "INVALID_FIELD", "mask"),
    ("wrapped_bool=x", "INVALID_FIELD", "wrapped_bool"),
    ("text=%", "INVALID_FIELD", "text"),
    ("text=%FF", "INVALID_FIELD", "text"),
    ("text=\xff", "INVALID_FIELD", "text"),
    ("%FF=1", "INVALID_FIELD", "%FF"),
]


@pytest.mark.parametrize(("query", "reason", "field"), REFUSED)
async def test_a_query_is_refused_by_name(client: Client, query: str, reason: str, field: str) -> None:
    response = await client.send("GET", f"/v1/query?{query}")
    assert (response.status, response.reason, response.fields) == (400, reason, [field])


@pytest.mark.parametrize(
    ("verb", "target", "field"),
    [
        ("GET", "/v1/texts/a?text=a", "text"),
        ("GET", "/v1/both/a/and/b?inner.name=b", "inner.name"),
        ("POST", "/v1/everything?text=a", "text"),
        ("POST", "/v1/body/numbers?numbers=1", "numbers"),
        ("POST", "/v1/body/inner/a?inner.name=1", "inner.name"),
        ("POST", "/v1/body/inner/a?text=1", "text"),
    ],
)
async def test_a_parameter_of_a_field_filled_elsewhere_is_refused(
    client: Client, verb: str, target: str, field: str
) -> None:
    response = await client.send(verb, target)
    assert (response.status, response.reason, response.fields) == (400, "INVALID_FIELD", [field])


async def test_a_parameter_beside_path_and_body_is_read(client: Client) -> None:
    response = await client.post("/v1/body/inner/a?flag=true&inners=", {"name": "b"})
    assert response.fields == ["inners"]
    response = await client.post("/v1/body/inner/a?flag=true", {"name": "b"})
    assert response.json() == {"text": "a", "flag": True, "inner": {"name": "b"}}


async def test_names_of_recursive_types_are_bounded(client: Client) -> None:
    deep = ".".join(["inner"] * 500)
    response = await client.send("GET", f"/v1/query?{deep}.number=1")
    assert (response.status, response.reason) == (400, "UNKNOWN_FIELD")
    fine = await client.send("GET", f"/v1/query?{'.'.join(['inner'] * 20)}.number=1")
    assert fine.status == 200
