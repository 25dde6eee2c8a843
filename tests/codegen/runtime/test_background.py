from __future__ import annotations

import asyncio
import logging

import pytest

from codegen.runtime.background import background


async def test_work_that_fails_ends_the_task_that_started_it(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise LookupError("a defect")

    async def own() -> None:
        background(fail(), "the watch")
        await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(own())
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
    assert "the watch failed" in caplog.text


async def test_work_that_is_ended_by_its_owner_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def own() -> str:
        work = background(asyncio.Event().wait(), "the watch")  # type: ignore[arg-type]
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait([work])
        return "done"

    assert await asyncio.create_task(own()) == "done"
    assert not caplog.records
