from __future__ import annotations

import asyncio
import time

import pytest
from idiom.v1.runtime_pb2 import Handled
from im.connect.v1.delivery_service_pb2 import DeliverResponse

from impl.storage.sessions import SessionAddress
from impl.task import deliveries as module
from impl.task import routing
from impl.task.push import Push
from tests.impl.task.events import batch_of, event
from tests.impl.task.world import SECONDS, World

OK = Handled.OUTCOME_UNSPECIFIED


@pytest.fixture
def push(world: World) -> Push:
    return Push(world.conversations, world.sessions, world.instances, world.courier)


async def outcomes(push: Push, *numbers: int) -> set[int]:
    handled = await push.handle(batch_of(*(event(number, seq=number) for number in numbers)))
    assert len(handled) == len(numbers)
    return {one.outcome for one in handled}


async def test_sessions_on_all_gateways_hear_of_an_event(world: World, push: Push) -> None:
    async with world.gateway("a") as a, world.gateway("b") as b:
        await world.sessions.add([a.session(1, "s1"), a.session(2, "s2"), b.session(2, "s3")])
        assert await outcomes(push, 1, 2) == {OK}
        assert a.ids == b.ids == [1, 2]
        assert [list(item.session_ids) for item in a.heard[0].items] == [["s1", "s2"], ["s1", "s2"]]
        assert (a.heard[0].boot_id, a.heard[0].token) == (a.boot_id, 1)


async def test_batches_share_one_stream(world: World, push: Push) -> None:
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(2, "s")])
        for number in range(1, 6):
            await outcomes(push, number)
        assert (a.ids, a.streams) == ([1, 2, 3, 4, 5], 1)


async def test_recency_is_noted_though_nobody_is_connected(world: World, push: Push) -> None:
    assert await outcomes(push, 1) == {OK}
    assert await world.conversations.recent(2, 10) == ["dm.1.2"]
    assert await world.conversations.recent(1, 10) == ["dm.1.2"]


async def test_sessions_that_a_gateway_does_not_know_are_forgotten(world: World, push: Push) -> None:
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(2, "here"), a.session(2, "gone")])
        a.unknown = ["gone"]
        await outcomes(push, 1)
        assert await world.sessions.of([2]) == {2: [a.session(2, "here")]}


async def test_sessions_of_an_earlier_life_of_a_gateway_are_forgotten(world: World, push: Push) -> None:
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(1, "x"), a.session(2, "y")])
        a.outcome = DeliverResponse.OUTCOME_WRONG_BOOT
        assert await outcomes(push, 1) == {OK}
        assert await world.sessions.of([1, 2]) == {}


async def test_an_unregistered_gateway_is_waited_for_once_and_its_sessions_are_kept(
    world: World, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    async with world.gateway("a") as a:
        lost = SessionAddress(2, "s2", "nowhere", "b")
        await world.sessions.add([lost, a.session(2, "s1")])
        assert await outcomes(push, 1) == {OK}
        began = time.monotonic()
        for number in range(2, 7):
            assert await outcomes(push, number) == {OK}
        assert time.monotonic() - began < 5 * 0.5
        assert a.ids == [1, 2, 3, 4, 5, 6]
        assert lost in (await world.sessions.of([2]))[2]


async def test_a_gateway_that_had_sockets_before_it_could_be_reached_misses_nothing(
    world: World, push: Push
) -> None:
    await world.sessions.add([SessionAddress(2, "s", "a", "boot-a")])
    pushing = asyncio.create_task(outcomes(push, 1))
    async with world.gateway("a") as a:
        assert await pushing == {OK}
        assert a.ids == [1]


async def test_a_broken_stream_is_opened_again_for_the_same_request(world: World, push: Push) -> None:
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(2, "s")])
        a.break_next = True
        assert await outcomes(push, 1) == {OK}
        assert (a.ids, a.streams) == ([1], 2)


async def test_a_gateway_that_hangs_holds_nobody_up_for_long_and_hears_all_once_it_answers(
    world: World, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    async with world.gateway("slow") as slow, world.gateway("quick") as quick:
        await world.sessions.add([slow.session(2, "s"), quick.session(2, "q")])
        slow.open.clear()
        began = time.monotonic()
        for number in range(1, 11):
            await outcomes(push, number)
        assert time.monotonic() - began < 10 * 0.3
        assert quick.ids == list(range(1, 11))
        slow.open.set()
        await slow.hears(*range(1, 11))
        await outcomes(push, 11)
        assert slow.ids[-1] == 11


async def test_a_slow_gateway_hears_all_requests_of_a_large_batch(
    world: World, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(routing, "MAX_ITEMS", 2)
    async with world.gateway("slow") as slow:
        await world.sessions.add([slow.session(2, "s")])
        slow.open.clear()
        assert await outcomes(push, 1, 2, 3, 4, 5) == {OK}
        assert await outcomes(push, 6) == {OK}
        slow.open.set()
        await slow.hears(1, 2, 3, 4, 5, 6)


async def test_a_gateway_that_hangs_for_ever_costs_bounded_memory(
    world: World, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(module, "WINDOW", 4)
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(2, "s")])
        a.open.clear()
        big = event(1)
        big.message.text = "x" * 100_000
        async with asyncio.timeout(SECONDS):
            while not (stream := world.deliveries._streams.get("a")) or not stream._queue.full():
                assert [one.outcome for one in await push.handle(batch_of(big))] == [OK]
        for _ in range(10):
            assert [one.outcome for one in await push.handle(batch_of(big))] == [OK]
        assert stream._queue.qsize() <= 4


async def test_a_gateway_that_knows_a_newer_owner_does_not_stop_the_push(world: World, push: Push) -> None:
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(2, "s")])
        a.outcome = DeliverResponse.OUTCOME_FENCED
        assert await outcomes(push, 1) == {OK}
        assert await world.sessions.of([2]) == {2: [a.session(2, "s")]}


async def test_without_redis_everything_pauses(world: World, push: Push) -> None:
    await world.redis_server.kill()
    assert await outcomes(push, 1, 2) == {Handled.OUTCOME_PAUSE}
    await world.redis_server.start()
    assert await outcomes(push, 1, 2) == {OK}
