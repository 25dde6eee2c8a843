"""Paths: google/api/http.proto (HttpRule, path template syntax), and what docs/transcoding.md adds."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from tests.codegen.runtime.http.request import Client

TEXTS = [
    ("/v1/texts/abc", "abc"),
    ("/v1/texts/a%20b", "a b"),
    ("/v1/texts/a+b", "a+b"),  # a plus is a space in queries only
    ("/v1/texts/a%2Fb", "a/b"),  # one segment: everything is decoded
    ("/v1/texts/a%2fb", "a/b"),
    ("/v1/texts/%C3%A9", "é"),
    ("/v1/texts/%F0%9F%98%80", "😀"),
    ("/v1/texts/%25", "%"),
    ("/v1/texts/%252F", "%2F"),
    ("/v1/texts/%00", "\0"),
    ("/v1/texts/..", ".."),
    ("/v1/texts/%2e%2e", ".."),
    ("/v1/texts/a;b=c", "a;b=c"),
    ("/v1/texts/*", "*"),
    ("/v1/texts/%7Bx%7D", "{x}"),
    ("/v1/texts/a%3Ashout", "a:shout"),  # an escaped colon is never a custom verb
    ("/v1/%74exts/abc", "abc"),  # literals compare decoded
    ("/%76%31/texts/abc", "abc"),
    ("/v1/caf%C3%A9/x", "x"),
    ("/v1/caf%c3%a9/x", "x"),
    ("/v1/one/shelves/7", "shelves/7"),
    ("/v1/one/shelves/a%2Fb", "shelves/a%2Fb"),  # several segments: an escaped slash stays
    ("/v1/one/shelves/a%2fb", "shelves/a%2fb"),
    ("/v1/one/shelves/a%20b", "shelves/a b"),
    ("/v1/two/shelves/1/books/2", "shelves/1/books/2"),
    ("/v1/files/a", "a"),
    ("/v1/files/a/b/c", "a/b/c"),
    ("/v1/files/a//c", "a//c"),  # inner empty segments are kept
    ("/v1/files//", "/"),
    ("/v1/files/", ""),
    ("/v1/files", ""),  # `**` is zero or more segments
    ("/v1/files/a%2Fb/c", "a%2Fb/c"),
    ("/v1/files/a/meta", "a"),  # extension: literals behind `**`
    ("/v1/files/meta", ""),
    ("/v1/files/a/b/meta", "a/b"),
    ("/v1/files/a/meta/b", "a/meta/b"),
    ("/v1/files/a/b:stat", "a/b"),
    ("/v1/files:stat", ""),
    ("/v1/files/a:b/c", "a:b/c"),  # a colon counts in the last segment only
    ("/v1/star/anything/x", "x"),
    ("/v1/texts/abc?", "abc"),
]


@pytest.mark.parametrize(("target", "text"), TEXTS)
async def test_a_path_gives_its_variable(client: Client, target: str, text: str) -> None:
    response = await client.send("GET", target)
    assert response.status == 200, response.content
    assert response.json().get("text", "") == text


MISSING = [
    "/",
    "/v1",
    "/v2/texts/abc",
    "/v1/texts",
    "/v1/texts/",  # `*` takes no empty segment, and a trailing slash is one
    "/v1/texts/abc/",
    "/v1//texts/abc",
    "//v1/texts/abc",
    "/v1/TEXTS/abc",
    "/v1/one/shelves",
    "/v1/one/shelves/",
    "/v1/one/books/1",
    "/v1/one/shelves/1/2",
    "/v1/texts:other",  # a custom verb that nobody has
    "/v1/texts/abc:other",  # not swallowed: another rule has a custom verb here
    "/v1/files/a:other",
    "/v1/texts/me:other",
    "/v1/caf/x",
    "/v1/caf%E9/x",
    "/v1/t%zzexts/abc",
    "/v1/star//x",
    "/v1/query/",
]


@pytest.mark.parametrize("target", MISSING)
async def test_other_paths_are_not_found(client: Client, target: str) -> None:
    response = await client.send("GET", target)
    assert response.status == 404


BROKEN = [
    "/v1/texts/%",
    "/v1/texts/%2",
    "/v1/texts/%zz",
    "/v1/texts/a%4",
    "/v1/texts/%FF",
    "/v1/texts/%C3",
    "/v1/texts/%C3%28",
    "/v1/texts/%ED%A0%80",  # a surrogate
    "/v1/texts/%F4%90%80%80",  # beyond Unicode
    "/v1/texts/%C0%AF",  # overlong
    "/v1/texts/\xff",
    "/v1/one/shelves/%FF",
    "/v1/files/a/%GG/b",
]


@pytest.mark.parametrize("target", BROKEN)
async def test_a_broken_escape_is_refused_by_name(client: Client, target: str) -> None:
    response = await client.send("GET", target)
    assert response.status == 400
    assert response.reason == "MALFORMED_PATH"


TYPED = [
    ("flag/true", "flag", True),
    ("flag/false", "flag", None),
    ("int32/-2147483648", "int32Value", -2147483648),
    ("int32/2147483647", "int32Value", 2147483647),
    ("int64/-9223372036854775808", "int64Value", "-9223372036854775808"),
    ("int64/9223372036854775807", "int64Value", "9223372036854775807"),
    ("uint32/4294967295", "uint32Value", 4294967295),
    ("uint64/18446744073709551615", "uint64Value", "18446744073709551615"),
    ("float/1.5", "floatValue", 1.5),
    ("double/-1e300", "doubleValue", -1e300),
    ("double/NaN", "doubleValue", "NaN"),
    ("double/-Infinity", "doubleValue", "-Infinity"),
    ("data/-_8=", "data", "+/8="),
    ("data/-_8", "data", "+/8="),
    ("data/%2B%2F8=", "data", "+/8="),
    ("color/RED", "color", "RED"),
    ("color/1", "color", "RED"),
    ("color/-2", "color", "GREEN"),
    ("color/7", "color", 7),  # enums of proto3 are open
    ("time/2024-02-29T12:00:00.5Z", "time", "2024-02-29T12:00:00.500Z"),
    ("time/2024-02-29T12:00:00%2B01:00", "time", "2024-02-29T11:00:00Z"),
    ("duration/1.5s", "duration", "1.500s"),
    ("mask/text,inner.name", "mask", "text,inner.name"),
    ("wrapped/0", "wrappedInt64", "0"),
    ("left/x", "left", "x"),
]


@pytest.mark.parametrize(("path", "name", "value"), TYPED)
async def test_a_path_value_is_read_as_its_type(client: Client, path: str, name: str, value: object) -> None:
    response = await client.send("GET", f"/v1/typed/{path}")
    assert response.status == 200, response.content
    assert response.json().get(name) == value


MISTYPED = [
    *("flag/1", "flag/True", "flag/yes"),
    *(
        "int32/2147483648",
        "int32/-2147483649",
        "int32/1.0",
        "int32/1e3",
        "int32/%20",
        "int32/0x1",
        "int32/1_0",
    ),
    *("int32/%D9%A3", "int64/9223372036854775808", "uint32/-1", "uint32/4294967296"),
    *("uint64/18446744073709551616", "uint64/99999999999999999999999", "int64/--1"),
    *("float/1e39", "float/x", "double/1e400", "double/inf", "double/1_0"),
    *("data/a", "data/%C3%A9", "color/BLUE", "color/red", "color/99999999999"),
    *("time/now", "time/2024-02-30T00:00:00Z", "duration/1", "duration/s", "mask/a_b", "wrapped/x"),
]


@pytest.mark.parametrize("path", MISTYPED)
async def test_a_path_value_of_another_type_is_refused(client: Client, path: str) -> None:
    response = await client.send("GET", f"/v1/typed/{path}")
    assert response.status == 400
    assert response.reason == "INVALID_FIELD"


async def test_a_literal_goes_before_a_variable(client: Client) -> None:
    response = await client.send("GET", "/v1/texts/me")
    assert response.json() == {}


async def test_another_verb_of_a_literal_falls_back_to_the_variable(client: Client) -> None:
    response = await client.send("DELETE", "/v1/texts/me")
    assert response.json() == {"text": "me"}


async def test_a_custom_verb_is_found_behind_a_literal_and_a_variable(client: Client) -> None:
    assert (await client.send("GET", "/v1/texts:count")).status == 200
    assert (await client.send("POST", "/v1/texts/me:shout")).json() == {"text": "me"}
    assert (await client.send("POST", "/v1/texts/a:b:shout")).json() == {"text": "a:b"}


async def test_two_variables_fill_two_fields(client: Client) -> None:
    response = await client.send("GET", "/v1/both/a/and/b")
    assert response.json() == {"text": "a", "inner": {"name": "b"}}


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "PURGE", "HEAD"])
async def test_a_rule_for_any_verb_takes_every_verb(client: Client, verb: str) -> None:
    assert (await client.send(verb, "/v1/any/x")).status == 200


async def test_a_custom_kind_is_a_verb_of_its_own(client: Client) -> None:
    assert (await client.send("PROPFIND", "/v1/custom/x")).json() == {"text": "x"}
    assert (await client.send("GET", "/v1/custom/x")).status == 405


@pytest.mark.parametrize(
    ("target", "allow"),
    [
        ("/v1/texts/abc", "DELETE, GET, HEAD, OPTIONS"),
        ("/v1/texts/abc:shout", "OPTIONS, POST"),
        ("/v1/texts:count", "GET, HEAD, OPTIONS"),
        ("/v1/custom/x", "OPTIONS, PROPFIND"),
        ("/v1/everything", "OPTIONS, POST"),
    ],
)
async def test_another_verb_is_refused_with_those_allowed(client: Client, target: str, allow: str) -> None:
    refused = await client.send("MOVE", target)
    assert refused.status == 405
    assert refused.reason == "METHOD_NOT_ALLOWED"
    assert refused.headers["allow"] == allow
    asked = await client.send("OPTIONS", target)
    assert (asked.status, asked.headers["allow"], asked.content) == (204, allow, b"")


async def test_head_is_get_without_a_body(client: Client) -> None:
    got, head = [await client.send(verb, "/v1/texts/abc") for verb in ("GET", "HEAD")]
    assert head.status == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(got.content))


async def test_what_the_schema_does_not_have_goes_on_to_the_app(app: FastAPI, client: Client) -> None:
    @app.get("/v1/other")
    async def other() -> str:
        return "the app's"

    @app.delete("/v1/everything")
    async def delete() -> str:
        return "the app's too"

    assert (await client.send("GET", "/v1/other")).json() == "the app's"
    assert (await client.send("DELETE", "/v1/everything")).json() == "the app's too"
    assert (await client.send("GET", "/v1/everything")).status == 405
