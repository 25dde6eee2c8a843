"""Random requests: always an answer or a typed refusal."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.codegen.runtime.http.request import Client, Response
from tests.codegen.runtime.http.schema import schema

SETTINGS = settings(
    max_examples=300,
    deadline=2000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CHARACTERS = st.characters(min_codepoint=1, max_codepoint=255)
RAW = st.text(CHARACTERS, max_size=30)
ESCAPED = st.binary(max_size=8).map(lambda raw: "".join(f"%{byte:02x}" for byte in raw))
PIECE = st.one_of(RAW, ESCAPED, st.sampled_from(["%", "%F", ":", "//", "..", "a", "5", "true", "RED", "%2F"]))
SEGMENT = st.lists(PIECE, max_size=3).map("".join).map(lambda text: text.replace("?", ""))
NAMES = [field.name for field in schema().registry.message("tests.http.v1.Everything").fields]  # type: ignore[union-attr]
NAME = st.one_of(st.sampled_from([*NAMES, "inner.name", "inner.inner.number", "middle.tags"]), SEGMENT)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.just("RED"),
        st.just("1"),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(NAMES), st.just("@type"), st.text(max_size=4)), inner, max_size=4
        ),
    ),
    max_leaves=12,
)
HEADERS = ["accept", "content-type", "authorization", "grpc-timeout", "x-request-timeout", "x-request-id"]
HEADERS += [
    "content-encoding",
    "content-length",
    "transfer-encoding",
    "traceparent",
    "idiom-subject",
    "cookie",
]


def _send(client: Client, verb: str, *request: Any) -> None:
    async def bounded() -> Response:
        async with asyncio.timeout(5):
            return await client.send(verb, *request)

    response = asyncio.run(bounded())
    assert 200 <= response.status < 500, response.content
    if response.status == 400 and verb != "HEAD":
        assert response.reason


@pytest.fixture(autouse=True)
def no_defects(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@SETTINGS
@given(
    verb=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X"]),
    head=st.sampled_from(
        ["/v1/texts/", "/v1/files/", "/v1/one/shelves/", "/v1/typed/int32/", "/v1/any/", "/"]
    ),
    segments=st.lists(SEGMENT, max_size=4),
)
def test_any_path(app: FastAPI, verb: str, head: str, segments: list[str]) -> None:
    _send(Client(app), verb, head + "/".join(segments))


@SETTINGS
@given(pairs=st.lists(st.tuples(NAME, SEGMENT), max_size=5), separator=st.sampled_from(["&", ";", "&&"]))
def test_any_query(app: FastAPI, pairs: list[tuple[str, str]], separator: str) -> None:
    _send(Client(app), "GET", "/v1/query?" + separator.join(f"{name}={value}" for name, value in pairs))


TARGETS = ["/v1/everything", "/v1/body/inner/a", "/v1/body/numbers", "/v1/body/named", "/v1/response/named"]


@SETTINGS
@given(target=st.sampled_from(TARGETS), value=JSON)
def test_any_json(app: FastAPI, target: str, value: Any) -> None:
    try:
        body = orjson.dumps(value)
    except (TypeError, ValueError):
        return
    _send(Client(app), "POST", target, body)


@SETTINGS
@given(target=st.sampled_from(TARGETS), body=st.binary(max_size=200), binary=st.booleans())
def test_any_bytes(app: FastAPI, target: str, body: bytes, binary: bool) -> None:
    headers = {"content-type": "application/x-protobuf"} if binary else {}
    _send(Client(app), "POST", target, body, headers)


@SETTINGS
@given(body=st.binary(min_size=1, max_size=60))
def test_any_damage_to_json(app: FastAPI, body: bytes) -> None:
    whole = b'{"text":"a","inner":{"name":"b"},"numbers":[1,2],"left":"c","time":"2024-01-01T00:00:00Z"}'
    place = body[0] % len(whole)
    _send(Client(app), "POST", "/v1/everything", whole[:place] + body[1:] + whole[place + len(body) % 3 :])


@SETTINGS
@given(headers=st.lists(st.tuples(st.sampled_from(HEADERS), RAW), max_size=6), body=st.binary(max_size=20))
def test_any_headers(app: FastAPI, headers: list[tuple[str, str]], body: bytes) -> None:
    for target in ("/v1/users", "/v1/everything"):
        response = asyncio.run(Client(app).send("POST", target, [body], headers))
        assert response.status in {200, 400, 401, 406, 413, 415, 504}
