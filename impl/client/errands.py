"""Work that is needed for a key, now or later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

LOG = logging.getLogger(__name__)


class Errands:
    """Runs work for keys: for each by one task at a time, for all by `limit` at most; a context manager.

    What fails unexpectedly is logged, and cancels who has entered the context: a client that goes on without
    a part of itself looks alive and is not.

    Args:
        work: for a key; called again if the key is needed while it runs.
        limit: most keys worked for at once.
    """

    def __init__(self, work: Callable[[str], Awaitable[None]], limit: int) -> None:
        self._work = work
        self._limit = limit
        self._waiting: dict[str, None] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._owner: asyncio.Task[object] | None = None

    async def __aenter__(self) -> Self:
        """Ready for work."""
        self._owner = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cancel everything."""
        self._owner = None
        self._waiting.clear()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    def need(self, key: str) -> None:
        """There is work for a key."""
        self._waiting[key] = None
        self._start()

    def _start(self) -> None:
        for key in list(self._waiting):
            if len(self._running) >= self._limit or self._owner is None:
                return
            if key not in self._running:
                del self._waiting[key]
                task = self._running[key] = asyncio.create_task(self._run(key))
                task.add_done_callback(self._ended)

    async def _run(self, key: str) -> None:
        try:
            await self._work(key)
        finally:
            del self._running[key]

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None:
            self._start()
            return
        LOG.critical("a part of the client failed", exc_info=error)
        if self._owner is not None:
            self._owner.cancel("a part of the client failed")
