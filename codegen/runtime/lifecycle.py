"""From the start of a server to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Ready = Callable[[], None]


async def serve_until(
    stop: asyncio.Event, ready: Ready, serve: Callable[[Ready], Coroutine[Any, Any, None]]
) -> None:
    """Runs a server that ends by itself once `stop` is set; cancels it if it has not begun to serve by then.

    A start may wait for what it depends on however long that is away.

    Args:
        stop: set from outside.
        ready: called when the server serves.
        serve: the server; gets what to call when it serves.

    Raises:
        CancelledError: the server was cancelled though nobody stopped it.
    """
    begun = asyncio.Event()

    def begin() -> None:
        begun.set()
        ready()

    async def give_up_a_start() -> None:
        await stop.wait()
        if not begun.is_set():
            serving.cancel()

    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve(begin))
        watching = tasks.create_task(give_up_a_start())
        await asyncio.wait([serving])
        watching.cancel()
    if serving.cancelled() and not stop.is_set():
        raise asyncio.CancelledError
