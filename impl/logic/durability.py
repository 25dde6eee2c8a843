"""Waiting until messages are in the database."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Final, Self

from codegen.runtime.background import background
from codegen.runtime.errors import Error
from impl.storage.conversations import Conversations

PERIOD: Final = 0.015
"""Seconds between two looks while somebody waits: about as long as a batch takes to be stored."""
WAITING: Final = 4096
"""Sends that may wait at once."""
_AWAY_SECONDS: Final = 0.25

_logger = logging.getLogger(__name__)


class Durability:
    """Looks how far conversations are stored, all of them at once, as long as somebody waits for one.

    An async context manager that owns the looking.

    Args:
        conversations: know what persist has noted.
        period: seconds between two looks.
        most: how many may wait at once.
    """

    def __init__(self, conversations: Conversations, *, period: float = PERIOD, most: int = WAITING) -> None:
        self._conversations = conversations
        self._period = period
        self._most = most
        self._waiting: dict[asyncio.Future[bool], tuple[str, int]] = {}
        self._somebody = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Starts; looks at nothing until somebody waits."""
        self._poller = background(self._poll(), "durability")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends; who waits still is told that it was in vain."""
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.cancel()
            await asyncio.wait([poller])
        for waiter in self._waiting:
            _tell(waiter, durable=False)

    async def reached(self, conversation_id: str, seq: int) -> bool:
        """Returns True once the database holds everything up to this number.

        False if that will not be known: too many wait already, or the process ends. It waits without end
        otherwise; whoever has a deadline cancels it.
        """
        if len(self._waiting) >= self._most or self._poller is None:
            return False
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = conversation_id, seq
        self._somebody.set()
        try:
            return await waiter
        finally:
            del self._waiting[waiter]

    async def _poll(self) -> None:
        while True:
            await self._somebody.wait()
            try:
                await self._look()
            except Error as error:
                _logger.info("durability is looked at again: %s", error)
                await asyncio.sleep(_AWAY_SECONDS)
            except Exception:  # the outermost loop: one defect must not end all waiting
                _logger.exception("durability could not be looked at")
                await asyncio.sleep(_AWAY_SECONDS)
            await asyncio.sleep(self._period)
            if not self._waiting:
                self._somebody.clear()

    async def _look(self) -> None:
        durable = await self._conversations.durable(list({name for name, _ in self._waiting.values()}))
        for waiter, (name, seq) in self._waiting.items():
            if seq <= durable.get(name, 0):
                _tell(waiter, durable=True)


def _tell(waiter: asyncio.Future[bool], *, durable: bool) -> None:
    if not waiter.done():
        waiter.set_result(durable)
