"""Random headers: always an answer or a typed refusal."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.runtime.http.rooms import PAINTING, Rooms, rooms

SETTINGS = HttpSettings(
    method_override=True,
    forwarded_headers=frozenset({"x-blob-bin", "x-tenant"}),
    exposed_metadata=frozenset({"x-cost"}),
    compressed_from=1,
)
RAW = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=30)
WORD = st.sampled_from(
    [
        *("gzip", "br", "deflate", "identity", "*", ";q=", "0", "0.5", "1", "1.0000", ",", " ", ";", "="),
        *(
            "application/json",
            "application/x-protobuf",
            "*/*",
            "text/event-stream",
            "charset",
            '"',
            "W/",
            '"v1"',
        ),
        *("%", "%41", "AAE=", "AA", "500m", "1S", "99999999H", "-1", "1e9", "GET", "PATCH", "DELETE", "POST"),
        *("chunked", "close", "x-tenant", "bytes", "Bearer", "a", "\x00", "\xff", "\t"),
    ]
)
VALUE = st.one_of(RAW, st.lists(WORD, max_size=6).map("".join))
NAMES = [
    *("accept", "accept-encoding", "authorization", "connection", "content-encoding", "content-length"),
    *("content-type", "grpc-timeout", "x-request-timeout", "if-match", "if-none-match", "last-event-id"),
    *("x-blob-bin", "x-tenant", "x-http-method-override", "transfer-encoding", "traceparent", "tracestate"),
    *("x-request-id", "origin", "expect", "range", "idiom-subject", "grpc-status", "te", "cookie"),
]
REQUESTS = [
    *(("GET", PAINTING), ("PATCH", PAINTING), ("DELETE", PAINTING), ("POST", PAINTING), ("HEAD", PAINTING)),
    *(("POST", "/v1/mirror"), ("POST", "/v1/fail"), ("POST", "/v1/metadata"), ("GET", "/v1/talk")),
    *(("GET", "/v1/rooms/a/titles"), ("POST", "/v1/rooms/a/paintings"), ("OPTIONS", PAINTING)),
]


@pytest.fixture(scope="module")
def gallery() -> Rooms:
    return rooms(SETTINGS)


@settings(
    max_examples=1000,
    deadline=2000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    request=st.sampled_from(REQUESTS),
    headers=st.lists(st.tuples(st.sampled_from(NAMES), VALUE), max_size=6),
    body=st.one_of(st.none(), st.just(b"{}"), st.binary(max_size=40)),
)
def test_any_headers(
    gallery: Rooms, caplog: Any, request: tuple[str, str], headers: list[tuple[str, str]], body: bytes | None
) -> None:
    gallery.hang(title="a" * 100)

    async def bounded() -> Any:
        async with asyncio.timeout(5):
            return await gallery.client.send(*request, body, headers)

    response = asyncio.run(bounded())
    late = response.status == 504 and any(
        name in ("grpc-timeout", "x-request-timeout") for name, _ in headers
    )
    assert 200 <= response.status < 500 or late, response.content
    if response.status >= 400 and request[0] != "HEAD":
        assert response.reason
    assert not any("\r" in value or "\n" in value for value in response.headers.values())
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
