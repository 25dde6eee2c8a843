"""Generated clients over gRPC with nothing but an address and a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from idiom.v1 import reason_errors as reasons

from codegen.runtime.client.grpc import GrpcClient
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import DEFAULT_OPTIONS, CallOptions
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline
from tests.codegen.runtime.grpc.echo import CHAT, COUNT, ECHO, ONCE, SAY, WHO, Echo, Text
from tests.servers import free_port

USERS = UserTokens(b"k" * 32, 60)


@asynccontextmanager
async def serving(echo: Echo, port: int = 0) -> AsyncIterator[int]:
    pipeline = Pipeline(Authenticator(USERS, None))
    async with serve_grpc(f"127.0.0.1:{port}", [(ECHO, echo)], pipeline, drain=0.2) as bound:
        yield bound


async def token() -> str:
    return USERS.issue("7", "1")[0]


async def call(client: GrpcClient, method: Method, text: str, options: CallOptions = DEFAULT_OPTIONS) -> str:
    answer: Any = await client.unary(method, Text(text=text), Text, options)
    return str(answer.text)


async def failed(client: GrpcClient, method: Method, text: str, seconds: float = 10) -> Error:
    with pytest.raises(Error) as error:
        await call(client, method, text, CallOptions(timeout=seconds))
    return error.value


async def eventually(client: GrpcClient, method: Method, text: str) -> str:
    """Calls until it gets through: gRPC pauses before it connects again, and does not say for how long."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await call(client, method, text)
            except Error as error:
                if error.code_name != "UNAVAILABLE":
                    raise
            await asyncio.sleep(0.05)


async def test_a_call_carries_the_token_and_gets_its_answer() -> None:
    echo = Echo()
    async with serving(echo) as port, GrpcClient(f"127.0.0.1:{port}", token) as client:
        assert await call(client, WHO, "hello", CallOptions(request_id="r-1")) == "hello"
        assert echo.contexts[0].caller.subject == "7"
        assert echo.contexts[0].request_id == "r-1"
        assert await call(client, SAY, "open") == "open"
        assert echo.contexts[1].identity is None


async def test_without_a_token_the_refusal_is_typed() -> None:
    async with serving(Echo()) as port, GrpcClient(f"127.0.0.1:{port}") as client:
        assert (await failed(client, WHO, "hello")).reason == reasons.TOKEN_MISSING
        error = await failed(client, SAY, "fail")
    assert (error.reason, error.metadata, error.retry_after) == (reasons.FENCED, {"k": "v"}, 1.5)


async def test_streams_go_both_ways() -> None:
    async def texts() -> AsyncIterator[Any]:
        for text in "ab":
            yield Text(text=text)

    async with serving(Echo()) as port, GrpcClient(f"127.0.0.1:{port}") as client:
        answers = [each.text async for each in client.stream_stream(CHAT, texts(), Text, DEFAULT_OPTIONS)]
        assert answers == ["a", "b"]

        async def three() -> AsyncIterator[Any]:
            yield Text(text="3")

        counted = [each.text async for each in client.stream_stream(COUNT, three(), Text, DEFAULT_OPTIONS)]
        assert counted == ["0", "1", "2"]


async def test_an_address_where_nobody_listens_is_a_typed_error() -> None:
    async with GrpcClient(f"127.0.0.1:{free_port()}") as client:
        assert (await failed(client, ONCE, "a")).reason == reasons.NO_INSTANCE


async def test_a_server_that_goes_and_comes_is_met_again_where_the_method_may_be_repeated() -> None:
    port = free_port()
    async with GrpcClient(f"127.0.0.1:{port}") as client:
        echo = Echo()
        async with serving(echo, port):
            waiting = asyncio.create_task(call(client, ONCE, "wait"))
            await echo.called.wait()
        with pytest.raises(Error) as lost:
            await waiting
        assert lost.value.code_name == "UNAVAILABLE"
        async with serving(Echo(), port):
            assert await eventually(client, SAY, "back") == "back"


async def test_the_deadline_holds() -> None:
    async with serving(Echo()) as port, GrpcClient(f"127.0.0.1:{port}") as client:
        assert (await failed(client, SAY, "wait", 0.2)).reason == reasons.DEADLINE_EXCEEDED
