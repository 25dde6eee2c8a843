from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from codegen.runtime.sockets import Wheel

RESOLUTION = 0.01


@asynccontextmanager
async def turning(wheel: Wheel[str]) -> AsyncIterator[None]:
    task = asyncio.create_task(wheel.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_items_come_when_they_are_due_and_no_earlier() -> None:
    loop = asyncio.get_running_loop()
    due = {name: loop.time() + delay for name, delay in (("c", 0.09), ("a", 0.0), ("b", 0.05))}
    came: list[tuple[str, float]] = []
    all_came = asyncio.Event()

    def expire(item: str, now: float) -> None:
        came.append((item, now))
        if len(came) == len(due):
            all_came.set()

    wheel = Wheel(RESOLUTION, expire)
    for name, when in due.items():
        wheel.put(name, when)
    async with turning(wheel), asyncio.timeout(5):
        await all_came.wait()
    assert [name for name, _ in came] == ["a", "b", "c"]
    assert all(now >= due[name] for name, now in came)


async def test_a_removed_item_does_not_come() -> None:
    came: list[str] = []
    last = asyncio.Event()

    def expire(item: str, _now: float) -> None:
        came.append(item)
        last.set()

    wheel = Wheel(RESOLUTION, expire)
    now = asyncio.get_running_loop().time()
    slot = wheel.put("gone", now + 0.02)
    wheel.put("last", now + 0.05)
    wheel.remove("gone", slot)
    wheel.remove("gone", slot + 1000)
    async with turning(wheel), asyncio.timeout(5):
        await last.wait()
    assert came == ["last"]


async def test_an_item_put_in_late_comes_at_the_next_turn() -> None:
    came = asyncio.Event()
    wheel: Wheel[str] = Wheel(RESOLUTION, lambda _item, _now: came.set())
    async with turning(wheel), asyncio.timeout(5):
        await asyncio.sleep(0)
        wheel.put("late", 0.0)
        await came.wait()


async def test_one_item_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    came = asyncio.Event()

    def expire(item: str, _now: float) -> None:
        if item == "bad":
            raise ValueError("broken")
        came.set()

    wheel = Wheel(RESOLUTION, expire)
    now = asyncio.get_running_loop().time()
    wheel.put("bad", now)
    wheel.put("good", now + 0.02)
    async with turning(wheel), asyncio.timeout(5):
        await came.wait()
    assert "broken" in caplog.text
