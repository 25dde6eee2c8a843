"""One call in a frame suffers nothing from another one, and fares as if it travelled by itself."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from idiom.v1 import reason_errors as reasons
from idiom.v1.runtime_pb2 import CallFrame, ReplyFrame

from codegen.runtime.context import Context
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import Upstreams
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import ServiceTokens
from codegen.runtime.pipeline import Pipeline
from tests.codegen.runtime.grpc.coalescing import Coalescing, call, outcome, scripted, upstreams
from tests.codegen.runtime.grpc.echo import ECHO, ONCE, SAY, Echo, Text

MIB = 1 << 20
REQUEST: ContextVar[str] = ContextVar("REQUEST", default="")


class Odd(Echo):
    """Does what implementations should not do."""

    async def say(self, request: Any, context: Context) -> Any:
        match request.text.split():
            case ["large", size]:
                return Text(text="x" * int(size))
            case ["cancelled"]:
                raise asyncio.CancelledError
            case ["cancels"]:
                task = asyncio.current_task()
                assert task
                task.cancel()
                await asyncio.sleep(0)
            case ["tells"]:
                context.response_metadata.update(
                    {
                        "X-Upper": "1",
                        "lower": "2",
                        "odd": "ü",
                        "k-bin": b"\x00\xff",
                        "text-bin": "3",
                        "b": b"4",
                    }
                )
        return await super().say(request, context)

    once = say


class Both:
    """One service, called in frames and otherwise."""

    def __init__(self, echo: Odd, frames: Upstreams, plain: Upstreams) -> None:
        self.echo = echo
        self.frames = frames
        self.plain = plain


@pytest.fixture
async def both(services: ServiceTokens, pipeline: Pipeline) -> AsyncIterator[Both]:
    echo = Odd("a")
    pipeline.max_request_bytes = 64 * MIB
    async with (
        serve_grpc("127.0.0.1:0", [(ECHO, echo)], pipeline, drain=1) as port,
        upstreams(Coalescing, [port], services) as frames,
        upstreams(Upstreams, [port], services) as plain,
    ):
        yield Both(echo, frames, plain)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cancelled", "INTERNAL"),
        ("draining", "DRAINING"),
        ("x" * (17 * MIB), "TOO_LARGE"),
        (f"large {17 * MIB}", "TOO_LARGE"),
    ],
    ids=["is cancelled", "is draining", "is asked too much", "answers too much"],
)
async def test_an_odd_call_fares_as_it_would_by_itself_and_harms_no_other(
    both: Both, text: str, reason: str
) -> None:
    others = [asyncio.ensure_future(outcome(call(both.frames, ONCE, "pause"))) for _ in range(10)]
    for method in (SAY, ONCE):
        for through in (both.plain, both.frames):
            found = await outcome(call(through, method, text, timeout=5.0))
            assert found[0] == reason, found
    assert {await each for each in others} == {("", "pause")}


async def test_a_safe_call_is_made_again_as_often_as_by_itself(both: Both) -> None:
    attempts = []
    for through in (both.plain, both.frames):
        both.echo.contexts.clear()
        await outcome(call(through, SAY, "draining"))
        attempts.append(len(both.echo.contexts))
    assert attempts == [4, 4]


async def test_a_call_that_cancels_itself_is_answered(both: Both) -> None:
    assert (await outcome(call(both.frames, ONCE, "cancels", timeout=5.0)))[0] == "INTERNAL"


async def test_answers_that_together_outgrow_a_message_of_grpc_all_arrive(both: Both) -> None:
    size = 7 * MIB
    asked = [call(both.frames, ONCE, f"large {size}") for _ in range(5)]
    assert [len((await each).text) for each in [asyncio.ensure_future(each) for each in asked]] == [size] * 5


async def test_requests_that_together_outgrow_a_message_of_grpc_all_arrive(both: Both) -> None:
    texts = [str(n) * (7 * MIB) for n in range(5)]
    answers = await asyncio.gather(*(call(both.frames, ONCE, text) for text in texts))
    assert [answer.text for answer in answers] == texts


async def test_errors_that_together_outgrow_a_message_of_grpc_all_arrive(both: Both) -> None:
    found = await asyncio.gather(*(outcome(call(both.frames, ONCE, "long a")) for _ in range(400)))
    assert {each[0] for each in found} == {"FENCED"}
    assert {len(each[1]) for each in found} == {16 << 10}


async def test_metadata_that_together_outgrows_a_message_of_grpc_all_arrives(both: Both) -> None:
    metadata = {f"k{n}": "v" * 6000 for n in range(20)}
    asked = [call(both.frames, ONCE, "hello", metadata=metadata) for _ in range(300)]
    assert {(await outcome(each)) for each in asyncio.as_completed(asked)} == {("", "hello")}


async def test_metadata_of_an_answer_is_the_same_both_ways(both: Both) -> None:
    told: list[dict[str, str | bytes]] = []
    for through in (both.frames, both.plain):
        told.append({})
        await call(through, ONCE, "tells", response_metadata=told[-1])
    assert told[0] == told[1] == {"x-upper": "1", "lower": "2", "k-bin": b"\x00\xff"}


async def test_a_call_may_have_all_the_time_there_is(both: Both) -> None:
    waits = asyncio.ensure_future(outcome(call(both.frames, ONCE, "pause")))
    assert await outcome(call(both.frames, ONCE, "hello", timeout=math.inf)) == ("", "hello")
    assert await waits == ("", "pause")


async def test_a_stream_knows_nothing_of_the_request_that_opened_it() -> None:
    seen: list[str] = []

    class Tokens(ServiceTokens):
        def current(self) -> str:
            seen.append(REQUEST.get())
            return super().current()

    async def first(through: Upstreams) -> None:
        REQUEST.set("the first")
        await call(through, SAY, "hello")

    async with scripted(echoing) as port, upstreams(Coalescing, [port], Tokens(b"k" * 32, "test")) as through:
        await asyncio.create_task(first(through))
        await call(through, SAY, "hello")
    assert seen == ["", ""]


async def test_a_stream_that_fails_cancels_nobody_and_the_next_call_opens_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Tokens(ServiceTokens):
        broken = True

        def current(self) -> str:
            if self.broken:
                self.broken = False
                raise Error(reasons.INTERNAL, "no key")
            return super().current()

    async with scripted(echoing) as port, upstreams(Coalescing, [port], Tokens(b"k" * 32, "test")) as through:
        assert await outcome(call(through, ONCE, "hello")) == ("", "hello")
        assert await outcome(call(through, ONCE, "again")) == ("", "again")
    assert "no key" in caplog.text


async def echoing(servicer: Any) -> None:
    while isinstance(data := await servicer.read(), bytes):
        reply = ReplyFrame()
        for each in CallFrame.FromString(data).calls:
            reply.replies.add(id=each.id, response=each.request)
        await servicer.write(reply.SerializeToString())


async def test_a_refusal_that_cannot_be_read_is_one_calls_own(services: ServiceTokens) -> None:
    async def serve(servicer: Any) -> None:
        while isinstance(data := await servicer.read(), bytes):
            reply = ReplyFrame()
            for each in CallFrame.FromString(data).calls:
                status = status_pb2.Status(code=5, message="nothing there")
                status.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
                reply.replies.add(id=each.id, status=status)
            await servicer.write(reply.SerializeToString())

    async with scripted(serve) as port, upstreams(Coalescing, [port], services) as through:
        found = await asyncio.gather(*(outcome(call(through, SAY, "x", timeout=3.0)) for _ in range(3)))
    assert found == [("NOT_FOUND", "nothing there")] * 3


async def test_an_answer_to_what_was_not_asked_answers_nothing(services: ServiceTokens) -> None:
    received: set[int] = set()
    told = asyncio.Event()

    async def serve(servicer: Any) -> None:
        lies = ReplyFrame()
        for number in range(100, 150):
            lies.replies.add(id=number, response=Text(text="lie").SerializeToString())
        frame = CallFrame.FromString(await servicer.read())
        await servicer.write(lies.SerializeToString())
        await told.wait()
        while True:
            reply = ReplyFrame()
            for each in frame.calls:
                received.add(each.id)
                reply.replies.add(id=each.id, response=each.request)
            await servicer.write(reply.SerializeToString())
            if not isinstance(data := await servicer.read(), bytes):
                return
            frame = CallFrame.FromString(data)

    async with scripted(serve) as port, upstreams(Coalescing, [port], services) as through:
        large = [outcome(call(through, ONCE, "x" * (MIB // 2))) for _ in range(99)]
        rest = [outcome(call(through, ONCE, "small")) for _ in range(50)]
        asked = [asyncio.ensure_future(each) for each in [*large, *rest]]
        await asyncio.wait(asked, timeout=0.5)
        told.set()
        assert {await each for each in asked[99:]} == {("", "small")}
        await asyncio.wait(asked)
    assert received == set(range(1, 150))


async def test_a_call_whose_caller_goes_away_at_once_never_leaves(services: ServiceTokens) -> None:
    asked: list[str] = []

    async def serve(servicer: Any) -> None:
        while isinstance(data := await servicer.read(), bytes):
            reply = ReplyFrame()
            for each in CallFrame.FromString(data).calls:
                asked.append("cancel" if each.cancel else Text.FromString(each.request).text)
                reply.replies.add(id=each.id, response=each.request)
            await servicer.write(reply.SerializeToString())

    async with scripted(serve) as port, upstreams(Coalescing, [port], services) as through:
        await call(through, SAY, "first")
        gone = asyncio.ensure_future(call(through, ONCE, "gone"))
        await asyncio.sleep(0)  # it has been put, and the stream woken
        gone.cancel()
        await asyncio.wait([gone])
        await call(through, SAY, "last")
    assert asked == ["first", "last"]


async def test_a_stream_that_was_served_and_then_is_not_is_lost_like_any(
    services: ServiceTokens,
) -> None:
    async def serve(servicer: Any) -> None:
        while isinstance(data := await servicer.read(), bytes):
            reply = ReplyFrame()
            for each in CallFrame.FromString(data).calls:
                if Text.FromString(each.request).text == "end":
                    await servicer.abort(grpc.StatusCode.UNIMPLEMENTED, "no longer")
                reply.replies.add(id=each.id, response=each.request)
            await servicer.write(reply.SerializeToString())

    async with scripted(serve) as port, upstreams(Coalescing, [port], services) as through:
        assert await outcome(call(through, ONCE, "hello")) == ("", "hello")
        assert (await outcome(call(through, ONCE, "end")))[0] == "UNIMPLEMENTED"
        assert await outcome(call(through, ONCE, "again")) == ("", "again")
