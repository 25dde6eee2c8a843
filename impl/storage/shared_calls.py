"""Calls side by side, and those for the same thing as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from codegen.runtime.streams.owned_tasks import OwnedTasks

T = TypeVar("T")


async def together(calls: Iterable[Awaitable[T]]) -> list[T]:
    """The results of calls side by side; the first error, once all have ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[T]", results)


class SharedCalls(Generic[T]):
    """Runs one call per key at a time; who comes meanwhile shares its outcome. An async context manager.

    A caller that is cancelled does not end what others wait for.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[T]] = {}
        self._tasks = OwnedTasks()

    async def __aenter__(self) -> Self:
        """Starts owning calls."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the calls under way."""
        await self._tasks.__aexit__(kind, error, trace)

    async def run(self, key: str, call: Callable[[], Awaitable[T]]) -> T:
        """The outcome of the call under way for the key, or of `call`."""
        outcome = self._under_way.get(key)
        if outcome is None:
            outcome = self._under_way[key] = asyncio.get_running_loop().create_future()
            self._tasks.start(self._run(key, call, outcome))
        return await asyncio.shield(outcome)

    async def _run(self, key: str, call: Callable[[], Awaitable[T]], outcome: asyncio.Future[T]) -> None:
        try:
            outcome.set_result(await call())
        except Exception as error:  # noqa: BLE001 - it is raised in those who wait
            outcome.set_exception(error)
            outcome.exception()  # if nobody waits any more, nobody missed it
        finally:
            del self._under_way[key]
            outcome.cancel()
