"""HTTP clients and servers that refuse, fail or fall silent."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from google.rpc import code_pb2
from idiom.v1 import reason_errors as reasons

from codegen.runtime.client.channel import NO_OPTIONS, HttpOptions
from codegen.runtime.client.http import HttpClient
from codegen.runtime.client.settings import HttpClientSettings
from codegen.runtime.errors import Error, FieldViolation, Reason
from codegen.runtime.identity import UserTokens
from codegen.runtime.method import Retry
from codegen.runtime.transcoding.route import Route
from tests.codegen.runtime.client.scripted import Cut, answer, scripted
from tests.codegen.runtime.http.schema import schema
from tests.servers import free_port

SCHEMA = schema()
OK = answer(200, {"text": "yes"})
REFUSAL = {
    "code": code_pb2.NOT_FOUND,
    "message": "there is no such book",
    "details": [
        {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "NO_BOOK",
            "domain": "library",
            "metadata": {"shelf": "7"},
        },
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "name", "description": "unknown"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"},
    ],
}


def route(method: str, *, retry: Retry = Retry.UNSPECIFIED, idempotent: bool = False) -> Route:
    found = next(each for each in SCHEMA.routes if each.method.name == method)
    policy = dataclasses.replace(found.method.policy, retry=retry)
    return dataclasses.replace(
        found, method=dataclasses.replace(found.method, policy=policy, idempotent=idempotent)
    )


BODY = route("Body")
SAFE = route("Body", retry=Retry.SAFE)


async def call(client: HttpClient, called: Route, options: HttpOptions = NO_OPTIONS, **fields: Any) -> Any:
    return await client.unary(called, called.method.request(**fields), called.method.response, options)


async def failed(
    client: HttpClient, called: Route, options: HttpOptions = NO_OPTIONS, **fields: Any
) -> Error:
    with pytest.raises(Error) as error:
        await call(client, called, options, **fields)
    return error.value


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    listening = socket.create_server(("127.0.0.1", 0))
    running = asyncio.create_task(server.serve([listening]))
    port = listening.getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


def client_of(url: str, **options: Any) -> HttpClient:
    return HttpClient(url, SCHEMA.registry, **options)


async def test_a_call_is_answered_and_a_refusal_of_the_pipeline_is_typed(
    app: FastAPI, tokens: UserTokens
) -> None:
    asked = []

    async def token() -> str:
        asked.append(1)
        return tokens.issue("7", "1")[0] if len(asked) > 1 else ""

    async with serving(app) as url, client_of(url, token=token) as client:
        assert (await call(client, route("Path"), text="a/b?c")).text == "a/b?c"
        assert asked == []
        assert (await failed(client, route("Users"))).reason == reasons.TOKEN_MISSING
        assert (await call(client, route("Users"), int64_value=1 << 60)).int64_value == 1 << 60
        assert len(asked) == 2
        refused = await failed(client, route("Rules"), text="too long")
        assert refused.reason == reasons.VALIDATION_FAILED
        assert [violation.field for violation in refused.violations] == ["text"]
        for code in (code_pb2.ABORTED, code_pb2.NOT_FOUND, code_pb2.DATA_LOSS):
            error = await failed(client, route("Fail"), int32_value=code)
            assert (error.reason.domain, error.reason.code, error.metadata) == ("tests", code, {"k": "v"})


async def test_a_refusal_keeps_reason_metadata_violations_and_delay_though_nobody_knows_the_reason() -> None:
    async with scripted(answer(404, REFUSAL)) as server, client_of(server.url) as client:
        error = await failed(client, BODY)
    assert error.reason == Reason("NO_BOOK", "library", code_pb2.NOT_FOUND)
    assert str(error) == "NO_BOOK: there is no such book"
    assert (error.metadata, error.retry_after) == ({"shelf": "7"}, 1.5)
    assert error.violations == (FieldViolation("name", "unknown"),)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (502, b"<html>Bad Gateway</html>", "DEPENDENCY_UNAVAILABLE"),
        (504, b"", "DEADLINE_EXCEEDED"),
        (413, b"too large", "TOO_LARGE"),
        (404, b'{"detail":"Not Found"}', "NOT_FOUND"),
        (302, b"", "UNKNOWN"),
        (500, b'{"code":"13","details":7}', "UNKNOWN"),
        (500, b'{"code":13,"message":7,"details":[7,{"@type":[]},{"@type":"x"}]}', "INTERNAL"),
    ],
)
async def test_what_something_on_the_way_answers_is_typed_too(status: int, body: bytes, reason: str) -> None:
    async with scripted(answer(status, body)) as server, client_of(server.url) as client:
        error = await failed(client, BODY)
    assert error.reason.name == reason


async def test_an_address_where_nobody_listens_is_tried_again_and_then_said() -> None:
    async with client_of(f"http://127.0.0.1:{free_port()}") as client:
        error = await failed(client, BODY)
    assert error.reason == reasons.DEPENDENCY_UNAVAILABLE
    assert "cannot be reached" in error.message


async def test_a_call_that_may_have_had_its_effect_is_not_repeated_by_itself() -> None:
    async with scripted(None, OK) as server, client_of(server.url) as client:
        error = await failed(client, BODY)
    assert error.reason == reasons.DEPENDENCY_UNAVAILABLE
    assert len(server.requests) == 1


@pytest.mark.parametrize("called", [SAFE, route("Body", idempotent=True)])
@pytest.mark.parametrize(
    "first",
    [
        None,
        Cut(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"),
        Cut(b"HTTP/1.1 200"),
        answer(503, b""),
        answer(503, {"code": code_pb2.UNAVAILABLE, "message": "later"}),
    ],
)
async def test_a_call_that_does_no_harm_twice_is_repeated(called: Route, first: bytes | None) -> None:
    async with scripted(first, OK) as server, client_of(server.url) as client:
        assert (await call(client, called)).text == "yes"
    assert len(server.requests) == 2


async def test_never_means_never() -> None:
    async with scripted(None, OK) as server, client_of(server.url) as client:
        await failed(client, route("Body", retry=Retry.NEVER, idempotent=True))
    assert len(server.requests) == 1


async def test_who_is_asked_to_come_back_later_comes_back_then() -> None:
    later = answer(429, {"code": code_pb2.RESOURCE_EXHAUSTED, "message": "later"}, retry_after="1")
    async with scripted(later, OK) as server, client_of(server.url) as client:
        began = time.monotonic()
        assert (await call(client, BODY)).text == "yes"
        assert time.monotonic() - began >= 1.0
    assert len(server.requests) == 2


async def test_a_delay_beyond_the_deadline_is_not_waited_for() -> None:
    later = answer(429, {"code": code_pb2.RESOURCE_EXHAUSTED, "message": "later"}, retry_after="60")
    async with scripted(later) as server, client_of(server.url) as client:
        began = time.monotonic()
        error = await failed(client, BODY)
    assert time.monotonic() - began < 10
    assert error.retry_after == 60


async def test_the_deadline_holds_and_the_server_hears_of_it(app: FastAPI) -> None:
    async with serving(app) as url, client_of(url) as client:
        began = time.monotonic()
        error = await failed(client, route("Sleep"), HttpOptions(timeout=0.3))
        assert time.monotonic() - began < 5
    assert error.reason == reasons.DEADLINE_EXCEEDED
    async with scripted(OK) as server, client_of(server.url) as client:
        await call(client, BODY, HttpOptions(timeout=2, headers={"x-mine": "1"}))
    assert 1.5 < float(server.headers()["x-request-timeout"]) <= 2
    assert server.headers()["x-mine"] == "1"


async def test_repetitions_are_bounded_for_a_call_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codegen.runtime.client.retries.FIRST_PAUSE", 0.001)
    async with scripted(None) as server, client_of(server.url) as client:
        await failed(client, SAFE)
        assert len(server.requests) == 4
        for _ in range(20):
            await failed(client, SAFE)
    assert len(server.requests) < 21 + 10 + 21 * 0.2 + 1


async def test_an_answer_without_end_is_cut_off() -> None:
    settings = HttpClientSettings(max_message_bytes=1000)
    async with (
        scripted(answer(200, b" " * 5000)) as server,
        client_of(server.url, settings=settings) as client,
    ):
        assert (await failed(client, SAFE)).reason == reasons.TOO_LARGE


async def test_an_error_of_the_token_source_is_the_error_of_the_call() -> None:
    async def token() -> str:
        raise Error(reasons.TOKEN_EXPIRED, "log in again")

    async with scripted(OK) as server, client_of(server.url, token=token) as client:
        assert (await failed(client, route("Users"))).reason == reasons.TOKEN_EXPIRED
    assert server.requests == []


async def test_an_address_may_have_a_path_before_all_others() -> None:
    async with scripted(OK) as server, client_of(f"{server.url}/behind/a/proxy/") as client:
        await call(client, route("Path"), text="x")
    assert server.requests[0].startswith(b"GET /behind/a/proxy/v1/texts/x HTTP/1.1\r\n")


@pytest.mark.parametrize("url", ["", "localhost:80", "ftp://x", "http://", "http://x:99999", "http://x?a=b"])
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        client_of(url)
