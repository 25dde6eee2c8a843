"""Reading rooms: their settings, their members in pages, their sizes."""

from __future__ import annotations

import asyncio
import base64

import pytest
from im.errors.v1 import reason_errors

from codegen.runtime.errors import Error
from impl.storage.membership import Membership, Stored
from tests.impl.storage.redis.changes import ROOM, create, join, leave
from tests.impl.storage.redis.conftest import Process, World
from tests.impl.storage.redis.sends import present, send
from tests.impl.storage.redis.test_loading import OWNER, lobby, stored


async def pages(process: Process, size: int) -> list[list[int]]:
    found: list[list[int]] = []
    token = ""
    while True:
        members, token = await process.conversations.roster(ROOM, token, size)
        found.append([member.user_id for member in members])
        if not token:
            return found


async def test_members_are_listed_in_the_order_in_which_they_came(process: Process) -> None:
    await process.conversations.change(create(50, 9, 100, 11))
    for user in (7, 6, 8):
        await process.conversations.change(join(50, user))

    assert await pages(process, 10) == [[9, 11, 50, 100, 7, 6, 8]]
    assert await pages(process, 7) == [[9, 11, 50, 100, 7, 6, 8]]
    assert await pages(process, 3) == [[9, 11, 50], [100, 7, 6], [8]]
    assert await pages(process, 1) == [[9], [11], [50], [100], [7], [6], [8]]


async def test_who_comes_back_is_listed_last(process: Process) -> None:
    await process.conversations.change(create(1, 2, 3))
    await process.conversations.change(leave(2))
    await process.conversations.change(join(1, 2))
    assert await pages(process, 2) == [[1, 3], [2]]


async def test_a_page_goes_on_where_the_one_before_ended_whoever_comes_and_goes_meanwhile(
    process: Process,
) -> None:
    await process.conversations.change(create(1, *range(2, 502)))
    first, token = await process.conversations.roster(ROOM, "", 200)
    assert [member.user_id for member in first] == list(range(1, 201))
    for user in (200, 201, 100):
        await process.conversations.change(leave(1, user))
    await process.conversations.change(join(1, 600))
    second, token = await process.conversations.roster(ROOM, token, 300)
    assert [member.user_id for member in second] == list(range(202, 502))
    third, token = await process.conversations.roster(ROOM, token, 300)
    assert ([member.user_id for member in third], token) == ([600], "")


async def test_a_page_goes_on_though_redis_has_lost_the_room_meanwhile(
    world: World, process: Process
) -> None:
    members = [Membership(user, joined_seq=max(1, user - 20)) for user in range(1, 60)]
    world.stored[ROOM] = stored(*members)
    first, token = await process.conversations.roster(ROOM, "", 15)
    await process.redis.flushall()
    second, _ = await process.conversations.roster(ROOM, token, 15)
    assert [*first, *second] == members[:30]


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "é",
        "!!!!",
        "AAAA",
        base64.urlsafe_b64encode(b"room.7 1").decode(),
        base64.urlsafe_b64encode(b"room.7 1 a").decode(),
        base64.urlsafe_b64encode(b"room.8 1 1").decode(),
        base64.urlsafe_b64encode(b"room.7 1 1 1").decode(),
        base64.urlsafe_b64encode(b"\xff\xff 1 1").decode(),
    ],
)
async def test_a_token_that_is_not_of_a_page_of_the_room_is_refused(process: Process, token: str) -> None:
    await process.conversations.change(create())
    with pytest.raises(Error) as refused:
        await process.conversations.roster(ROOM, token, 10)
    assert refused.value.reason is reason_errors.PAGE_TOKEN_INVALID


async def test_what_is_no_room_has_neither_settings_nor_members(process: Process) -> None:
    await process.conversations.accept(send("dm.1.2"))
    for name in ("dm.1.2", "room.99", "nonsense"):
        assert await process.conversations.room(name) is None
        assert await process.conversations.roster(name, "", 10) == ([], "")
    assert await process.conversations.room_members(["dm.1.2", "room.99", "nonsense"], 10) == {}


async def test_a_room_that_only_the_database_knows_is_read_as_if_redis_knew_it(
    world: World, process: Process
) -> None:
    world.stored[ROOM] = stored(OWNER)
    world.stored["dm.3.4"] = Stored(1, 5, present(3, 4))
    assert await process.conversations.room(ROOM) == lobby(OWNER)
    assert await process.conversations.room_members([ROOM, "dm.3.4"], 10) == {ROOM: (1, (1,))}
    assert await process.conversations.roster(ROOM, "", 10) == ([OWNER], "")


async def test_members_are_named_only_in_rooms_that_are_small_enough(process: Process) -> None:
    await process.conversations.change(create(1, 2, 3))
    await process.conversations.change(create(4, room="room.8"))
    await process.conversations.change(create(5, room="room.9"))
    await process.conversations.change(leave(5, room="room.9"))

    found = await process.conversations.room_members([ROOM, "room.8", "room.9"], 2)
    assert found == {ROOM: (3, None), "room.8": (1, (4,)), "room.9": (0, ())}
    assert await process.conversations.room_members([ROOM], 3) == {ROOM: (3, (1, 2, 3))}
    assert await process.conversations.room_members([], 3) == {}


async def test_sizes_are_right_while_members_come_and_go(process: Process) -> None:
    await process.conversations.change(create())
    for user in range(2, 40):
        await asyncio.gather(
            process.conversations.change(join(1, user)), process.conversations.change(join(1, user + 100))
        )
        await process.conversations.change(leave(1, user))
        ((size, _),) = (await process.conversations.room_members([ROOM], 5)).values()
        room = await process.conversations.room(ROOM)
        assert room
        assert size == room.member_count == user
