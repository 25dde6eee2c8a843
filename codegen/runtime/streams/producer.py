"""Batches formed by arrival: what comes in while one append is under way is the next batch."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Generic, Self, TypeVar

from idiom.v1 import reason_errors

from codegen.runtime.errors import Error
from codegen.runtime.streams.owned_tasks import OwnedTasks

Item = TypeVar("Item")
Result = TypeVar("Result")

Accept = Callable[[int, Sequence[Item]], Awaitable[Sequence[Result | Error]]]
"""Appends the items of one partition: one result or error for each, in order."""

logger = logging.getLogger(__name__)


class Producer(Generic[Item, Result]):
    """Appends concurrent items of a partition together. An async context manager.

    Within a partition one call of `accept` is under way at a time, and items keep their order of arrival.
    """

    def __init__(
        self,
        partitions: int,
        accept: Accept[Item, Result],
        *,
        max_batch: int = 64,
        max_queued: int = 4096,
    ) -> None:
        """`max_queued` bounds each partition, so that a busy one cannot refuse its neighbours."""
        self._accept = accept
        self._max_batch = max_batch
        self._max_queued = max_queued
        self._queues: list[deque[tuple[Item, asyncio.Future[Result]]]] = [deque() for _ in range(partitions)]
        self._busy: list[asyncio.Task[None] | None] = [None] * partitions
        self._tasks = OwnedTasks()
        self._closed = True

    async def __aenter__(self) -> Self:
        """Starts taking items."""
        await self._tasks.__aenter__()
        self._closed = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Refuses new items, appends the queued ones, and returns."""
        self._closed = True
        await self._tasks.__aexit__(kind, error, trace)

    async def append(self, partition: int, item: Item) -> Result:
        """Appends an item and returns its result.

        Cancelling the wait takes a queued item back; one that is under way may still be appended.

        Raises:
            Error: OVERLOADED when the partition's queue is full, DRAINING outside the context, and
                whatever `accept` returned for the item or raised for its batch.
        """
        if self._closed:
            raise Error(reason_errors.DRAINING, "the producer is closed", retry_after=1.0)
        queue = self._queues[partition]
        if len(queue) >= self._max_queued:
            raise Error(reason_errors.OVERLOADED, "too many appends are waiting", retry_after=1.0)
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        queue.append((item, result))
        if self._busy[partition] is None:
            self._busy[partition] = self._tasks.start(self._drain(partition))
        return await result

    async def _drain(self, partition: int) -> None:
        queue = self._queues[partition]
        try:
            while batch := self._next(queue):
                await self._append(partition, batch)
        finally:
            self._busy[partition] = None
            for _, result in queue:  # only when cancelled: nobody will append these
                result.cancel()
            queue.clear()

    def _next(
        self, queue: deque[tuple[Item, asyncio.Future[Result]]]
    ) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while queue and len(batch) < self._max_batch:
            item, result = queue.popleft()
            if not result.done():  # its caller went away before it was sent
                batch.append((item, result))
        return batch

    async def _append(self, partition: int, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            outcomes = await self._accept(partition, [item for item, _ in batch])
        except asyncio.CancelledError:
            for _, result in batch:
                result.cancel()
            raise
        except Error as error:
            outcomes = [replace(error) for _ in batch]
        except Exception:  # the outermost loop of the partition: one defect must not end all appends
            logger.exception("appending a batch failed", extra={"partition": partition, "items": len(batch)})
            outcomes = [Error(reason_errors.INTERNAL, "the append failed")] * len(batch)
        for (_, result), outcome in zip(batch, outcomes, strict=True):
            if result.done():
                continue
            if isinstance(outcome, Error):
                result.set_exception(outcome)
            else:
                result.set_result(outcome)
