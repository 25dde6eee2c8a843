"""On which connection gateways members of a room are connected."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis

from impl.storage.expiring import ExpiringMaps
from impl.storage.keys import keys_of


class RoomInstances:
    """The map of rooms: conversation to instances, each with an expiry.

    Boot ids do not contain `|`. Every method raises Error DEPENDENCY_UNAVAILABLE while Redis is away; each is
    safe to repeat.
    """

    def __init__(self, redis: Redis, partitions: int, seconds: float = 90.0) -> None:
        """An entry that is not refreshed expires after `seconds`, by the clocks of the processes."""
        self._partitions = partitions
        self._maps = ExpiringMaps(redis, seconds)

    async def add(self, instance: str, boot_id: str, conversation_ids: Sequence[str]) -> None:
        """Adds an instance to rooms, or refreshes it there, in one round trip."""
        await self._maps.put({self._key(name): {instance: boot_id} for name in conversation_ids})

    async def remove(self, instance: str, boot_id: str, conversation_ids: Sequence[str]) -> None:
        """Removes this life of an instance from rooms; another life of it stays."""
        await self._maps.remove({self._key(name): {instance: boot_id} for name in conversation_ids})

    async def of(self, conversation_ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        """(instance, boot id) of each room; rooms without any are left out."""
        names = list(dict.fromkeys(conversation_ids))
        found = await self._maps.read([self._key(name) for name in names])
        return {
            name: list(instances.items()) for name, instances in zip(names, found, strict=True) if instances
        }

    def _key(self, conversation_id: str) -> str:
        return keys_of(conversation_id, self._partitions).instances(conversation_id)
