"""Logic, as the connection gateway knows it: the real one, on a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from codegen.runtime.errors import Error
from impl.logic import app
from impl.settings import Settings
from impl.storage.migration import migrate

_SECONDS = 30.0


@asynccontextmanager
async def running_logic(settings: Settings) -> AsyncIterator[None]:
    """Logic in this process; its tables are made if need be."""
    await asyncio.to_thread(migrate, settings.effective_database_url)
    ready, stop = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(app.run(settings, ready.set, stop))
    try:
        async with asyncio.timeout(_SECONDS):
            await ready.wait()
        yield
    finally:
        stop.set()
        async with asyncio.timeout(_SECONDS):
            await running


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds; for what tells nobody. While a server is away it does not hold."""
    async with asyncio.timeout(_SECONDS):
        while not await _holds(condition):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)


async def _holds(condition: Callable[[], Any]) -> bool:
    with suppress(Error, ConnectionError):
        return bool(await condition())
    return False
