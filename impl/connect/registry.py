"""The rooms of which this process has members, in the map by which events find it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Iterable

from impl.connect.rooms import RoomIndex
from impl.storage.room_instances import RoomInstances

LINGER_SECONDS = 15.0
_BATCH = 512
_MOMENT = 60.0


class RoomRegistry:
    """Writes what the index says to the map of rooms.

    Registered before the first member is told anything of the room, withdrawn some time after the last one
    has gone. All writes go one after the other, so that a late removal cannot undo what was added after it.
    Every method raises Error DEPENDENCY_UNAVAILABLE while Redis is away; each is safe to repeat.

    Args:
        instances: the map of rooms.
        index: the rooms of this process.
        instance: name of this process.
        boot_id: of this process.
        linger_seconds: for which a room stays registered after its last member has gone.
    """

    def __init__(
        self,
        instances: RoomInstances,
        index: RoomIndex,
        instance: str,
        boot_id: str,
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        self._instances = instances
        self._index = index
        self._here = (instance, boot_id)
        self._linger = linger_seconds
        self._writing = asyncio.Lock()
        self._turns = itertools.count(1)
        self._registered: dict[str, int] = {}
        """Rooms to the turn in which they were registered."""
        self._deserted: dict[str, float] = {}
        """Registered rooms without members, and since when."""
        self._withdrawn: dict[str, float] = {}
        """Rooms that were withdrawn a moment ago, and when."""
        self.turn = 0
        """Of the last registration."""

    async def ensure(self, conversation_ids: Collection[str], turn: int) -> bool:
        """Registers rooms; whether some of them are registered only since after `turn`.

        What was read of such a room before may lack what nobody was sent.
        """
        if any(room not in self._registered for room in conversation_ids):
            async with self._writing:
                await self._add([room for room in conversation_ids if room not in self._registered])
        return any(self._registered.get(room, turn + 1) > turn for room in conversation_ids)

    async def follow(self, *, ending: bool = False) -> bool:
        """Brings the map to what the index says.

        A room without members lingers, because who went often comes back; not when the process is ending.

        Returns:
            Whether a room is back that was withdrawn a moment ago: who told us may have registered us before
            that, and others may have found nobody to tell.
        """
        now = asyncio.get_running_loop().time()
        back = await self._register_missing()
        deserted = self._registered.keys() - self._index.rooms
        self._deserted = {room: self._deserted.get(room, now) for room in deserted}
        leaving = [room for room, since in self._deserted.items() if ending or now >= since + self._linger]
        if leaving:
            async with self._writing:
                await self._remove(leaving)
        old = [room for room, since in self._withdrawn.items() if now > since + _MOMENT]
        for room in old:
            del self._withdrawn[room]
        return back

    async def _register_missing(self) -> bool:
        if not self._index.rooms - self._registered.keys():
            return False
        async with self._writing:
            missing = self._index.rooms - self._registered.keys()
            await self._add(missing)
        return not missing.isdisjoint(self._withdrawn)

    async def refresh(self) -> None:
        """Writes all registered rooms again."""
        for batch in _batches(tuple(self._registered)):
            async with self._writing:
                await self._instances.add(*self._here, [room for room in batch if room in self._registered])

    async def _add(self, rooms: Iterable[str]) -> None:
        for batch in _batches(tuple(rooms)):
            await self._instances.add(*self._here, batch)
            self.turn = next(self._turns)
            self._registered |= dict.fromkeys(batch, self.turn)

    async def _remove(self, rooms: Iterable[str]) -> None:
        """Who needs a room from now on waits until it is out of the map, and then adds it again."""
        for batch in _batches(tuple(rooms)):
            leaving = [room for room in batch if room not in self._index.rooms]
            self._withdrawn |= dict.fromkeys(leaving, asyncio.get_running_loop().time())
            for room in leaving:
                self._registered.pop(room, None)
            await self._instances.remove(*self._here, leaving)


def _batches(rooms: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    return (rooms[start : start + _BATCH] for start in range(0, len(rooms), _BATCH))
