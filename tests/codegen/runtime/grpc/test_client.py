from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codegen.runtime.context import Identity
from codegen.runtime.discovery import Etcd, Instance, Instances, register
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import DEFAULT_OPTIONS, CallOptions, Upstreams
from codegen.runtime.grpc_metadata import sendable
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import ServiceTokens
from codegen.runtime.method import Discovery
from codegen.runtime.pipeline import Pipeline
from tests.codegen.runtime.grpc.coalescing import Coalescing
from tests.codegen.runtime.grpc.echo import CHAT, ECHO, INNER, ONCE, SAY, WHO, Echo, Text
from tests.servers import Etcd as EtcdProcess
from tests.servers import free_port

SERVED = Path(__file__).with_name("served.py")
NAME = Text(text="name")


class World:
    """Instances of the echo service that come and go."""

    def __init__(self, etcd: Etcd, pipeline: Pipeline) -> None:
        self._etcd = etcd
        self._pipeline = pipeline

    @contextlib.asynccontextmanager
    async def registered(self, name: str, port: int) -> AsyncIterator[None]:
        async with register(self._etcd, Instance("echo", name, "b", f"127.0.0.1:{port}"), 5):
            yield

    @contextlib.asynccontextmanager
    async def serving(self, name: str, port: int, drain: float = 0.2) -> AsyncIterator[Echo]:
        echo = Echo(name)
        async with serve_grpc(f"127.0.0.1:{port}", [(ECHO, echo)], self._pipeline, drain=drain):
            yield echo

    @contextlib.asynccontextmanager
    async def instance(self, name: str) -> AsyncIterator[Echo]:
        port = free_port()
        async with self.serving(name, port) as echo, self.registered(name, port):
            yield echo


@pytest.fixture
async def client(etcd: EtcdProcess) -> AsyncIterator[Etcd]:
    async with Etcd([etcd.endpoint], "/test") as client:
        yield client


@pytest.fixture
def world(client: Etcd, pipeline: Pipeline) -> World:
    return World(client, pipeline)


@pytest.fixture
async def live(client: Etcd) -> AsyncIterator[Instances]:
    async with Instances(client, "echo") as live:
        yield live


@pytest.fixture(params=[Upstreams, Coalescing], ids=["each by itself", "in frames"])
async def upstreams(
    live: Instances, services: ServiceTokens, request: pytest.FixtureRequest
) -> AsyncIterator[Upstreams]:
    async with asyncio.timeout(60), request.param([ECHO], {"echo": live}, services) as upstreams:
        yield upstreams


async def until(live: Instances, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await live.changed()


async def names(upstreams: Upstreams, calls: int) -> list[str]:
    answers = [await upstreams.unary(SAY, NAME, Text, DEFAULT_OPTIONS) for _ in range(calls)]
    return [answer.text for answer in answers]


async def connected(upstreams: Upstreams, expected: set[str]) -> None:
    async with asyncio.timeout(10):
        while set(await names(upstreams, 4)) != expected:
            pass


async def test_calls_go_round_all_instances(world: World, live: Instances, upstreams: Upstreams) -> None:
    async with world.instance("a"), world.instance("b"):
        await until(live, lambda: len(live.all()) == 2)
        await connected(upstreams, {"a", "b"})
        assert sorted(await names(upstreams, 4)) == ["a", "a", "b", "b"]


async def test_a_named_instance_is_called_and_no_other(
    world: World, live: Instances, upstreams: Upstreams
) -> None:
    async with world.instance("a"), world.instance("b"):
        await until(live, lambda: len(live.all()) == 2)
        for name in ("a", "b", "b"):
            answer = await upstreams.unary(SAY, NAME, Text, CallOptions(instance=name))
            assert answer.text == name
        with pytest.raises(Error, match="NO_INSTANCE"):
            await upstreams.unary(SAY, NAME, Text, CallOptions(instance="c"))


async def test_without_instances_a_call_waits_a_little_then_says_so(upstreams: Upstreams) -> None:
    began = time.monotonic()
    with pytest.raises(Error, match="NO_INSTANCE"):
        await upstreams.unary(SAY, NAME, Text, CallOptions(timeout=1.0))
    assert 0.5 < time.monotonic() - began < 5.0


async def test_a_call_waits_for_the_first_instance(world: World, upstreams: Upstreams) -> None:
    call = asyncio.create_task(names(upstreams, 1))
    async with world.instance("a"):
        assert await call == ["a"]


async def test_an_unreachable_instance_is_passed_over(
    world: World, live: Instances, upstreams: Upstreams
) -> None:
    async with world.registered("a", free_port()), world.instance("b"):
        await until(live, lambda: len(live.all()) == 2)
        once = [await upstreams.unary(ONCE, NAME, Text, DEFAULT_OPTIONS) for _ in range(4)]
        assert {answer.text for answer in once} == {"b"}


async def test_an_instance_that_comes_back_is_reached_soon(
    world: World, live: Instances, upstreams: Upstreams
) -> None:
    port = free_port()
    async with world.registered("a", port):
        async with world.serving("a", port):
            await until(live, lambda: len(live.all()) == 1)
            assert await names(upstreams, 1) == ["a"]
        call = asyncio.create_task(names(upstreams, 1))
        await asyncio.sleep(1.5)  # the outage itself: long enough for the backoff to grow to its bound
        async with world.serving("a", port):
            began = time.monotonic()
            assert await call == ["a"]
            assert time.monotonic() - began < 5.0


async def test_a_safe_call_lost_with_its_instance_is_made_again_elsewhere(
    world: World, live: Instances, upstreams: Upstreams
) -> None:
    ports = free_port(), free_port()
    async with contextlib.AsyncExitStack() as first, world.serving("b", ports[1]) as b:
        a = await first.enter_async_context(world.serving("a", ports[0], drain=0))
        async with world.registered("a", ports[0]):
            await until(live, lambda: live.get("a") is not None)
            call = asyncio.create_task(upstreams.unary(SAY, Text(text="wait"), Text, CallOptions(timeout=5)))
            await a.called.wait()
            async with world.registered("b", ports[1]):
                await until(live, lambda: live.get("b") is not None)
                await first.aclose()
                await b.called.wait()
            call.cancel()


@contextlib.asynccontextmanager
async def process(name: str, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, SERVED, name, str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        await line(child, b"serving")
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


async def line(child: asyncio.subprocess.Process, expected: bytes) -> None:
    assert child.stdout
    assert await child.stdout.readline() == expected + b"\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_nobody_notices_a_killed_or_frozen_process_whose_calls_are_safe(
    world: World, live: Instances, upstreams: Upstreams, number: signal.Signals
) -> None:
    port = free_port()
    async with process("a", port) as child, world.registered("a", port):
        await until(live, lambda: live.get("a") is not None)
        call = asyncio.create_task(upstreams.unary(SAY, Text(text="wait"), Text, DEFAULT_OPTIONS))
        await line(child, b"called")
        async with world.instance("b") as b:
            await until(live, lambda: live.get("b") is not None)
            child.send_signal(number)
            await b.called.wait()
            assert set(await names(upstreams, 4)) == {"b"}
        call.cancel()


async def test_a_call_that_may_have_had_its_effect_is_not_made_again(
    world: World, live: Instances, upstreams: Upstreams
) -> None:
    port = free_port()
    async with contextlib.AsyncExitStack() as first:
        a = await first.enter_async_context(world.serving("a", port, drain=0))
        async with world.registered("a", port), world.instance("b") as b:
            await until(live, lambda: len(live.all()) == 2)
            options = CallOptions(timeout=5, instance="a")
            call = asyncio.create_task(upstreams.unary(ONCE, Text(text="wait"), Text, options))
            await a.called.wait()
            await first.aclose()
            with pytest.raises(Error) as raised:
                await call
            assert raised.value.code_name == "UNAVAILABLE"
            assert not b.called.is_set()


async def test_the_error_of_a_service_arrives_as_it_was_raised(world: World, upstreams: Upstreams) -> None:
    async with world.instance("a"):
        with pytest.raises(Error) as raised:
            await upstreams.unary(SAY, Text(text="fail"), Text, DEFAULT_OPTIONS)
    assert (raised.value.reason.name, raised.value.message) == ("FENCED", "über alt")


async def test_the_deadline_is_a_typed_error(world: World, upstreams: Upstreams) -> None:
    async with world.instance("a"):
        with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
            await upstreams.unary(SAY, Text(text="wait"), Text, CallOptions(timeout=0.3))


async def test_every_call_carries_the_service_and_the_user(world: World, upstreams: Upstreams) -> None:
    identity = Identity("7", "l", "s", frozenset({"x", "y"}))
    options = CallOptions(identity=identity, request_id="r-1", metadata={"X-Odd": "ä", "X-Fine": "1"})
    async with world.instance("a") as echo:
        await upstreams.unary(WHO, NAME, Text, options)
        await upstreams.unary(INNER, NAME, Text, DEFAULT_OPTIONS)
    context, inner = echo.contexts
    assert context.identity == Identity("7", "l", "s", frozenset({"x", "y"}), "test")
    assert (context.request_id, context.metadata["x-fine"]) == ("r-1", "1")
    assert "x-odd" not in context.metadata
    assert inner.identity == Identity(service="test")


async def test_a_stream_carries_requests_and_responses(world: World, upstreams: Upstreams) -> None:
    async def requests() -> AsyncIterator[Any]:
        yield NAME
        yield NAME

    async with world.instance("a"):
        await names(upstreams, 1)
        answers = upstreams.stream_stream(CHAT, requests(), Text, CallOptions(instance="a"))
        assert [answer.text async for answer in answers] == ["a", "a"]


async def test_a_stream_that_is_left_is_cancelled_on_the_server(world: World, upstreams: Upstreams) -> None:
    async def requests() -> AsyncIterator[Any]:
        yield NAME
        await asyncio.Event().wait()

    async with world.instance("a") as echo:
        await names(upstreams, 1)
        answers = upstreams.stream_stream(CHAT, requests(), Text, CallOptions(instance="a"))
        async with contextlib.aclosing(answers):
            assert (await anext(answers)).text == "a"
        await echo.cancelled.wait()


async def test_a_stream_whose_instance_died_lets_go_of_its_requests(
    world: World, live: Instances, upstreams: Upstreams
) -> None:
    let_go = asyncio.Event()

    async def requests() -> AsyncIterator[Any]:
        try:
            yield NAME
            await asyncio.Event().wait()
        finally:
            let_go.set()

    port = free_port()
    async with process("a", port), world.registered("a", port):
        await until(live, lambda: live.get("a") is not None)
        answers = upstreams.stream_stream(CHAT, requests(), Text, CallOptions(instance="a"))
        assert (await anext(answers)).text == "a"
    with pytest.raises(Error, match="UNAVAILABLE"):
        await anext(answers)
    assert let_go.is_set()


async def test_requests_that_cannot_be_made_end_their_stream(world: World, upstreams: Upstreams) -> None:
    async def requests() -> AsyncIterator[Any]:
        yield NAME
        raise ZeroDivisionError

    async with world.instance("a"):
        await names(upstreams, 1)
        answers = upstreams.stream_stream(CHAT, requests(), Text, CallOptions(instance="a"))
        with pytest.raises(Error, match="UNAVAILABLE"):
            _ = [answer async for answer in answers]


async def test_calls_under_way_outlive_the_registration_of_their_instance(
    world: World, live: Instances, upstreams: Upstreams
) -> None:
    port = free_port()
    async with world.serving("a", port) as echo:
        async with world.registered("a", port):
            call = asyncio.create_task(upstreams.unary(SAY, Text(text="pause"), Text, DEFAULT_OPTIONS))
            await echo.called.wait()
        await until(live, lambda: not live.all())
        assert (await call).text == "pause"


def test_only_what_grpc_can_carry_is_sent() -> None:
    metadata = {"a": "1", "b": "ü", "c": "x\ny", "d-bin": "x", "grpc-e": "x", ":path": "x"}
    assert sendable(metadata) == (("a", "1"),)


async def test_a_service_found_by_instance_is_never_reached_at_random(
    world: World, live: Instances, services: ServiceTokens
) -> None:
    directed = replace(ECHO, discovery=Discovery.BY_INSTANCE)
    async with world.instance("a"), Upstreams([directed], {"echo": live}, services) as upstreams:
        await until(live, lambda: live.get("a") is not None)
        named = CallOptions(instance="a")
        assert (await upstreams.unary(SAY, NAME, Text, named)).text
        with pytest.raises(Error, match="must name its instance"):
            await upstreams.unary(SAY, NAME, Text, DEFAULT_OPTIONS)
