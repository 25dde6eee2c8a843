"""Calls that share frames; test_client.py runs everything that any call does over them, too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from grpc import aio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from idiom.v1.runtime_pb2 import CallFrame, ReplyFrame

from codegen.runtime.coalescing import PATH, caller
from codegen.runtime.context import Identity
from codegen.runtime.errors import from_status
from codegen.runtime.grpc_call import Calls
from codegen.runtime.grpc_client import Upstreams
from codegen.runtime.grpc_server import serve_grpc, serving
from codegen.runtime.identity import ServiceTokens
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline
from tests.codegen.runtime.grpc.coalescing import Coalescing, Outcome, call, outcome, scripted, upstreams
from tests.codegen.runtime.grpc.echo import ECHO, INNER, ONCE, SAY, SMALL, WHO, Echo, Text
from tests.servers import free_port

METHODS = (SAY, ONCE, WHO, INNER, SMALL)


class Served:
    """The echo service at one address, and both ways to call it."""

    def __init__(self, echo: Echo, frames: Upstreams, plain: Upstreams) -> None:
        self.echo = echo
        self.frames = frames
        self.plain = plain


@pytest.fixture
async def served(pipeline: Pipeline, services: ServiceTokens) -> AsyncIterator[Served]:
    echo = Echo("a")
    async with (
        serve_grpc("127.0.0.1:0", [(ECHO, echo)], pipeline, drain=1) as port,
        upstreams(Coalescing, [port], services) as frames,
        upstreams(Upstreams, [port], services) as plain,
    ):
        yield Served(echo, frames, plain)


texts = st.sampled_from(["", "hello", "fail", "bug", "wrong", "many", "name", "x" * 11, "long a"])
calls = st.lists(st.tuples(st.sampled_from(METHODS), texts), min_size=1, max_size=30)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=calls)
def test_the_same_calls_have_the_same_outcomes_with_and_without_frames(
    asked: list[tuple[Method, str]], pipeline: Pipeline, services: ServiceTokens
) -> None:
    async def both() -> tuple[list[Outcome], list[Outcome]]:
        async with (
            serve_grpc("127.0.0.1:0", [(ECHO, Echo("a"))], pipeline, drain=1) as port,
            upstreams(Coalescing, [port], services) as frames,
            upstreams(Upstreams, [port], services) as plain,
        ):
            return (
                await asyncio.gather(*(outcome(call(frames, *each)) for each in asked)),
                await asyncio.gather(*(outcome(call(plain, *each)) for each in asked)),
            )

    in_frames, by_themselves = asyncio.run(both())
    for found, expected in zip(in_frames, by_themselves, strict=True):
        # A defect's message names the request; metadata of gRPC bounds messages, frames do not.
        assert found[0] == expected[0]
        if found[0] != "INTERNAL":
            assert found[1].startswith(expected[1])


async def test_calls_at_the_same_time_share_a_frame(services: ServiceTokens) -> None:
    frames: list[CallFrame] = []

    async def serve(servicer: Any) -> None:
        while isinstance(data := await servicer.read(), bytes):
            frames.append(CallFrame.FromString(data))
            reply = ReplyFrame()
            for each in frames[-1].calls:
                reply.replies.add(id=each.id, response=each.request)
            await servicer.write(reply.SerializeToString())

    async with scripted(serve) as port, upstreams(Coalescing, [port], services) as through:
        answers = await asyncio.gather(*(call(through, SAY, f"t{n}") for n in range(600)))
        assert [answer.text for answer in answers] == [f"t{n}" for n in range(600)]
    sizes = [len(frame.calls) for frame in frames]
    assert sizes == [256, 256, 88]
    assert [entry.key for entry in frames[0].metadata] == ["authorization"]
    assert all(entry.key != "authorization" for each in frames[0].calls for entry in each.metadata)


async def test_what_is_slow_holds_up_nobody_else(served: Served) -> None:
    slow = asyncio.ensure_future(call(served.frames, SAY, "wait"))
    quick = await asyncio.gather(*(call(served.frames, SAY, f"t{n}") for n in range(20)))
    assert [answer.text for answer in quick] == [f"t{n}" for n in range(20)]
    assert not slow.done()
    slow.cancel()


async def test_a_caller_that_goes_away_cancels_its_call_and_no_other(served: Served) -> None:
    gone = asyncio.ensure_future(call(served.frames, SAY, "wait"))
    await served.echo.called.wait()
    other = asyncio.ensure_future(call(served.frames, SAY, "pause"))
    gone.cancel()
    await asyncio.wait_for(served.echo.cancelled.wait(), 5)
    assert (await other).text == "pause"


async def test_each_call_has_its_own_deadline(served: Served) -> None:
    late, fine = await asyncio.gather(
        outcome(call(served.frames, ONCE, "wait", timeout=0.2)),
        outcome(call(served.frames, ONCE, "pause", timeout=5.0)),
    )
    assert (late[0], fine) == ("DEADLINE_EXCEEDED", ("", "pause"))
    await asyncio.wait_for(served.echo.cancelled.wait(), 5)


async def test_each_call_has_its_own_metadata(served: Served) -> None:
    users = [Identity(str(n)) for n in range(1, 4)]
    await asyncio.gather(
        *(call(served.frames, WHO, "hello", identity=user, request_id=f"r-{user.subject}") for user in users)
    )
    seen = {(context.caller.subject, context.request_id) for context in served.echo.contexts}
    assert seen == {("1", "r-1"), ("2", "r-2"), ("3", "r-3")}
    assert all(context.caller.service == "test" for context in served.echo.contexts)


async def test_an_earlier_version_is_called_in_the_ordinary_way(
    pipeline: Pipeline, services: ServiceTokens
) -> None:
    handlers = Calls(pipeline)
    table = {SAY.path: handlers.handler(SAY, Echo("old").say)}
    server = serving("127.0.0.1:0", [ECHO.name], table, handlers, options=(), drain=0.2)
    async with server as port, upstreams(Coalescing, [port], services) as through:
        answers = await asyncio.gather(*(call(through, SAY, "name") for _ in range(10)))
        assert {answer.text for answer in answers} == {"old"}
        assert (await call(through, SAY, "name")).text == "old"


async def test_an_instance_that_drains_loses_nothing_even_of_calls_that_are_made_once(
    pipeline: Pipeline, services: ServiceTokens
) -> None:
    ports = free_port(), free_port()
    async with contextlib.AsyncExitStack() as leaving, contextlib.AsyncExitStack() as staying:
        for stack, port, name in ((leaving, ports[0], "a"), (staying, ports[1], "b")):
            server = serve_grpc(f"127.0.0.1:{port}", [(ECHO, Echo(name))], pipeline, drain=5)
            await stack.enter_async_context(server)
        through = await staying.enter_async_context(upstreams(Coalescing, list(ports), services))
        answers: list[asyncio.Future[Outcome]] = []
        while len({done.result() for done in answers if done.done()}) < 2:  # both are connected
            answers.append(asyncio.ensure_future(outcome(call(through, ONCE, "name"))))
            await answers[-1]
        slow = [asyncio.ensure_future(outcome(call(through, ONCE, "pause"))) for _ in range(50)]
        await asyncio.gather(*(call(through, ONCE, "hello") for _ in range(4)))
        closing = asyncio.ensure_future(leaving.aclose())
        during = []
        while not closing.done():
            during.append(await outcome(call(through, ONCE, "name")))
        assert {await each for each in slow} == {("", "pause")}
        assert {each[0] for each in during} == {""}
        assert (await outcome(call(through, ONCE, "name"))) == ("", "b")


async def test_a_call_beyond_the_bound_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "MAX_CALLS", 3)
    waiting = [asyncio.ensure_future(call(served.frames, SAY, "wait")) for _ in range(3)]
    await served.echo.called.wait()
    assert (await outcome(call(served.frames, SAY, "hello")))[0] == "OVERLOADED"
    for each in waiting:
        each.cancel()
    await asyncio.wait(waiting)
    assert (await outcome(call(served.frames, SAY, "hello"))) == ("", "hello")


@pytest.fixture
async def stream(channel: aio.Channel) -> AsyncIterator[Any]:
    opened: Any = channel.stream_stream(PATH)()
    yield opened
    opened.cancel()


async def test_a_frame_that_cannot_be_read_ends_its_stream_with_a_typed_error(stream: Any) -> None:
    await stream.write(b"\xff\xff")
    assert await stream.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_is_wrong_with_one_call_is_said_of_that_call_only(stream: Any) -> None:
    frame = CallFrame()
    for number, (path, request) in enumerate(
        [
            (SAY.path, Text(text="hello").SerializeToString()),
            ("/echo.v1.EchoService/Chat", b""),
            ("nowhere", b""),
            (SAY.path, b"\xff"),
            (INNER.path, b""),
            (SMALL.path, Text(text="x" * 11).SerializeToString()),
        ]
    ):
        frame.calls.add(id=number, path=path, request=request)
    frame.calls.add(id=99, cancel=True)
    await stream.write(frame.SerializeToString())
    replies: dict[int, bytes | str] = {}
    while len(replies) < 6:
        for reply in ReplyFrame.FromString(await stream.read()).replies:
            replies[reply.id] = _reason(reply.status) if reply.HasField("status") else reply.response
    assert replies == {
        0: Text(text="hello").SerializeToString(),
        1: "UNIMPLEMENTED",
        2: "UNIMPLEMENTED",
        3: "MALFORMED_BODY",
        4: "TOKEN_MISSING",
        5: "TOO_LARGE",
    }


def _reason(status: status_pb2.Status) -> str:
    return from_status(status).reason.name
