"""One at a time per key, in order of arrival."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Lane:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Lanes:
    """Locks that exist while somebody holds or awaits them."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}

    def __contains__(self, key: str) -> bool:
        """Whether somebody is in the lane."""
        return key in self._lanes

    @asynccontextmanager
    async def enter(self, key: str) -> AsyncIterator[None]:
        """Waits for those who came before."""
        lane = self._lanes.setdefault(key, _Lane())
        lane.users += 1
        try:
            async with lane.lock:
                yield
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[key]
