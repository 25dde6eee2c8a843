"""Bounded concurrency that keeps order where order matters."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from types import TracebackType
from typing import Self

Work = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)


class Lanes:
    """Runs work of one lane in order, and different lanes side by side.

    At most `limit` pieces of work wait or run; whoever submits more waits. Leaving the context cancels all.
    """

    __slots__ = ("_idle", "_lanes", "_limit", "_pending", "_space", "_tasks")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pending = 0
        self._lanes: dict[Hashable, deque[Work]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._space: asyncio.Future[None] | None = None
        self._idle: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Ready for work."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cancel everything that waits or runs."""
        self._lanes.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._pending = 0
        self._wake()

    @property
    def pending(self) -> int:
        """How much waits or runs."""
        return self._pending

    async def submit(self, lane: Hashable, work: Work) -> None:
        """Take on work; waits while there is no space. One submitter at a time."""
        while self._pending >= self._limit:
            self._space = asyncio.get_running_loop().create_future()
            await self._space
        self._pending += 1
        if (queue := self._lanes.get(lane)) is not None:
            queue.append(work)
            return
        self._lanes[lane] = deque((work,))
        task = asyncio.create_task(self._run(lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finished(self) -> None:
        """Wait until nothing waits or runs."""
        while self._pending:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    async def _run(self, lane: Hashable) -> None:
        queue = self._lanes[lane]
        try:
            while queue:
                await _attempt(queue[0])
                queue.popleft()
                self._done()
        finally:
            self._lanes.pop(lane, None)

    def _done(self) -> None:
        self._pending -= 1
        self._wake()

    def _wake(self) -> None:
        for waiter in (self._space, self._idle if not self._pending else None):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)


async def _attempt(work: Work) -> None:
    try:
        await work()
    except Exception:
        log.exception("a piece of work failed")
