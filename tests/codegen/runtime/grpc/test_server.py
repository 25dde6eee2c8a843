from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from codegen.runtime.errors import Error
from codegen.runtime.grpc_failure import error_of
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import ServiceTokens, UserTokens
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline
from tests.codegen.runtime.grpc.echo import CHAT, COUNT, ECHO, INNER, JOIN, SAY, SMALL, WHO, Echo, Text
from tests.servers import free_port

METHODS = [method for method in ECHO.methods if not method.client_streaming]
Call = Callable[..., Any]


def text(value: str) -> bytes:
    data: bytes = Text(text=value).SerializeToString()
    return data


async def failure(
    channel: aio.Channel, method: Method, data: bytes, **options: Any
) -> tuple[grpc.StatusCode, Error]:
    call: Call = channel.unary_unary(method.path)
    with pytest.raises(aio.AioRpcError) as raised:
        await call(data, **options)
    return raised.value.code(), error_of(raised.value)


async def stream_failure(channel: aio.Channel, method: Method, *items: bytes) -> Error:
    async def requests() -> AsyncIterator[bytes]:
        for item in items:
            yield item

    call: Call = channel.stream_stream(method.path)
    with pytest.raises(aio.AioRpcError) as raised:
        _ = [item async for item in call(requests())]
    return error_of(raised.value)


async def test_a_call_is_answered(channel: aio.Channel) -> None:
    call: Call = channel.unary_unary(SAY.path)
    assert await call(text("hi")) == text("hi")


async def test_unreadable_bytes_are_a_typed_error(channel: aio.Channel) -> None:
    code, error = await failure(channel, SAY, b"\xff\xff")
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason.name == "MALFORMED_BODY"


async def test_a_broken_rule_names_its_field(channel: aio.Channel) -> None:
    code, error = await failure(channel, SAY, b"")
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in error.violations] == ["text"]


@pytest.mark.parametrize(
    ("method", "metadata", "reason"),
    [
        (WHO, {}, "TOKEN_MISSING"),
        (WHO, {"authorization": "Bearer nonsense"}, "TOKEN_INVALID"),
        (INNER, {}, "TOKEN_MISSING"),
    ],
)
async def test_calls_without_good_credentials_are_refused(
    channel: aio.Channel, method: Method, metadata: dict[str, str], reason: str
) -> None:
    code, error = await failure(channel, method, text("x"), metadata=tuple(metadata.items()))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert error.reason.name == reason


async def test_an_expired_token_is_refused(channel: aio.Channel) -> None:
    token, _ = UserTokens(b"k" * 32, -1).issue("1", "2")
    _, error = await failure(channel, WHO, text("x"), metadata=(("authorization", f"Bearer {token}"),))
    assert error.reason.name == "TOKEN_EXPIRED"


async def test_a_user_may_not_call_what_is_for_services(channel: aio.Channel, users: UserTokens) -> None:
    token, _ = users.issue("1", "2")
    code, _ = await failure(channel, INNER, text("x"), metadata=(("authorization", f"Bearer {token}"),))
    assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_service_vouches_for_a_user(
    channel: aio.Channel, services: ServiceTokens, echo: Echo
) -> None:
    metadata = (("authorization", f"Bearer {services.current()}"), ("idiom-subject", "7"))
    call: Call = channel.unary_unary(WHO.path)
    await call(text("x"), metadata=metadata)
    assert echo.contexts[0].caller.subject == "7"
    assert echo.contexts[0].caller.service == "test"


async def test_the_callers_deadline_reaches_the_implementation(channel: aio.Channel, echo: Echo) -> None:
    code, _ = await failure(channel, SAY, text("wait"), timeout=0.3)
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(5):
        await echo.cancelled.wait()
    remaining = echo.contexts[0].remaining
    assert remaining is not None
    assert remaining < 0.3


async def test_a_cancelled_call_is_cancelled_on_the_server(channel: aio.Channel, echo: Echo) -> None:
    open_call: Call = channel.unary_unary(SAY.path)
    call = open_call(text("wait"))
    async with asyncio.timeout(5):
        await echo.called.wait()
        call.cancel()
        await echo.cancelled.wait()


async def test_an_unknown_method_is_a_typed_error(channel: aio.Channel) -> None:
    missing = Method(ECHO.name, "Missing", "missing", Text, Text)
    code, error = await failure(channel, missing, text("x"))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert error.reason.name == "UNIMPLEMENTED"
    assert error.reason.domain == "idiom"


@pytest.mark.parametrize(("method", "size"), [(SMALL, 100), (SAY, 200_000)])
async def test_a_request_beyond_the_limit_is_a_typed_error(
    channel: aio.Channel, method: Method, size: int
) -> None:
    code, error = await failure(channel, method, text("x" * size))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.reason.name == "TOO_LARGE"


async def test_an_error_arrives_whole(channel: aio.Channel) -> None:
    code, error = await failure(channel, SAY, text("fail"))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.reason.name == "FENCED"
    assert (error.message, error.retry_after, error.metadata) == ("über alt", 1.5, {"k": "v"})


@pytest.mark.parametrize("letter", ["x", "ü", "\U0001f600"])
async def test_an_error_too_long_for_metadata_is_shortened_and_keeps_its_reason(
    channel: aio.Channel, letter: str
) -> None:
    code, error = await failure(channel, SAY, text("long " + letter))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.reason.name == "FENCED"
    assert error.message == letter * (1000 // len(letter.encode()))


async def test_an_error_with_too_many_details_keeps_its_reason(channel: aio.Channel) -> None:
    _, error = await failure(channel, SAY, text("many"))
    assert error.reason.name == "FENCED"
    assert error.violations == ()


@pytest.mark.parametrize("request_text", ["bug", "wrong"])
async def test_a_defect_is_logged_and_not_shown(
    channel: aio.Channel, caplog: pytest.LogCaptureFixture, request_text: str
) -> None:
    with caplog.at_level(logging.ERROR):
        code, error = await failure(channel, SAY, text(request_text))
    assert code is grpc.StatusCode.INTERNAL
    assert "secret" not in error.message
    assert "Traceback" in caplog.text


async def test_all_kinds_of_streams_are_served(channel: aio.Channel) -> None:
    async def requests() -> AsyncIterator[bytes]:
        yield text("a")
        yield text("b")

    chat: Call = channel.stream_stream(CHAT.path)
    count: Call = channel.unary_stream(COUNT.path)
    join: Call = channel.stream_unary(JOIN.path)
    assert [item async for item in chat(requests())] == [text("a"), text("b")]
    assert [item async for item in count(text("2"))] == [text("0"), text("1")]
    assert await join(requests()) == text("ab")


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (b"\xff", "MALFORMED_BODY"),
        (b"", "VALIDATION_FAILED"),
        (text("x" * 200_000), "TOO_LARGE"),
        (text("fail"), "FENCED"),
        (text("bug"), "INTERNAL"),
    ],
)
async def test_each_item_of_a_stream_is_checked(channel: aio.Channel, item: bytes, reason: str) -> None:
    error = await stream_failure(channel, CHAT, text("good"), item)
    assert error.reason.name == reason


async def test_a_stream_outlives_the_deadline_of_a_single_call(channel: aio.Channel, echo: Echo) -> None:
    async def requests() -> AsyncIterator[bytes]:
        yield text("a")

    chat: Call = channel.stream_stream(CHAT.path)
    assert [item async for item in chat(requests())]
    assert echo.contexts[0].deadline is None


async def test_calls_under_way_finish_and_streams_end_when_the_server_drains(pipeline: Pipeline) -> None:
    echo = Echo()

    async def requests() -> AsyncIterator[bytes]:
        yield text("a")
        await asyncio.Event().wait()

    async with asyncio.timeout(20), aio.insecure_channel(f"127.0.0.1:{(port := free_port())}") as channel:
        async with serve_grpc(f"127.0.0.1:{port}", [(ECHO, echo)], pipeline, drain=10):
            chat: Call = channel.stream_stream(CHAT.path)
            stream = chat(requests())
            assert await stream.read() == text("a")
            say: Call = channel.unary_unary(SAY.path)
            echo.called.clear()
            call = say(text("pause"))
            await echo.called.wait()
        assert await call == text("pause")
        assert await stream.read() is aio.EOF


async def test_what_does_not_finish_is_cancelled_after_the_drain(pipeline: Pipeline) -> None:
    echo = Echo()
    async with asyncio.timeout(20), aio.insecure_channel(f"127.0.0.1:{(port := free_port())}") as channel:
        async with serve_grpc(f"127.0.0.1:{port}", [(ECHO, echo)], pipeline, drain=0.2):
            say: Call = channel.unary_unary(SAY.path)
            call = say(text("wait"))
            await echo.called.wait()
        assert echo.cancelled.is_set()
        with pytest.raises(aio.AioRpcError) as raised:
            await call
        assert error_of(raised.value).reason.name == "DRAINING"


async def test_a_busy_port_is_one_clear_sentence(pipeline: Pipeline) -> None:
    async with serve_grpc("127.0.0.1:0", [], pipeline) as port:
        with pytest.raises(
            OSError, match=f"cannot listen for gRPC on 127.0.0.1:{port}: Address already in use"
        ):
            async with serve_grpc(f"127.0.0.1:{port}", [], pipeline):
                pass


async def test_an_implementation_that_lacks_a_method_is_refused_at_once(pipeline: Pipeline) -> None:
    with pytest.raises(AttributeError, match="say"):
        async with serve_grpc("127.0.0.1:0", [(ECHO, object())], pipeline):
            pass


async def test_health_and_reflection_are_served(channel: aio.Channel) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    for service in ("", ECHO.name):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    async def asked() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]  # the stub knows no aio
    answers = [answer async for answer in reflection.ServerReflectionInfo(asked())]
    names = [service.name for service in answers[0].list_services_response.service]
    assert ECHO.name in names
