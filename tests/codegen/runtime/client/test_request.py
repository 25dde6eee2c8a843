"""Requests of HTTP clients: what they write, the dispatcher reads as the same message."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.runtime.client.request import ClientBinding
from codegen.runtime.codec import JsonCodec
from codegen.runtime.errors import Error
from codegen.runtime.transcoding.route import Route
from tests.codegen.runtime.http.request import Client
from tests.codegen.runtime.http.schema import schema

SCHEMA = schema()
CODEC = JsonCodec(SCHEMA.registry, ignore_unknown_fields=True)
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
EVERYTHING = SCHEMA.methods["Query"].request

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NAME = TEXT.filter(lambda text: text not in {"", ".", ".."})
FLOATS = st.floats(allow_nan=False, width=32)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
INT32, INT64 = st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-(1 << 63), (1 << 63) - 1)
TIME = st.fixed_dictionaries({"seconds": st.integers(0, 253402300799), "nanos": st.integers(0, 999999999)})
INNER = st.fixed_dictionaries(
    {}, optional={"name": TEXT, "number": INT32, "tags": st.lists(TEXT, max_size=3)}
)
QUERY: dict[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans(),
    "int32_value": INT32,
    "int64_value": INT64,
    "uint64_value": st.integers(0, (1 << 64) - 1),
    "double_value": FLOATS,
    "data": st.binary(max_size=6),
    "color": st.sampled_from([0, 1, -2]),
    "numbers": st.lists(INT32, max_size=3),
    "time": TIME,
    "wrapped_int64": st.fixed_dictionaries({"value": INT64}),
    "wrapped_string": st.fixed_dictionaries({"value": TEXT}),
    "left": TEXT,
    "maybe": TEXT,
    "blobs": st.lists(st.binary(max_size=4), max_size=2),
    "texts": st.lists(TEXT, max_size=3),
    "odd": TEXT,
    "from": TEXT,
    "times": st.lists(TIME, max_size=2),
}
BODY = {**QUERY, "text": TEXT, "inner": INNER, "inners": st.lists(INNER, max_size=2)}
BODY["named"] = st.dictionaries(TEXT, INNER, max_size=2)
BODY["struct"] = st.dictionaries(TEXT, st.one_of(TEXT, st.booleans(), FINITE), max_size=2)


def _route(method: str, template: str) -> Route:
    return next(r for r in SCHEMA.routes if (r.method.name, r.template) == (method, template))


def _message(**fields: Any) -> Message:
    return EVERYTHING(**fields)


def _echo(app: FastAPI, route: Route, message: Message) -> Message:
    binding = ClientBinding(route, CODEC)
    target, body, _ = binding.write(message)
    answer = asyncio.run(Client(app).send(binding.verb, target, body))
    assert answer.status == 200, (target, answer.content)
    return route.method.response.FromString(binding.read(answer.content))


@pytest.mark.parametrize(
    "template",
    [
        "/v1/texts/{text}",
        "/v1/texts/{text}:shout",
        "/v1/caf%C3%A9/{text}",
        "/v1/star/*/{text}",
        "/v1/custom/{text}",
        "/v1/any/{text}",
    ],
)
@SETTINGS
@given(text=NAME)
def test_any_text_can_be_one_segment(app: FastAPI, template: str, text: str) -> None:
    assert _echo(app, _route("Path", template), _message(text=text)) == _message(text=text)


@SETTINGS
@given(first=NAME.filter(lambda n: "/" not in n), second=NAME.filter(lambda n: "/" not in n))
def test_slashes_separate_segments_of_a_variable_of_several(app: FastAPI, first: str, second: str) -> None:
    for template, text in (
        ("/v1/one/{text=shelves/*}", f"shelves/{first}"),
        ("/v1/two/{text=shelves/*/books/*}", f"shelves/{first}/books/{second}"),
        ("/v1/files/{text=**}", f"{first}/{second}"),
        ("/v1/files/{text=**}/meta", f"{first}//{second}"),
    ):
        assert _echo(app, _route("Path", template), _message(text=text)) == _message(text=text)


@SETTINGS
@given(text=NAME, name=NAME, number=INT32)
def test_a_variable_may_lie_deeper_and_the_rest_of_its_message_is_query(
    app: FastAPI, text: str, name: str, number: int
) -> None:
    message = _message(text=text, inner={"name": name, "number": number})
    assert _echo(app, _route("Path", "/v1/both/{text}/and/{inner.name}"), message) == message


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("flag", st.booleans()),
        ("int32_value", INT32),
        ("int64_value", INT64),
        ("double_value", FLOATS),
        ("data", st.binary(min_size=1, max_size=6)),
        ("color", st.sampled_from([0, 1, -2])),
        ("time", TIME),
    ],
)
@SETTINGS
@given(data=st.data())
def test_scalars_of_any_type_can_stand_in_a_path(
    app: FastAPI, field: str, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    route = next(r for r in SCHEMA.routes if r.method.name == "Typed" and f"{{{field}}}" in r.template)
    message = _message(**{field: data.draw(values)})
    assert _echo(app, route, message) == message


@SETTINGS
@given(fields=st.fixed_dictionaries({}, optional={**QUERY, "inner": INNER}))
def test_what_nothing_else_takes_is_the_query(app: FastAPI, fields: dict[str, Any]) -> None:
    message: Any = _message(**fields)
    if message.HasField("inner") and not message.inner.ByteSize():
        message.ClearField("inner")  # a query cannot say that an empty message is there
    assert _echo(app, _route("Query", "/v1/query"), message) == message


@SETTINGS
@given(fields=st.fixed_dictionaries({}, optional=BODY))
def test_a_body_says_everything(app: FastAPI, fields: dict[str, Any]) -> None:
    message = _message(**fields)
    assert _echo(app, _route("Body", "/v1/everything"), message) == message


@SETTINGS
@given(text=NAME, fields=st.fixed_dictionaries({}, optional=BODY))
def test_what_the_path_takes_is_not_said_again(app: FastAPI, text: str, fields: dict[str, Any]) -> None:
    message = _message(**{**fields, "text": text})
    route = _route("Body", "/v1/everything/{text}")
    assert b'"text"' not in (ClientBinding(route, CODEC).write(message).body or b"").split(b'":')[0]
    assert _echo(app, route, message) == message


@SETTINGS
@given(text=NAME, inner=INNER, maybe=TEXT)
def test_one_field_may_be_the_body_beside_path_and_query(
    app: FastAPI, text: str, inner: dict[str, Any], maybe: str
) -> None:
    message = _message(text=text, inner=inner, maybe=maybe)
    assert _echo(app, _route("Body", "/v1/body/inner/{text}"), message) == message


@pytest.mark.parametrize(
    "field", ["inner", "numbers", "named", "text", "int64", "color", "flag", "double", "time"]
)
@SETTINGS
@given(data=st.data())
def test_an_answer_may_be_one_field(app: FastAPI, field: str, data: st.DataObject) -> None:
    name = {"int64": "int64_value", "double": "double_value"}.get(field, field)
    message: Any = _message(**{name: data.draw(BODY[name])}, maybe="not answered")
    answered = _echo(app, _route("Response", f"/v1/response/{field}"), message)
    message.ClearField("maybe")
    assert answered == message


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("/v1/texts/{text}", ""),
        ("/v1/texts/{text}", ".."),
        ("/v1/files/{text=**}", "a/./b"),
        ("/v1/one/{text=shelves/*}", "books/1"),
        ("/v1/one/{text=shelves/*}", "shelves/"),
        ("/v1/two/{text=shelves/*/books/*}", "shelves/1"),
    ],
)
def test_a_value_that_no_path_can_say_is_refused_and_named(template: str, text: str) -> None:
    with pytest.raises(Error) as refused:
        ClientBinding(_route("Path", template), CODEC).write(_message(text=text))
    assert (refused.value.reason.name, refused.value.violations[0].field) == ("INVALID_FIELD", "text")


@pytest.mark.parametrize("fields", [{"inners": [{}]}, {"named": {"a": {}}}, {"struct": {"a": 1}}])
def test_a_value_that_no_query_can_say_is_refused_and_named(fields: dict[str, Any]) -> None:
    with pytest.raises(Error) as refused:
        ClientBinding(_route("Query", "/v1/query"), CODEC).write(_message(**fields))
    assert (refused.value.reason.name, refused.value.violations[0].field) == ("INVALID_FIELD", *fields)


@pytest.mark.parametrize(
    "fields", [{"time": {"seconds": 1 << 40}}, {"time": {"nanos": -1}}, {"struct": {"a": float("inf")}}]
)
def test_a_value_that_no_json_can_say_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Error) as refused:
        ClientBinding(_route("Body", "/v1/everything"), CODEC).write(_message(**fields))
    assert refused.value.reason.name == "INVALID_FIELD"


def test_fields_and_values_that_only_a_newer_server_knows_are_passed_over() -> None:
    binding = ClientBinding(_route("Body", "/v1/everything"), CODEC)
    read: Any = EVERYTHING.FromString(binding.read(b'{"text": "a", "color": "MAUVE", "new": {"er": [1]}}'))
    assert read == _message(text="a")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"int32Value": "many"}', b'{"text": "\xff"}'])
def test_an_answer_that_cannot_be_read_is_a_typed_error(body: bytes) -> None:
    with pytest.raises(Error) as unread:
        ClientBinding(_route("Body", "/v1/everything"), CODEC).read(body)
    assert unread.value.reason.name == "INTERNAL"
