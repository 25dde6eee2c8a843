"""Calls over WebSockets whose servers refuse, break off, or send what is no response."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import orjson
import pytest
from google.rpc import code_pb2
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from codegen.runtime.client.channel import Answer, HttpOptions
from codegen.runtime.client.settings import HttpClientSettings
from codegen.runtime.errors import Error
from tests.codegen.runtime.client.both import KINDS, Both, client_of, pb
from tests.codegen.runtime.client.scripted import Cut, answer, scripted
from tests.servers import free_port

EVENT = pb("Event", id=1, text="lily")
STATUS = {
    "code": code_pb2.ABORTED,
    "message": "no",
    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "NO", "domain": "gallery"}],
}
SMALL = HttpClientSettings(max_message_bytes=1000)
Script = Callable[[ServerConnection], Awaitable[None]]

pytestmark = pytest.mark.parametrize("kind", KINDS)


@asynccontextmanager
async def talking(kind: str, script: Script, **options: Any) -> AsyncIterator[tuple[Both, list[Request]]]:
    asked: list[Request] = []

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request)
        with contextlib.suppress(ConnectionClosed):
            await script(connection)

    async with serve(handle, "127.0.0.1", 0) as server:
        url = "http://{}:{}/behind".format(*next(iter(server.sockets)).getsockname())
        async with client_of(kind, url, "token", **options) as both:
            yield both, asked


async def failed(call: Any) -> Error:
    with pytest.raises(Error) as error:
        await call
    return error.value


async def test_responses_are_read_in_both_forms_and_the_handshake_says_who_calls(kind: str) -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(await connection.recv())
        await connection.send('{"id":"2","text":"json","newer":1}')

    answered = Answer()
    options = HttpOptions(timeout=5, headers={"x-mine": "yes"}, answer=answered)
    async with talking(kind, script) as (both, asked):
        assert [event.id for event in await both.many("talk", [EVENT], options)] == [1, 2]
    headers = asked[0].headers
    assert (asked[0].path, headers["authorization"], headers["x-mine"]) == (
        "/behind/v1/talk",
        "Bearer token",
        "yes",
    )
    assert 4 < float(headers["x-request-timeout"]) <= 5
    assert answered.status == HTTPStatus.SWITCHING_PROTOCOLS


@pytest.mark.parametrize(
    ("frames", "code", "reason"),
    [
        (["<html>"], 1000, "INTERNAL"),
        ([b"\xff\xff\xff"], 1000, "INTERNAL"),
        (['{"id":"many"}'], 1000, "INTERNAL"),
        ([orjson.dumps({"error": STATUS}).decode()], 1000, "NO"),
        (['{"error":{}}'], 1000, "INTERNAL"),
        (["x" * 2000], 1000, "TOO_LARGE"),
        ([], 1008, "FORBIDDEN"),
        ([], 1009, "TOO_LARGE"),
        ([], 1011, "INTERNAL"),
        ([], 1012, "DEPENDENCY_UNAVAILABLE"),
        ([], 4007, "PERMISSION_DENIED"),
        ([], 4999, "DEPENDENCY_UNAVAILABLE"),
    ],
)
async def test_what_goes_wrong_is_told_after_what_came_before(
    kind: str, frames: list[str | bytes], code: int, reason: str
) -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send('{"id":"1"}')
        for frame in frames:
            await connection.send(frame)
        await connection.close(code, "so")

    taken: list[Any] = []
    async with talking(kind, script, settings=SMALL) as (both, _):
        error = await failed(both.many("talk", [EVENT], into=taken))
    assert ([event.id for event in taken], error.reason.name) == ([1], reason)


async def test_a_connection_that_breaks_off_is_a_typed_error(kind: str) -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send('{"id":"1"}')
        connection.transport.abort()

    async with talking(kind, script) as (both, _):
        assert (await failed(both.many("talk", [EVENT]))).reason.name == "DEPENDENCY_UNAVAILABLE"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (answer(403, STATUS), "NO"),
        (answer(307, b"", location="ws://127.0.0.1:9/"), "UNKNOWN"),
        (answer(200, {}), "UNKNOWN"),
        (Cut(b"nonsense\r\n\r\n"), "DEPENDENCY_UNAVAILABLE"),
        (None, "DEPENDENCY_UNAVAILABLE"),
    ],
)
async def test_a_handshake_that_fails_is_a_typed_error(kind: str, content: bytes | None, reason: str) -> None:
    async with scripted(content) as server, client_of(kind, server.url) as both:
        error = await failed(both.many("talk", [EVENT]))
        assert error.reason.name == reason
        assert len(server.requests) == 1


async def test_where_nobody_listens_is_said(kind: str) -> None:
    async with client_of(kind, f"http://127.0.0.1:{free_port()}") as both:
        assert (await failed(both.many("talk", [EVENT]))).reason.name == "DEPENDENCY_UNAVAILABLE"


async def test_a_server_that_says_nothing_is_given_up_in_time(kind: str) -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with talking(kind, script) as (both, _):
        error = await failed(both.many("talk", [EVENT], HttpOptions(timeout=0.3)))
        assert error.reason.name == "DEADLINE_EXCEEDED"


async def test_the_environment_names_no_proxy(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    async def script(connection: ServerConnection) -> None:
        await connection.send(await connection.recv())

    async with talking(kind, script) as (both, _):
        assert await both.many("talk", [EVENT]) == [EVENT]
