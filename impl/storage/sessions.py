"""Which sessions a user has, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from impl.storage.conversations import Position


@dataclass(frozen=True, slots=True)
class SessionAddress:
    """One session and the process that holds its connection."""

    user_id: int
    session_id: str
    instance: str
    boot_id: str


class Sessions:
    """The session map: user to sessions, each with an expiry."""

    def __init__(self, redis: Redis, seconds: float = 90.0) -> None:
        """An entry that is not refreshed expires after `seconds`."""

    async def add(self, addresses: Sequence[SessionAddress]) -> None:
        """Adds sessions, or refreshes them, in one round trip."""
        raise NotImplementedError

    async def remove(self, addresses: Sequence[SessionAddress]) -> None:
        """Removes sessions that are still at these addresses."""
        raise NotImplementedError

    async def of(self, user_ids: Sequence[int]) -> Mapping[int, list[SessionAddress]]:
        """Live sessions of each user; users without any are left out."""
        raise NotImplementedError

    async def acknowledge(self, acks: Sequence[tuple[int, Position]]) -> None:
        """Notes how far users have received; positions behind the noted ones change nothing."""
        raise NotImplementedError
