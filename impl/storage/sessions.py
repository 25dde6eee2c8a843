"""Which sessions a user has, and where."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from impl.storage.conversations import Position
from impl.storage.keys import received, script, session
from impl.storage.redis_client import translated

T = TypeVar("T")

RECEIVED_SECONDS: Final = 30 * 24 * 3600
"""Life of a user's noted positions after the last one."""
RECEIVED_MOST: Final = 10_000
"""Conversations of which a user's positions are noted."""


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
        self._redis = redis
        self._seconds = seconds
        self._remove = redis.register_script(script("remove_session"))
        self._drop_expired = redis.register_script(script("drop_expired"))
        self._receive = redis.register_script(script("receive"))

    async def add(self, addresses: Sequence[SessionAddress]) -> None:
        """Adds sessions, or refreshes them, in one round trip."""
        expiry = _now_ms() + round(self._seconds * 1000)
        pipeline = self._redis.pipeline(transaction=False)
        for user, of_user in _by_user((address.user_id, address) for address in addresses).items():
            entries: dict[Any, Any] = {
                address.session_id: f"{_place(address)}{expiry}" for address in of_user
            }
            pipeline.hset(session(user), mapping=entries)
            # Every entry of the key expires before the key, which therefore holds none that lives.
            pipeline.pexpire(session(user), round(self._seconds * 1000) + 1000)
        with translated():
            if addresses:
                await pipeline.execute()

    async def remove(self, addresses: Sequence[SessionAddress]) -> None:
        """Removes sessions that are still at these addresses."""
        by_user = _by_user((address.user_id, address) for address in addresses)
        await self._each(
            self._remove,
            (
                (session(user), [(address.session_id, _place(address)) for address in of_user])
                for user, of_user in by_user.items()
            ),
        )

    async def of(self, user_ids: Sequence[int]) -> Mapping[int, list[SessionAddress]]:
        """Live sessions of each user; users without any are left out."""
        users = list(dict.fromkeys(user_ids))
        pipeline = self._redis.pipeline(transaction=False)
        for user in users:
            pipeline.hgetall(session(user))
        with translated():
            found: list[dict[bytes, bytes]] = await pipeline.execute() if users else []
        now = _now_ms()
        expired = {
            user: [(key, entry) for key, entry in entries.items() if _expiry(entry) <= now]
            for user, entries in zip(users, found, strict=True)
        }
        await self._each(self._drop_expired, ((session(user), old) for user, old in expired.items() if old))
        addresses = {
            user: [_address(user, key, entry) for key, entry in entries.items() if _expiry(entry) > now]
            for user, entries in zip(users, found, strict=True)
        }
        return {user: live for user, live in addresses.items() if live}

    async def acknowledge(self, acks: Sequence[tuple[int, Position]]) -> None:
        """Notes how far users have received, in `RECEIVED_MOST` conversations at most.

        Positions behind the noted ones change nothing.
        """
        await self._each(
            self._receive,
            (
                (received(user), [(p.conversation_id, p.epoch, p.seq) for p in positions])
                for user, positions in _by_user(acks).items()
            ),
            RECEIVED_SECONDS,
            RECEIVED_MOST,
        )

    async def _each(
        self, call: AsyncScript, users: Iterable[tuple[str, Iterable[tuple[Any, ...]]]], *first: int
    ) -> None:
        """Runs a script on several users' keys, each with its own rows of arguments, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for key, rows in users:
            await call(keys=[key], args=[*first, *chain.from_iterable(rows)], client=pipeline)
        with translated():
            if len(pipeline):
                await pipeline.execute()


def _by_user(pairs: Iterable[tuple[int, T]]) -> dict[int, list[T]]:
    grouped: dict[int, list[T]] = {}
    for user, value in pairs:
        grouped.setdefault(user, []).append(value)
    return grouped


def _place(address: SessionAddress) -> str:
    return f"{address.instance}|{address.boot_id}|"


def _expiry(entry: bytes) -> int:
    return int(entry.rpartition(b"|")[2])


def _address(user: int, session_id: bytes, entry: bytes) -> SessionAddress:
    instance, boot_id, _ = entry.decode().split("|")
    return SessionAddress(user, session_id.decode(), instance, boot_id)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
