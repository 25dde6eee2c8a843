from __future__ import annotations

import asyncio
from functools import partial

import pytest

from codegen.runtime.sockets import Lanes


async def test_work_of_one_lane_runs_in_order() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0.001 * (3 - number % 4))
        done.append(number)

    async with Lanes(100) as lanes:
        for number in range(20):
            await lanes.submit("a", partial(work, number))
        await lanes.finished()
    assert done == list(range(20))


async def test_lanes_run_side_by_side() -> None:
    barrier = asyncio.Barrier(3)

    async def meet() -> None:
        await barrier.wait()

    async with Lanes(10) as lanes, asyncio.timeout(5):
        for lane in range(3):
            await lanes.submit(lane, meet)
        await lanes.finished()


async def test_who_submits_beyond_the_limit_waits() -> None:
    release = asyncio.Event()

    async def wait() -> None:
        await release.wait()

    async with Lanes(2) as lanes:
        await lanes.submit(1, wait)
        await lanes.submit(2, wait)
        third = asyncio.create_task(lanes.submit(3, wait))
        await asyncio.sleep(0)
        assert not third.done()
        assert lanes.pending == 2
        release.set()
        await third
        await lanes.finished()
    assert lanes.pending == 0


async def test_leaving_cancels_what_waits_and_what_runs() -> None:
    started, ended = asyncio.Event(), []

    async def run() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("first")

    async def never() -> None:
        ended.append("second")

    async with Lanes(2) as lanes:
        await lanes.submit("a", run)
        await lanes.submit("a", never)
        await started.wait()
    assert ended == ["first"]


async def test_work_that_fails_is_logged_and_the_lane_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    done = asyncio.Event()

    async def fail() -> None:
        raise ValueError("broken")

    async def go_on() -> None:
        done.set()

    async with Lanes(2) as lanes:
        await lanes.submit("a", fail)
        await lanes.submit("a", go_on)
        await lanes.finished()
    assert done.is_set()
    assert "broken" in caplog.text


async def test_who_waits_for_the_end_is_not_left_behind_when_all_is_cancelled() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    lanes = Lanes(4)
    async with lanes:
        for _ in range(3):
            await lanes.submit("a", never)
        waiting = asyncio.create_task(lanes.finished())
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await waiting
    assert not lanes.pending
