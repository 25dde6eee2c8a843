"""The map of rooms, kept by what is known of members."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis as RedisClient

from codegen.runtime.errors import Error
from impl.connect.registry import RoomRegistry
from impl.connect.rooms import RoomIndex
from impl.storage.redis_client import connect_redis
from impl.storage.room_instances import RoomInstances
from tests.servers import Redis

PARTITIONS = 16
ROOM, OTHER = "room.1", "room.2"


class Scene:
    def __init__(self, client: RedisClient, linger_seconds: float) -> None:
        self.client = client
        self.rooms = RoomInstances(client, PARTITIONS)
        self.index = RoomIndex()
        self.registry = RoomRegistry(self.rooms, self.index, "connect-1", "boot", linger_seconds)
        self.index.online(1)

    async def registered(self, *names: str) -> set[str]:
        return {
            name for name, lives in (await self.rooms.of(names)).items() if ("connect-1", "boot") in lives
        }


@asynccontextmanager
async def scene(server: Redis, linger_seconds: float = 0.0) -> AsyncIterator[Scene]:
    async with connect_redis(server.url) as client:
        yield Scene(client, linger_seconds)


async def test_a_room_is_registered_when_its_first_member_comes(redis: Redis) -> None:
    async with scene(redis) as here:
        turn = here.registry.turn
        here.index.came(1, ROOM, 1)
        assert await here.registry.ensure([ROOM], turn)
        assert await here.registered(ROOM, OTHER) == {ROOM}
        assert not await here.registry.ensure([ROOM], here.registry.turn)


async def test_what_was_read_before_another_session_registered_the_room_is_read_again(redis: Redis) -> None:
    async with scene(redis) as here:
        turn = here.registry.turn
        here.index.came(1, ROOM, 1)
        await here.registry.ensure([ROOM], turn)
        assert await here.registry.ensure([ROOM], turn)


async def test_rooms_of_which_events_tell_are_registered_too(redis: Redis) -> None:
    async with scene(redis) as here:
        here.index.came(1, ROOM, 1)
        assert not await here.registry.follow()
        assert await here.registered(ROOM) == {ROOM}


async def test_a_room_that_comes_back_as_it_was_withdrawn_may_have_missed_something(redis: Redis) -> None:
    async with scene(redis) as here:
        here.index.came(1, ROOM, 1)
        await here.registry.follow()
        here.index.went(1, ROOM, 2)
        await here.registry.follow()
        here.index.came(1, ROOM, 3)
        here.index.came(1, OTHER, 1)
        assert await here.registry.follow()
        assert not await here.registry.follow()
        assert await here.registered(ROOM, OTHER) == {ROOM, OTHER}


async def test_a_deserted_room_lingers_and_then_leaves_the_map(redis: Redis) -> None:
    async with scene(redis, linger_seconds=0.3) as here:
        here.index.came(1, ROOM, 1)
        await here.registry.follow()
        here.index.went(1, ROOM, 2)
        await here.registry.follow()
        assert await here.registered(ROOM) == {ROOM}
        await asyncio.sleep(0.4)
        await here.registry.follow()
        assert await here.registered(ROOM) == set()


async def test_who_comes_back_in_time_keeps_the_room(redis: Redis) -> None:
    async with scene(redis, linger_seconds=0.3) as here:
        here.index.came(1, ROOM, 1)
        await here.registry.follow()
        here.index.offline(1)
        await here.registry.follow()
        here.index.online(1)
        here.index.came(1, ROOM, 1)
        await here.registry.follow()
        await asyncio.sleep(0.4)
        await here.registry.follow()
        assert await here.registered(ROOM) == {ROOM}


async def test_at_the_end_deserted_rooms_leave_at_once(redis: Redis) -> None:
    async with scene(redis, linger_seconds=60) as here:
        here.index.came(1, ROOM, 1)
        await here.registry.follow()
        here.index.offline(1)
        await here.registry.follow(ending=True)
        assert await here.registered(ROOM) == set()


async def test_a_removal_under_way_does_not_undo_a_new_registration(redis: Redis) -> None:
    async with scene(redis) as here:
        here.index.came(1, ROOM, 1)
        await here.registry.follow()
        here.index.went(1, ROOM, 2)
        redis.pause()
        leaving = asyncio.create_task(here.registry.follow())
        await asyncio.sleep(0.1)
        turn = here.registry.turn
        here.index.came(1, ROOM, 3)
        coming = asyncio.create_task(here.registry.ensure([ROOM], turn))
        await asyncio.sleep(0.1)
        redis.resume()
        await leaving
        assert await coming
        assert await here.registered(ROOM) == {ROOM}


async def test_a_map_that_forgot_is_told_again(redis: Redis) -> None:
    async with scene(redis) as here:
        for number in range(1000):
            here.index.came(1, f"room.{number + 1}", 1)
        await here.registry.follow()
        await here.client.flushall()
        await here.registry.refresh()
        names = [f"room.{number + 1}" for number in range(1000)]
        assert await here.registered(*names) == set(names)


async def test_a_map_that_is_away_is_an_error_and_the_next_attempt_succeeds(redis: Redis) -> None:
    async with scene(redis) as here:
        here.index.came(1, ROOM, 1)
        await redis.kill()
        with pytest.raises(Error, match="DEPENDENCY_UNAVAILABLE"):
            await here.registry.ensure([ROOM], here.registry.turn)
        await redis.start()
        assert await here.registry.ensure([ROOM], here.registry.turn)
        assert await here.registered(ROOM) == {ROOM}
