"""Events on their way to the program that uses a client."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from impl.client.events import Event, MessageReceived, RoomChanged

_Numbered: Final = (MessageReceived, RoomChanged)


class Outlet:
    """Events in order, until they are taken.

    Events of conversations are all kept, and who puts them looks at `space` first. Of all others only the
    latest of a kind is kept for one thing: they say how something is, not what happened.

    Args:
        capacity: most events of conversations.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._events: OrderedDict[Hashable, Event] = OrderedDict()
        self._numbered = 0
        self._count = 0
        self._arrived, self._taken = asyncio.Event(), asyncio.Event()

    @property
    def space(self) -> int:
        """How many events of conversations may be put."""
        return self._capacity - self._numbered

    def put(self, event: Event, about: Hashable = None) -> None:
        """Put an event; instead of an earlier one of its kind about the same thing, if it is about one."""
        self._count += 1
        key = self._count if about is None else (type(event), about)
        self._events.pop(key, None)
        self._events[key] = event
        self._numbered += isinstance(event, _Numbered)
        self._arrived.set()

    def clear(self) -> None:
        """Forget the events of conversations that were not taken."""
        for key in [key for key, event in self._events.items() if isinstance(event, _Numbered)]:
            del self._events[key]
        self._numbered = 0

    async def take(self) -> Event:
        """The next event."""
        while not self._events:
            self._arrived.clear()
            await self._arrived.wait()
        _, event = self._events.popitem(last=False)
        self._numbered -= isinstance(event, _Numbered)
        self._taken.set()
        return event

    async def roomy(self) -> None:
        """Wait until there is space again, a good deal of it."""
        while self.space <= self._capacity // 2:
            self._taken.clear()
            await self._taken.wait()
