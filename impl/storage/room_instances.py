"""On which connection gateways the members of a room are connected."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis


class RoomInstances:
    """The map of rooms: conversation to instances, each with an expiry.

    Instance names and boot ids do not contain `|`. Every method raises Error DEPENDENCY_UNAVAILABLE while
    Redis is away; each is safe to repeat.
    """

    def __init__(self, redis: Redis, partitions: int, seconds: float = 90.0) -> None:
        """An entry that is not refreshed expires after `seconds`, by the clocks of the processes."""
        self._redis = redis
        self._partitions = partitions
        self._seconds = seconds

    async def add(self, instance: str, boot_id: str, conversation_ids: Sequence[str]) -> None:
        """Adds an instance to rooms, or refreshes it there, in one round trip."""
        raise NotImplementedError

    async def remove(self, instance: str, boot_id: str, conversation_ids: Sequence[str]) -> None:
        """Removes this life of an instance from rooms; a later life stays."""
        raise NotImplementedError

    async def of(self, conversation_ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        """(instance, boot id) of each room; rooms without any are left out."""
        raise NotImplementedError
