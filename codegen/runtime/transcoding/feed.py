"""What a client sends during a call, read ahead by a task of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Self

AHEAD = 2
"""Messages that wait for the service; a client that is faster has to wait too."""


class Feed:
    """Reads a source while the body of its `async with` runs; what the source raises ends that body.

    Args:
        source: messages. None means that no more of them come, though the source goes on to listen.
    """

    def __init__(self, source: AsyncGenerator[bytes | None, None]) -> None:
        self._source = source
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(AHEAD)
        self._failure: Exception | None = None

    async def requests(self) -> AsyncIterator[bytes]:
        """The messages. After a failure there is no end: the service must not take it for one."""
        while (data := await self._queue.get()) is not None:
            yield data

    async def __aenter__(self) -> Self:
        """Starts to read."""
        self._task = task = asyncio.current_task()
        self._cancelling = task.cancelling() if task is not None else 0
        self._reader = asyncio.create_task(self._read(), name="requests of a client")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Reads no more.

        Raises:
            Exception: what the source raised.
        """
        self._reader.cancel()
        await asyncio.wait([self._reader])
        if self._failure is not None and self._task is not None:
            others = self._task.uncancel() > self._cancelling
            if not others:
                raise self._failure from None

    async def _read(self) -> None:
        try:
            async with contextlib.aclosing(self._source) as source:
                async for data in source:
                    await self._queue.put(data)
            await self._queue.put(None)
        except Exception as failure:  # noqa: BLE001 - the outermost frame of the task: its owner raises it
            self._failure = failure
            if self._task is not None:
                self._task.cancel()
