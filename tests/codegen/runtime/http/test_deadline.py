"""Deadlines: as `asyncio.timeout`, which serves as the oracle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from codegen.runtime.deadline import Deadline


async def _forever() -> None:
    await asyncio.Event().wait()


async def test_a_block_in_time_is_left_alone() -> None:
    with Deadline(10):
        await asyncio.sleep(0)
    with Deadline(None):
        await asyncio.sleep(0)


@pytest.mark.parametrize("seconds", [0.01, 0, -1])
async def test_a_late_block_raises(seconds: float) -> None:
    with pytest.raises(TimeoutError), Deadline(seconds):
        await _forever()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # nothing is left behind


async def test_the_inner_of_two_deadlines_raises() -> None:
    with Deadline(10):
        with pytest.raises(TimeoutError), Deadline(0.01):
            await _forever()
        await asyncio.sleep(0)


async def test_the_outer_of_two_deadlines_raises() -> None:
    with pytest.raises(TimeoutError), Deadline(0.01), Deadline(10):
        await _forever()


async def _cancelled(block: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
    task = asyncio.ensure_future(block())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return task


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def ours() -> None:
        with Deadline(10):
            await _forever()

    assert (await _cancelled(ours)).cancelled()


async def test_a_cancellation_at_the_deadline_wins_as_in_asyncio() -> None:
    async def ours() -> None:
        with Deadline(0.02):
            try:
                await _forever()
            finally:
                await asyncio.sleep(0.05)

    async def theirs() -> None:
        async with asyncio.timeout(0.02):
            try:
                await _forever()
            finally:
                await asyncio.sleep(0.05)

    assert (await _cancelled(ours)).cancelled() == (await _cancelled(theirs)).cancelled()


async def test_another_error_passes() -> None:
    with pytest.raises(ValueError, match="x"), Deadline(10):
        raise ValueError("x")
