"""A channel in the same process does what one over gRPC does: every test here runs through both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from codegen.runtime.context import Identity
from codegen.runtime.discovery import FixedInstances
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import DEFAULT_OPTIONS, CallOptions, Channel, Upstreams
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.local import Local
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.service import Gallery
from tests.codegen.runtime.grpc.echo import CHAT, COUNT, ECHO, INNER, JOIN, SAY, SMALL, WHO, Echo, Text

USER = Identity(subject="7", login="3", session="s", scopes=frozenset({"a", "b"}))
KEY = b"k" * 32


@pytest.fixture
def echo() -> Echo:
    return Echo("a")


@contextlib.asynccontextmanager
async def over_grpc(echo: Echo) -> AsyncIterator[Channel]:
    services = ServiceTokens(KEY, "local")
    pipeline = Pipeline(Authenticator(UserTokens(KEY, 60), services))
    async with serve_grpc("127.0.0.1:0", [(ECHO, echo)], pipeline, drain=1) as port:
        instances = FixedInstances("echo", [f"127.0.0.1:{port}"])
        async with Upstreams([ECHO], {"echo": instances}, services) as upstreams:
            yield upstreams


@pytest.fixture(params=["local", "grpc"])
async def channel(request: pytest.FixtureRequest, echo: Echo) -> AsyncIterator[Channel]:
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "local":
            yield Local([(ECHO, echo)])
        else:
            yield await stack.enter_async_context(over_grpc(echo))


async def said(channel: Channel, method: Method, text: str, options: CallOptions = DEFAULT_OPTIONS) -> str:
    answer: Any = await channel.unary(method, Text(text=text), Text, options)
    return str(answer.text)


async def refused(
    channel: Channel, method: Method, text: str, options: CallOptions = DEFAULT_OPTIONS
) -> Error:
    with pytest.raises(Error) as raised:
        await said(channel, method, text, options)
    return raised.value


def streamed(
    channel: Channel, method: Method, *texts: str, options: CallOptions = DEFAULT_OPTIONS
) -> AsyncIterator[Any]:
    async def requests() -> AsyncIterator[Any]:
        for text in texts:
            yield Text(text=text)

    return channel.stream_stream(method, requests(), Text, options)


async def all_of(stream: AsyncIterator[Any]) -> list[str]:
    return [answer.text async for answer in stream]


async def test_a_call_is_answered(channel: Channel) -> None:
    assert await said(channel, SAY, "hi") == "hi"


async def test_bytes_are_answered_with_bytes(channel: Channel) -> None:
    data: bytes = Text(text="hi").SerializeToString()
    assert await channel.unary_bytes(SAY, data, DEFAULT_OPTIONS) == data


async def test_a_request_is_a_copy(channel: Channel, echo: Echo) -> None:
    request: Any = Text(text="name")
    answer: Any = await channel.unary(SAY, request, Text, DEFAULT_OPTIONS)
    answer.text = "changed"
    assert (request.text, await said(channel, SAY, "name")) == ("name", echo.name)


async def test_all_kinds_of_streams_are_served(channel: Channel) -> None:
    assert await all_of(streamed(channel, COUNT, "3")) == ["0", "1", "2"]
    assert await all_of(streamed(channel, JOIN, "a", "b")) == ["ab"]
    assert await all_of(streamed(channel, CHAT, "a", "b")) == ["a", "b"]


async def test_the_user_and_the_calling_service_are_known(channel: Channel, echo: Echo) -> None:
    await said(channel, WHO, "x", CallOptions(identity=USER, request_id="r-1"))
    assert echo.contexts[0].caller == replace(USER, service="local")
    assert echo.contexts[0].request_id == "r-1"


async def test_a_call_without_a_user_is_the_services_own(channel: Channel, echo: Echo) -> None:
    await said(channel, INNER, "x")
    assert echo.contexts[0].caller == Identity(service="local")


async def test_a_users_method_is_not_for_services(channel: Channel) -> None:
    assert (await refused(channel, WHO, "x")).reason.name == "FORBIDDEN"


async def test_metadata_arrives(channel: Channel, echo: Echo) -> None:
    metadata: dict[str, str | bytes] = {"X-A": "1", "x-b-bin": b"\xff", "x-unfit": "ü"}
    await said(channel, SAY, "x", CallOptions(metadata=metadata))
    heard = echo.contexts[0].metadata
    assert (heard["x-a"], heard["x-b-bin"], "x-unfit" in heard) == ("1", b"\xff", False)


async def test_an_error_comes_as_it_was_raised(channel: Channel) -> None:
    error = await refused(channel, SAY, "fail")
    assert (error.reason.name, error.message, error.retry_after) == ("FENCED", "über alt", 1.5)
    assert error.metadata == {"k": "v"}


@pytest.mark.parametrize("text", ["bug", "wrong"])
async def test_a_defect_is_hidden(channel: Channel, text: str) -> None:
    error = await refused(channel, SAY, text)
    assert error.reason.name == "INTERNAL"
    assert "secret" not in error.message


async def test_a_defect_in_a_stream_is_hidden(channel: Channel) -> None:
    with pytest.raises(Error, match="INTERNAL"):
        await all_of(streamed(channel, CHAT, "a", "bug"))


async def test_rules_of_the_schema_are_checked(channel: Channel) -> None:
    error = await refused(channel, SAY, "")
    assert (error.reason.name, error.violations[0].field) == ("VALIDATION_FAILED", "text")


async def test_rules_are_checked_in_streams_too(channel: Channel) -> None:
    with pytest.raises(Error, match="VALIDATION_FAILED"):
        await all_of(streamed(channel, JOIN, "a", ""))
    with pytest.raises(Error, match="VALIDATION_FAILED"):
        await all_of(streamed(channel, COUNT, ""))


async def test_large_requests_are_refused(channel: Channel) -> None:
    assert (await refused(channel, SMALL, "x" * 20)).reason.name == "TOO_LARGE"


async def test_unreadable_bytes_are_refused(channel: Channel) -> None:
    with pytest.raises(Error, match="MALFORMED_BODY"):
        await channel.unary_bytes(SAY, b"\xff\xff", DEFAULT_OPTIONS)


async def test_an_unknown_method_is_refused(channel: Channel) -> None:
    unknown = replace(SAY, name="Unknown")
    assert (await refused(channel, unknown, "x")).reason.name == "UNIMPLEMENTED"


async def test_a_deadline_ends_a_call_and_its_implementation(channel: Channel, echo: Echo) -> None:
    error = await refused(channel, SAY, "wait", CallOptions(timeout=0.1))
    assert error.reason.name == "DEADLINE_EXCEEDED"
    async with asyncio.timeout(5):
        await echo.cancelled.wait()


async def test_a_deadline_ends_a_stream(channel: Channel, echo: Echo) -> None:
    stream = streamed(channel, CHAT, "a", "wait", options=CallOptions(timeout=0.2))
    assert (await anext(stream)).text == "a"
    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        await anext(stream)
    async with asyncio.timeout(5):
        await echo.cancelled.wait()


async def test_a_deadline_ends_a_stream_that_never_waits(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    async def count(_request: Any, _context: Any) -> AsyncIterator[Any]:
        while True:
            yield Text(text="more")

    monkeypatch.setattr(echo, "count", count)
    local = Local([(ECHO, echo)])

    async def read() -> None:
        async for _ in streamed(local, COUNT, "1", options=CallOptions(timeout=0.1)):
            await asyncio.sleep(0)  # lets the clock run

    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        await asyncio.wait_for(read(), 5)


async def test_an_implementation_that_cancels_itself_is_a_defect(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(*_: Any) -> Any:
        waits = asyncio.ensure_future(asyncio.Event().wait())
        waits.cancel()
        await waits

    monkeypatch.setattr(echo, "say", cancelled)
    monkeypatch.setattr(echo, "join", cancelled)
    channel = Local([(ECHO, echo)])
    with pytest.raises(Error, match="INTERNAL"):
        await said(channel, SAY, "hi")
    with pytest.raises(Error, match="INTERNAL"):
        await all_of(streamed(channel, JOIN, "hi"))


async def test_cancelling_a_call_cancels_its_implementation(channel: Channel, echo: Echo) -> None:
    call = asyncio.create_task(said(channel, SAY, "wait"))
    await echo.called.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(5):
        await echo.cancelled.wait()


async def test_a_stream_left_early_ends_its_implementation(channel: Channel, echo: Echo) -> None:
    stream: Any = streamed(channel, CHAT, "a", "b", "c")
    assert (await anext(stream)).text == "a"
    await stream.aclose()
    async with asyncio.timeout(5):
        await echo.cancelled.wait()


async def test_what_is_said_beside_an_answer_arrives() -> None:
    class Telling(Echo):
        async def say(self, request: Any, context: Any) -> Any:
            context.response_metadata["X-Said"] = "yes"
            return request

        async def count(self, _request: Any, context: Any) -> AsyncIterator[Any]:
            context.response_metadata["x-raw-bin"] = b"\x00"
            yield Text(text="1")
            context.response_metadata["x-late"] = "no"

    local, told = Local([(ECHO, Telling())]), dict[str, str | bytes]()
    await said(local, SAY, "x", CallOptions(response_metadata=told))
    await all_of(streamed(local, COUNT, "1", options=CallOptions(response_metadata=told)))
    assert told == {"x-said": "yes", "x-raw-bin": b"\x00"}


async def test_a_broken_source_of_requests_breaks_the_call(echo: Echo) -> None:
    async def requests() -> AsyncIterator[bytes]:
        yield Text(text="a").SerializeToString()
        raise KeyError("lost")

    answers = Local([(ECHO, echo)]).stream_bytes(CHAT, requests(), DEFAULT_OPTIONS)
    with pytest.raises(Error, match="INTERNAL"):
        _ = [answer async for answer in answers]


async def test_an_app_serves_a_schema_over_http_with_nothing_else() -> None:
    gallery, users = Gallery(), UserTokens(KEY, 60)
    app = FastAPI(redirect_slashes=False)
    dispatch = Dispatch(
        generated().routes,
        registry=generated().descriptors.registry(),
        pipeline=Pipeline(Authenticator(users, None)),
        channel=Local([(generated().rpc.GALLERY_SERVICE, gallery)]),
    )
    mount(app, dispatch, {})
    headers = {"authorization": f"Bearer {users.issue('5', '1')[0]}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app", headers=headers) as client:
        made = await client.post("/v1/rooms/1/paintings?paintingId=x", json={"title": "Lilies"})
        assert (made.status_code, made.json()["name"]) == (200, "rooms/1/paintings/x")
        found = await client.get("/v1/rooms/1/paintings/x")
        assert found.json() == made.json()
        missing = await client.get("/v1/rooms/1/paintings/y")
        assert (missing.status_code, missing.json()["message"]) == (404, "there is no rooms/1/paintings/y")
