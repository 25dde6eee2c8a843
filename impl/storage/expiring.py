"""Maps in Redis whose entries expire one by one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import chain

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from impl.storage.keys import script
from impl.storage.redis_client import translated


class ExpiringMaps:
    """Hashes: field to `<value>|<expiry, ms>`.

    Every method takes one round trip; `read` takes another if it finds entries that have expired. Values may
    contain `|`. Every method raises Error DEPENDENCY_UNAVAILABLE while Redis is away; each is safe to repeat.
    """

    def __init__(self, redis: Redis, seconds: float) -> None:
        """An entry that is not refreshed expires after `seconds`, by the clocks of the processes."""
        self._redis = redis
        self._milliseconds = round(seconds * 1000)
        self._remove = redis.register_script(script("remove_entries"))
        self._drop_expired = redis.register_script(script("drop_expired"))

    async def put(self, maps: Mapping[str, Mapping[str, str]]) -> None:
        """Adds values to maps, or refreshes them: key to field to value."""
        expiry = _now_ms() + self._milliseconds
        pipeline = self._redis.pipeline(transaction=False)
        for key, values in maps.items():
            pipeline.hset(key, mapping={field: f"{value}|{expiry}" for field, value in values.items()})
            # Every entry of the key expires before the key, which therefore holds none that lives.
            pipeline.pexpire(key, self._milliseconds + 1000)
        with translated():
            if maps:
                await pipeline.execute()

    async def remove(self, maps: Mapping[str, Mapping[str, str]]) -> None:
        """Removes fields that still have these values."""
        rows = {
            key: [(field, f"{value}|") for field, value in values.items()] for key, values in maps.items()
        }
        await self._each(self._remove, rows)

    async def read(self, keys: Sequence[str]) -> list[dict[str, str]]:
        """What lives in each of the maps, field to value; what does not is dropped."""
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hgetall(key)
        with translated():
            found: list[dict[bytes, bytes]] = await pipeline.execute() if keys else []
        now = _now_ms()
        expired = {
            key: [(field, entry) for field, entry in entries.items() if _expiry(entry) <= now]
            for key, entries in zip(keys, found, strict=True)
        }
        await self._each(self._drop_expired, {key: rows for key, rows in expired.items() if rows})
        return [
            {field.decode(): _value(entry) for field, entry in entries.items() if _expiry(entry) > now}
            for entries in found
        ]

    async def _each(
        self, call: AsyncScript, rows: Mapping[str, Sequence[tuple[str | bytes, str | bytes]]]
    ) -> None:
        """Runs a script on several keys, each with its own rows of arguments."""
        pipeline = self._redis.pipeline(transaction=False)
        for key, of_key in rows.items():
            await call(keys=[key], args=list(chain.from_iterable(of_key)), client=pipeline)
        with translated():
            if rows:
                await pipeline.execute()


def _expiry(entry: bytes) -> int:
    return int(entry.rpartition(b"|")[2])


def _value(entry: bytes) -> str:
    return entry.rpartition(b"|")[0].decode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
