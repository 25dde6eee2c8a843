"""A client that goes away cancels its call."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive

GRACE = 0.05
"""Seconds a call runs before anybody listens whether its client is still there; most are done by then."""


class ClientGoneError(Exception):
    """The client went away, or has all it asked for; nobody reads more of a response."""


class CancelledWithClient:
    """Cancels the body of its `async with` when the client goes away, which then raises ClientGoneError.

    Args:
        receive: of a request.
        read_all: set once the request's body has been read, for nobody else may receive from then on.
    """

    def __init__(self, receive: Receive, read_all: asyncio.Event) -> None:
        self._receive = receive
        self._read_all = read_all
        self._watcher: asyncio.Task[None] | None = None
        self._gone = False

    async def __aenter__(self) -> Self:
        """Listens after a while."""
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(loop)
        self._timer = loop.call_later(GRACE, self._start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops listening.

        Raises:
            ClientGoneError: the client went away.
        """
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        if self._gone and self._task is not None and self._task.uncancel() == 0:
            raise ClientGoneError from None

    def _start(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        await self._read_all.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._task is not None:
            self._task.cancel()
