"""What an implementation says beside its answer, and the bytes that it hears."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from codegen.runtime.context import Context
from codegen.runtime.discovery import FixedInstances
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions, Upstreams
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline
from tests.codegen.runtime.grpc.echo import CHAT, COUNT, ECHO, JOIN, SAY, Echo, Text

SAID: dict[str, str | bytes] = {"x-text": "yes", "x-raw-bin": b"\x00\xff"}


class Telling(Echo):
    """Says something beside every answer."""

    async def say(self, request: Any, context: Context) -> Any:
        context.response_metadata.update(SAID)
        context.response_metadata["X-Capital"] = "also"
        context.response_metadata["x-ünfit"] = context.response_metadata["x-unfit"] = "ü"
        return await super().say(request, context)

    async def count(self, request: Any, context: Context) -> AsyncIterator[Any]:
        context.response_metadata.update(SAID)
        async for item in super().count(request, context):
            yield item
            context.response_metadata["x-late"] = "no"

    async def join(self, requests: AsyncIterator[Any], context: Context) -> Any:
        context.response_metadata.update(SAID)
        return await super().join(requests, context)


@pytest.fixture
def echo() -> Telling:
    return Telling()


@pytest.fixture
async def upstreams(echo: Telling, pipeline: Pipeline) -> AsyncIterator[Upstreams]:
    async with serve_grpc("127.0.0.1:0", [(ECHO, echo)], pipeline, drain=1) as port:
        instances = FixedInstances("echo", [f"127.0.0.1:{port}"])
        async with Upstreams([ECHO], {"echo": instances}, None) as upstreams:
            yield upstreams


async def asked(upstreams: Upstreams, method: Method, *texts: str) -> tuple[list[str], dict[str, Any]]:
    async def requests() -> AsyncIterator[Any]:
        for text in texts:
            yield Text(text=text)

    told: dict[str, str | bytes] = {}
    stream: AsyncIterator[Any] = upstreams.stream_stream(
        method, requests(), Text, CallOptions(response_metadata=told)
    )
    return [answer.text async for answer in stream], told


async def test_an_answer_comes_with_what_was_said_beside_it(upstreams: Upstreams) -> None:
    told: dict[str, str | bytes] = {}
    await upstreams.unary(SAY, Text(text="a"), Text, CallOptions(response_metadata=told))
    assert told == {**SAID, "x-capital": "also"}


async def test_a_stream_of_answers_says_it_before_the_first(upstreams: Upstreams) -> None:
    assert await asked(upstreams, COUNT, "2") == (["0", "1"], SAID)


async def test_a_stream_without_answers_says_it_too(upstreams: Upstreams) -> None:
    assert await asked(upstreams, COUNT, "0") == ([], SAID)


async def test_a_stream_of_requests_is_answered_with_it(upstreams: Upstreams) -> None:
    assert await asked(upstreams, JOIN, "a", "b") == (["ab"], SAID)


async def test_a_stream_both_ways_says_it_with_its_first_answer(upstreams: Upstreams) -> None:
    answers, told = await asked(upstreams, CHAT, "a", "b")
    assert (answers, told["x-text"]) == (["a", "b"], "yes")


async def test_a_refusal_says_nothing_beside_it(upstreams: Upstreams) -> None:
    told: dict[str, str | bytes] = {}
    with pytest.raises(Error, match="FENCED"):
        await upstreams.unary(SAY, Text(text="fail"), Text, CallOptions(response_metadata=told))
    assert told == {}


async def test_bytes_are_heard_beside_texts(upstreams: Upstreams, echo: Telling) -> None:
    options = CallOptions(metadata={"x-a-bin": b"\x00\x01", "x-b": "two"})
    await upstreams.unary(SAY, Text(text="a"), Text, options)
    heard = echo.contexts[0].metadata
    assert (heard["x-a-bin"], heard["x-b"]) == (b"\x00\x01", "two")
