"""Conversations brought into Redis in the background, so that the next who look find them there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from codegen.runtime.background import background
from codegen.runtime.errors import Error
from impl.storage.envelope import private_members, room_of
from impl.storage.membership import Overview, Stored
from impl.storage.sequencer import Sequencer
from impl.storage.shared_calls import together

MOST_WANTED: Final = 16384
"""Conversations that wait; more are left to the next who look."""
_PRIVATE_AT_ONCE: Final = 256
_ROOMS_AT_ONCE: Final = 4
"""Each of them may have many members to read."""

logger = logging.getLogger(__name__)


class Warming:
    """Brings in what was seen in the database alone. An async context manager.

    Nobody relies on it: what fails is left to the next who look, or to the next write.
    """

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self._private: dict[str, Stored] = {}
        self._rooms: dict[str, None] = {}
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Starts."""
        self._task = background(self._run(), "warming")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def want(self, views: Iterable[Overview]) -> None:
        """Conversations as somebody sees them of whom only the database knows."""
        for view in views:
            if len(self._private) + len(self._rooms) >= MOST_WANTED:
                break
            if room_of(view.conversation_id) is not None:
                self._rooms[view.conversation_id] = None
            elif stored := _whole(view):
                self._private[view.conversation_id] = stored
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._private or self._rooms:
                try:
                    await self._bring()
                except Error as error:
                    logger.info("conversations stay out of Redis for now: %s", error.message)

    async def _bring(self) -> None:
        """A portion of those that wait."""
        names = list(self._private)[:_PRIVATE_AT_ONCE]
        pairs = [(name, self._private.pop(name)) for name in names]
        await together(self._sequencer.take(name, stored) for name, stored in pairs)
        rooms = list(self._rooms)[:_ROOMS_AT_ONCE]
        for name in rooms:
            del self._rooms[name]
        await together(self._sequencer.warm(name) for name in rooms)


def _whole(view: Overview) -> Stored | None:
    """A private conversation as it is stored; None if the view does not show all of it."""
    members = tuple(member for member in (view.membership, view.peer) if member)
    complete = len(members) == len(private_members(view.conversation_id) or ())
    return Stored(view.epoch, view.seq, members) if members and complete else None
