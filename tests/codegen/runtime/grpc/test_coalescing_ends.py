"""How calls in frames end: with their server, their channel, their caller, or the room for them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from grpc import aio
from idiom.v1.runtime_pb2 import CallFrame, ReplyFrame

from codegen.runtime.coalescing import PATH, served
from codegen.runtime.coalescing.caller import Caller, LostCallError
from codegen.runtime.discovery import Instance
from codegen.runtime.grpc_failure import Verdict, error_of, verdict_of
from codegen.runtime.grpc_link import Link
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import ServiceTokens
from codegen.runtime.method import Retry
from codegen.runtime.pipeline import Pipeline
from tests.codegen.runtime.grpc.coalescing import Coalescing, Outcome, call, outcome, scripted, upstreams
from tests.codegen.runtime.grpc.echo import ECHO, ONCE, SAY, Echo, Text
from tests.servers import free_ports

LOST = "DEPENDENCY_UNAVAILABLE"


def test_a_connection_that_ends_under_a_request_is_a_lost_connection() -> None:
    nothing = aio.Metadata()
    said = 'Internal error from Core Failed "execute_batch": (<SendMessageOperation object>,)'
    failure = aio.AioRpcError(grpc.StatusCode.INTERNAL, nothing, nothing, said)
    assert error_of(failure).reason.name == LOST
    assert [verdict_of(failure, retry) for retry in (Retry.SAFE, Retry.UNSENT)] == [
        Verdict.AGAIN,
        Verdict.FINAL,
    ]


async def test_calls_that_met_a_closed_port_go_elsewhere_whatever_their_method(
    pipeline: Pipeline, services: ServiceTokens
) -> None:
    never = replace(ONCE, policy=replace(ONCE.policy, retry=Retry.NEVER))
    async with (
        serve_grpc("127.0.0.1:0", [(ECHO, Echo("a"))], pipeline, drain=0) as port,
        upstreams(Coalescing, [*free_ports(3), port], services) as through,
    ):
        for _ in range(3):
            asked = [outcome(call(through, method, "name")) for method in (ONCE, never) for _ in range(20)]
            assert set(await asyncio.gather(*asked)) == {("", "a")}


class Changing:
    """Instances that the test takes away."""

    def __init__(self, ports: list[int]) -> None:
        self._changed = asyncio.Event()
        self._instances = {f"{n}": Instance("echo", f"{n}", "b", f"127.0.0.1:{n}") for n in ports}

    def all(self) -> tuple[Instance, ...]:
        return tuple(self._instances.values())

    def get(self, name: str) -> Instance | None:
        return self._instances.get(name)

    async def changed(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def remove(self, port: int) -> None:
        del self._instances[f"{port}"]
        self._changed.set()


class Pair:
    """Two instances and a channel to both."""

    def __init__(self, ports: list[int], echoes: list[Echo], through: Coalescing, known: Changing) -> None:
        self.ports = ports
        self.echoes = echoes
        self.through = through
        self.known = known


@pytest.fixture
async def pair(pipeline: Pipeline, services: ServiceTokens) -> AsyncIterator[Pair]:
    ports, echoes = free_ports(2), [Echo("a"), Echo("b")]
    known = Changing(ports)
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(30):
        for port, echo in zip(ports, echoes, strict=True):
            await stack.enter_async_context(
                serve_grpc(f"127.0.0.1:{port}", [(ECHO, echo)], pipeline, drain=0)
            )
        through = await stack.enter_async_context(Coalescing([ECHO], {"echo": known}, services))
        yield Pair(ports, echoes, through, known)


async def until(holds: Callable[[], Any]) -> None:
    """Waits for what nobody else can see and no event tells."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def until_both_are_connected(pair: Pair) -> None:
    while {(await outcome(call(pair.through, SAY, "name")))[1] for _ in range(2)} != {"a", "b"}:
        pass


async def test_an_instance_that_leaves_under_load_loses_no_call_and_is_forgotten_soon(pair: Pair) -> None:
    await until_both_are_connected(pair)
    slow = [asyncio.ensure_future(outcome(call(pair.through, ONCE, "pause"))) for _ in range(50)]
    load: list[asyncio.Future[Outcome]] = []
    for number in range(200):
        load.append(asyncio.ensure_future(outcome(call(pair.through, ONCE, "name"))))
        if number == 100:
            pair.known.remove(pair.ports[0])
        if number % 3:
            await asyncio.sleep(0)
    assert {(await each)[0] for each in [*load, *slow]} == {""}
    began = time.monotonic()
    while pair.through._closing:
        await asyncio.wait(pair.through._closing)
    assert time.monotonic() - began < 3.0
    assert len(pair.through._callers) == 1


async def test_a_call_under_way_with_an_instance_that_left_can_still_be_cancelled(pair: Pair) -> None:
    await until_both_are_connected(pair)
    waiting = [asyncio.ensure_future(call(pair.through, ONCE, "wait")) for _ in range(2)]
    await asyncio.gather(*(echo.called.wait() for echo in pair.echoes))
    pair.known.remove(pair.ports[0])
    await until(lambda: pair.through._closing)
    for each in waiting:
        each.cancel()
    await asyncio.wait_for(pair.echoes[0].cancelled.wait(), 5)


async def test_closing_ends_calls_under_way_and_leaves_nothing(pair: Pair) -> None:
    await until_both_are_connected(pair)
    before = asyncio.all_tasks()
    asked = [asyncio.ensure_future(outcome(call(pair.through, SAY, "wait"))) for _ in range(20)]
    await until(lambda: sum(len(echo.contexts) for echo in pair.echoes) >= 22)
    asked += [asyncio.ensure_future(outcome(call(pair.through, ONCE, "late"))) for _ in range(20)]
    pair.known.remove(pair.ports[0])
    await asyncio.sleep(0)
    await asyncio.wait_for(pair.through.__aexit__(None, None, None), 5)
    done, pending = await asyncio.wait(asked, timeout=5)
    assert not pending
    assert {each.result()[0] for each in done} <= {LOST, ""}
    assert await outcome(call(pair.through, SAY, "after")) == (LOST, "the call was ended by the server")
    assert not pair.through._links
    left = {task.get_name() for task in asyncio.all_tasks() - before}
    assert not {name for name in left if name.startswith(("calls to", "requests of", "close"))}


async def test_closing_wakes_calls_whose_stream_has_not_even_begun(pair: Pair) -> None:
    link = Link(f"127.0.0.1:{pair.ports[0]}")
    caller = Caller(link, dict)
    asked = asyncio.ensure_future(caller.unary(ONCE.path, b"", {}, 20.0))
    await asyncio.sleep(0)
    await caller.close()
    with pytest.raises(LostCallError) as raised:
        await asyncio.wait_for(asked, 2)
    assert raised.value.unsent
    await link.close()


async def test_a_call_that_nobody_waits_for_can_be_cancelled_while_its_server_drains(
    pipeline: Pipeline, services: ServiceTokens
) -> None:
    echo = Echo("a")
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(serve_grpc("127.0.0.1:0", [(ECHO, echo)], pipeline, drain=20))
        async with upstreams(Coalescing, [port], services) as through:
            waiting = asyncio.ensure_future(call(through, ONCE, "wait"))
            await echo.called.wait()
            closing = asyncio.ensure_future(stack.aclose())
            stream = next(iter(through._callers.values()))._stream
            assert stream
            await until(lambda: stream._draining)  # the frame that says so has arrived
            waiting.cancel()
            await asyncio.wait_for(echo.cancelled.wait(), 5)
            await asyncio.wait_for(closing, 5)


async def test_callers_that_give_up_before_they_are_sent_leave_nothing(services: ServiceTokens) -> None:
    async def deaf(_: Any) -> None:
        await asyncio.Event().wait()

    async with scripted(deaf) as port, upstreams(Coalescing, [port], services) as through:
        for _ in range(40):
            text = "x" * 500_000
            await asyncio.gather(*(outcome(call(through, ONCE, text, timeout=0.05)) for _ in range(10)))
        stream = next(iter(through._callers.values()))._stream
        assert stream
        assert not stream._sent
        assert not stream._waiting


@pytest.fixture
async def stream(channel: aio.Channel) -> AsyncIterator[Any]:
    opened: Any = channel.stream_stream(PATH)()
    yield opened
    opened.cancel()


def asking(*calls: tuple[int, str]) -> bytes:
    frame = CallFrame()
    for number, text in calls:
        frame.calls.add(id=number, path=SAY.path, request=Text(text=text).SerializeToString())
    return frame.SerializeToString()


def cancelling(*numbers: int) -> bytes:
    frame = CallFrame()
    for number in numbers:
        frame.calls.add(id=number, cancel=True)
    return frame.SerializeToString()


async def test_two_calls_of_one_id_at_the_same_time_end_their_stream_with_a_typed_error(stream: Any) -> None:
    await stream.write(asking((1, "wait"), (1, "hello")))
    assert await asyncio.wait_for(stream.code(), 5) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_call_cancelled_before_it_has_begun_leaves_nothing(stream: Any) -> None:
    await stream.write(asking((1, "wait")) + cancelling(1))
    await stream.done_writing()
    assert await asyncio.wait_for(stream.code(), 5) is grpc.StatusCode.OK


async def test_a_full_server_refuses_calls_and_still_takes_cancellations(
    stream: Any, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "MAX_CALLS", 3)
    await stream.write(asking((1, "wait"), (2, "wait"), (3, "wait"), (4, "hello")))
    refused = ReplyFrame.FromString(await asyncio.wait_for(stream.read(), 5)).replies
    assert [(reply.id, reply.status.code) for reply in refused] == [(4, 8)]
    await stream.write(cancelling(2))
    await asyncio.wait_for(echo.cancelled.wait(), 5)
    await stream.write(asking((5, "hello")))
    answered = ReplyFrame.FromString(await asyncio.wait_for(stream.read(), 5)).replies
    assert [(reply.id, reply.HasField("status")) for reply in answered] == [(5, False)]


async def test_a_caller_that_takes_no_answers_is_not_read_any_further(stream: Any) -> None:
    written = 0
    with contextlib.suppress(TimeoutError):
        while written < 2000:
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(_write(stream, written))), 2)
            written += 1
    assert written < 2000
    seen = 0
    while seen < written:
        seen += len(ReplyFrame.FromString(await asyncio.wait_for(stream.read(), 5)).replies)


async def _write(stream: Any, number: int) -> None:
    await stream.write(asking((number + 1, "x" * 90_000)))
