"""Which sessions a user has, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from impl.storage.expiring import ExpiringMaps
from impl.storage.keys import session


@dataclass(frozen=True, slots=True)
class SessionAddress:
    """One session and the process that holds its connection."""

    user_id: int
    session_id: str
    instance: str
    boot_id: str


class Sessions:
    """The session map: user to sessions, each with an expiry.

    Instance names and boot ids do not contain `|`. Every method raises Error DEPENDENCY_UNAVAILABLE while
    Redis is away; each is safe to repeat.
    """

    def __init__(self, redis: Redis, seconds: float = 90.0) -> None:
        """An entry that is not refreshed expires after `seconds`, by the clocks of the processes."""
        self._maps = ExpiringMaps(redis, seconds)

    async def add(self, addresses: Sequence[SessionAddress]) -> None:
        """Adds sessions, or refreshes them, in one round trip."""
        await self._maps.put(_places(addresses))

    async def remove(self, addresses: Sequence[SessionAddress]) -> None:
        """Removes sessions that are still at these addresses."""
        await self._maps.remove(_places(addresses))

    async def of(self, user_ids: Sequence[int]) -> Mapping[int, list[SessionAddress]]:
        """Live sessions of each user; users without any are left out."""
        users = list(dict.fromkeys(user_ids))
        found = await self._maps.read([session(user) for user in users])
        return {
            user: [SessionAddress(user, name, *place.split("|")) for name, place in places.items()]
            for user, places in zip(users, found, strict=True)
            if places
        }


def _places(addresses: Sequence[SessionAddress]) -> dict[str, dict[str, str]]:
    """User's key to session to place."""
    places: dict[str, dict[str, str]] = {}
    for address in addresses:
        place = f"{address.instance}|{address.boot_id}"
        places.setdefault(session(address.user_id), {})[address.session_id] = place
    return places
