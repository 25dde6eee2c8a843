"""Logic, as the connection gateway knows it: the real one, on a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
