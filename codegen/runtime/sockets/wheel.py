"""Deadlines of many items, watched by one task."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


class Wheel(Generic[T]):
    """Hands items over when they are due, at most one resolution late.

    Args:
        resolution: seconds.
        expire: called with a due item and the time; the item has left the wheel.
    """

    def __init__(self, resolution: float, expire: Callable[[T, float], None]) -> None:
        self._resolution = resolution
        self._expire = expire
        self._slots: dict[int, set[T]] = {}
        self._next = 0

    def put(self, item: T, due: float) -> int:
        """Take an item in; returns the slot by which it can be taken out.

        Args:
            item: hashable; it may be in one slot at a time.
            due: time of the event loop.
        """
        slot = max(math.ceil(due / self._resolution), self._next)
        self._slots.setdefault(slot, set()).add(item)
        return slot

    def remove(self, item: T, slot: int) -> None:
        """Take an item out before it is due; nothing happens if it is not there."""
        if (items := self._slots.get(slot)) is not None:
            items.discard(item)

    async def run(self) -> None:
        """Watch the time, without end."""
        loop = asyncio.get_running_loop()
        self._next = min(self._slots, default=math.ceil(loop.time() / self._resolution))
        while True:
            await asyncio.sleep(self._next * self._resolution - loop.time())
            self._turn(loop.time())

    def _turn(self, now: float) -> None:
        while self._next * self._resolution <= now:
            items = self._slots.pop(self._next, ())
            self._next += 1
            for item in items:
                self._hand_over(item, now)

    def _hand_over(self, item: T, now: float) -> None:
        try:
            self._expire(item, now)
        except Exception:
            log.exception("a deadline could not be handled")
