"""Background tasks that somebody owns."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self


class OwnedTasks:
    """A task group for the inside of an object: what its user raises comes out as it is, not in a group.

    An async context manager. Leaving it waits for the tasks; leaving it cancelled cancels them.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Starts owning tasks."""
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the tasks."""
        if isinstance(error, Exception):
            await self._group.__aexit__(None, None, None)
        else:
            await self._group.__aexit__(kind, error, trace)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs `work` until it ends or the owner is cancelled."""
        return self._group.create_task(work)
