from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis as RedisClient

from codegen.runtime.errors import Error
from impl.connect.alarm import Alarm
from impl.connect.keeper import SessionKeeper
from impl.connect.registry import RoomRegistry
from impl.connect.rooms import RoomIndex
from impl.storage.redis_client import connect_redis
from impl.storage.room_instances import RoomInstances
from impl.storage.sessions import SessionAddress, Sessions
from tests.impl.connect.neighbours import until
from tests.servers import Redis


class Scene:
    def __init__(self, client: RedisClient, refresh_seconds: float, expiry_seconds: float) -> None:
        self.client = client
        self.sessions = Sessions(client, expiry_seconds)
        self.index = RoomIndex()
        self.rooms = RoomInstances(client, 16, expiry_seconds)
        self.registry = RoomRegistry(self.rooms, self.index, "connect-1", "boot", linger_seconds=0.2)
        self.alarm = Alarm()
        self.keeper = SessionKeeper(
            self.sessions,
            self.registry,
            client,
            self.alarm.sound,
            refresh_seconds=refresh_seconds,
            pace_seconds=0.05,
        )

    async def mapped(self, user_id: int) -> list[SessionAddress]:
        return list((await self.sessions.of([user_id])).get(user_id, []))

    async def until_mapped(self, *addresses: SessionAddress, user_id: int = 1) -> None:
        async def mapped() -> bool:
            return set(await self.mapped(user_id)) == set(addresses)

        await until(mapped)


@asynccontextmanager
async def scene(
    server: Redis, refresh_seconds: float = 30.0, expiry_seconds: float = 90.0
) -> AsyncIterator[Scene]:
    async with connect_redis(server.url) as client:
        made = Scene(client, refresh_seconds, expiry_seconds)
        async with made.keeper.running():
            yield made


def address(session_id: str, user_id: int = 1, boot_id: str = "boot") -> SessionAddress:
    return SessionAddress(user_id, session_id, "connect-1", boot_id)


async def test_a_session_is_in_the_map_as_soon_as_it_was_added(redis: Redis) -> None:
    async with scene(redis) as here:
        await here.keeper.add(address("a"))
        assert await here.mapped(1) == [address("a")]


async def test_a_session_that_ended_leaves_the_map(redis: Redis) -> None:
    async with scene(redis) as here:
        await here.keeper.add(address("a"))
        await here.keeper.add(address("b"))
        here.keeper.remove(address("a"))
        await here.until_mapped(address("b"))


async def test_an_old_removal_does_not_touch_a_new_life(redis: Redis) -> None:
    async with scene(redis) as here:
        await here.keeper.add(address("a", boot_id="new"))
        here.keeper.remove(address("a", boot_id="old"))
        here.keeper.remove(address("marker"))
        await asyncio.sleep(0.2)
        assert await here.mapped(1) == [address("a", boot_id="new")]


async def test_entries_are_refreshed_before_they_expire(redis: Redis) -> None:
    async with scene(redis, refresh_seconds=0.2, expiry_seconds=1.0) as here:
        addresses = [address(f"s{number}", number) for number in range(600)]
        for one in addresses:
            await here.keeper.add(one)
        await asyncio.sleep(1.5)
        found = await here.sessions.of(range(600))
        assert [found[number] for number in range(600)] == [[one] for one in addresses]


async def test_what_a_registry_that_is_away_missed_is_written_when_it_is_back(redis: Redis) -> None:
    async with scene(redis) as here:
        await here.keeper.add(address("stays"))
        await here.keeper.add(address("goes"))
        await redis.kill()
        here.keeper.remove(address("goes"))
        with pytest.raises(Error, match="DEPENDENCY_UNAVAILABLE"):
            await here.keeper.add(address("new"))
        await redis.start()
        await here.until_mapped(address("stays"))


async def test_a_registry_that_forgot_everything_is_told_again(redis: Redis) -> None:
    async with scene(redis) as here:
        await here.keeper.add(address("a"))
        await here.client.flushall()
        await redis.restart()
        await here.until_mapped(address("a"))


async def test_rooms_follow_the_sessions_into_a_registry_that_forgot(redis: Redis) -> None:
    async with scene(redis) as here:
        here.index.online(1)
        here.index.came(1, "room.1", 1)
        await until(lambda: here.rooms.of(["room.1"]))
        await here.client.flushall()
        await redis.restart()
        await until(lambda: here.rooms.of(["room.1"]))
        assert here.alarm.raised


async def test_rooms_without_members_leave_and_are_not_refreshed(redis: Redis) -> None:
    async with scene(redis, refresh_seconds=0.1) as here:
        here.index.online(1)
        here.index.came(1, "room.1", 1)
        await until(lambda: here.rooms.of(["room.1"]))
        here.index.offline(1)

        async def gone() -> bool:
            return not await here.rooms.of(["room.1"])

        await until(gone)
        await asyncio.sleep(0.3)
        assert await gone()


async def test_maps_that_may_not_be_true_are_written_again(redis: Redis) -> None:
    async with scene(redis) as here:
        await here.keeper.add(address("a"))
        await until(lambda: here.alarm.raised)
        await here.client.flushall()
        here.keeper.doubt()
        await here.until_mapped(address("a"))


async def test_what_waits_is_written_at_the_end(redis: Redis) -> None:
    async with scene(redis) as here:
        await here.keeper.add(address("a"))
        here.keeper.remove(address("a"))
    async with scene(redis) as here:
        assert await here.mapped(1) == []
