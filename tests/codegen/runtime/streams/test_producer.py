from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from idiom.v1 import reason_errors

from codegen.runtime.errors import Error
from codegen.runtime.streams.producer import Producer


class Log:
    """Appends to a list while its gate is open."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, list[int]]] = []
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()

    async def append(self, partition: int, items: Sequence[int]) -> Sequence[int | Error]:
        self.batches.append((partition, list(items)))
        self.entered.set()
        await self.gate.wait()
        return [Error(reason_errors.FORBIDDEN, "odd") if item % 2 else item * 10 for item in items]


async def test_what_arrives_while_a_batch_is_under_way_is_the_next_batch() -> None:
    log = Log()
    async with Producer(2, log.append, max_batch=4) as producer:
        waiting = [asyncio.create_task(producer.append(0, n)) for n in (0, 2, 4, 6, 8, 10)]
        await log.entered.wait()
        log.gate.set()
        assert await asyncio.gather(*waiting) == [0, 20, 40, 60, 80, 100]
    assert log.batches == [(0, [0, 2, 4, 6]), (0, [8, 10])]


async def test_an_item_that_is_refused_does_not_harm_the_others() -> None:
    log = Log()
    log.gate.set()
    async with Producer(1, log.append) as producer:
        results = await asyncio.gather(*(producer.append(0, n) for n in range(4)), return_exceptions=True)
    assert [r if isinstance(r, int) else "refused" for r in results] == [0, "refused", 20, "refused"]


async def test_a_full_partition_refuses_and_its_neighbour_does_not() -> None:
    log = Log()
    async with Producer(2, log.append, max_batch=1, max_queued=3) as producer:
        first = asyncio.create_task(producer.append(0, 0))
        await log.entered.wait()
        waiting = [asyncio.create_task(producer.append(0, 2)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Error) as refused:
            await producer.append(0, 4)
        assert refused.value.reason == reason_errors.OVERLOADED
        neighbour = asyncio.create_task(producer.append(1, 6))
        log.gate.set()
        assert await neighbour == 60
        assert await asyncio.gather(first, *waiting) == [0, 20, 20, 20]


async def test_a_queued_item_whose_caller_goes_away_is_not_appended() -> None:
    log = Log()
    async with Producer(1, log.append) as producer:
        first = asyncio.create_task(producer.append(0, 0))
        await log.entered.wait()
        second = asyncio.create_task(producer.append(0, 2))
        await asyncio.sleep(0)
        second.cancel()
        log.gate.set()
        assert await first == 0
    assert log.batches == [(0, [0])]


async def test_leaving_appends_what_is_queued_and_refuses_what_comes_later() -> None:
    log = Log()
    async with Producer(1, log.append) as producer:
        first = asyncio.create_task(producer.append(0, 0))
        await log.entered.wait()
        second = asyncio.create_task(producer.append(0, 2))
        await asyncio.sleep(0)
        log.gate.set()
    assert (first.result(), second.result()) == (0, 20)
    with pytest.raises(Error) as refused:
        await producer.append(0, 4)
    assert refused.value.reason == reason_errors.DRAINING


async def test_an_append_that_breaks_fails_its_batch_only() -> None:
    calls = 0

    async def broken(_: int, items: Sequence[int]) -> Sequence[int | Error]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        return list(items)

    async with Producer(1, broken) as producer:
        with pytest.raises(Error) as failed:
            await producer.append(0, 1)
        assert failed.value.reason == reason_errors.INTERNAL
        assert await producer.append(0, 2) == 2
