from __future__ import annotations

import asyncio

import pytest

from impl.storage.keys import keys_of
from impl.storage.room_instances import RoomInstances
from tests.impl.storage.redis.conftest import PARTITIONS, Process

A, B = "room.1", "room.2"


@pytest.fixture
def instances(process: Process) -> RoomInstances:
    return RoomInstances(process.redis, PARTITIONS, seconds=0.3)


async def test_a_room_names_every_instance_that_has_members_of_it(instances: RoomInstances) -> None:
    await instances.add("connect-1", "boot-1", [A, B])
    await instances.add("connect-2", "boot-2", [A])
    found = await instances.of([A, B, "room.3", A])
    assert sorted(found[A]) == [("connect-1", "boot-1"), ("connect-2", "boot-2")]
    assert found == {A: found[A], B: [("connect-1", "boot-1")]}
    assert await instances.of([]) == {}


async def test_a_later_life_of_an_instance_is_not_removed_by_an_earlier_one(instances: RoomInstances) -> None:
    await instances.add("connect-1", "boot-1", [A])
    await instances.add("connect-1", "boot-2", [A])
    await instances.remove("connect-1", "boot-1", [A, B])
    assert await instances.of([A]) == {A: [("connect-1", "boot-2")]}
    await instances.remove("connect-1", "boot-2", [A])
    assert await instances.of([A]) == {}


async def test_an_instance_that_does_not_refresh_its_rooms_expires_and_is_dropped(
    process: Process, instances: RoomInstances
) -> None:
    await instances.add("connect-1", "boot-1", [A])
    for _ in range(3):
        await asyncio.sleep(0.15)
        await instances.add("connect-2", "boot-2", [A])
    assert await instances.of([A]) == {A: [("connect-2", "boot-2")]}
    left = await process.redis.hlen(keys_of(A, PARTITIONS).instances(A))
    assert left == 1
