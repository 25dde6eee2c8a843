"""Conversations that Redis does not know, or of which the database may know more."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from im.errors.v1 import reason_errors
from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_EVERYTHING,
    JOIN_POLICY_OPEN,
    ROLE_ADMIN,
    ROLE_MEMBER,
    ROLE_OWNER,
)

from codegen.runtime.errors import Error
from codegen.runtime.streams.partitions import partition_of
from impl.storage.generation import EPOCH_ORDINALS, SEQ_JUMP
from impl.storage.keys import keys_of
from impl.storage.membership import Changed, Mark, Membership, RoomState, Stored
from tests.impl.storage.redis.changes import ROOM, configure, create, join, leave, role
from tests.impl.storage.redis.conftest import PARTITIONS, Process, World
from tests.impl.storage.redis.sends import send

OWNER = Membership(1, ROLE_OWNER, 1, None, 30, 30)
ADMIN = Membership(2, ROLE_ADMIN, 1, None, 12, 7)
MEMBER = Membership(10, ROLE_MEMBER, 9)


def lobby(*members: Membership) -> RoomState:
    return RoomState("Lobby", "say ✓", JOIN_POLICY_OPEN, HISTORY_POLICY_EVERYTHING, 1234, len(members))


def stored(*members: Membership, epoch: int = 1, seq: int = 41) -> Stored:
    return Stored(epoch, seq, members, lobby(*members))


async def renew(process: Process, epochs: int = 1) -> None:
    """Moves the partition of the room to a later epoch, as after a loss that somebody has noticed."""
    ordinals: Any = await process.redis.hget(keys_of(ROOM, PARTITIONS).of_partition.counters, "accepted")
    process.recovery.saw(partition_of(ROOM, PARTITIONS), int(ordinals) + epochs)
    await process.redis.connection_pool.disconnect()


async def test_a_room_that_only_the_database_knows_goes_on_where_it_stopped(
    world: World, process: Process
) -> None:
    world.stored[ROOM] = stored(OWNER, ADMIN, MEMBER)
    accepted = await process.conversations.accept(send(ROOM, 10, members=()))
    assert (accepted.epoch, accepted.seq) == (1, 42)

    assert await process.conversations.room(ROOM) == lobby(OWNER, ADMIN, MEMBER)
    read = Membership(10, ROLE_MEMBER, 9, None, 42, 42)
    assert await process.conversations.roster(ROOM, "", 10) == ([OWNER, ADMIN, read], "")
    assert await process.conversations.durable([ROOM]) == {ROOM: 41}
    assert world.loads == 1


async def test_a_change_of_a_room_that_only_the_database_knows_is_judged_by_what_it_says(
    world: World, process: Process
) -> None:
    world.stored[ROOM] = stored(OWNER, ADMIN, MEMBER)
    with pytest.raises(Error) as refused:
        await process.conversations.change(leave(1))
    assert refused.value.reason is reason_errors.OWNER_MUST_TRANSFER
    assert (await process.conversations.heads([ROOM]))[ROOM].seq == 41
    changed = await process.conversations.change(role(1, 10, ROLE_ADMIN))
    assert changed == Changed(1, 42, Membership(10, ROLE_ADMIN, 9))


async def test_a_mark_in_a_room_that_only_the_database_knows_goes_on_from_what_it_says(
    world: World, process: Process
) -> None:
    world.stored[ROOM] = stored(OWNER, ADMIN)
    marks = [Mark(ROOM, 2, 0, 5), Mark(ROOM, 2, 0, 9), Mark(ROOM, 1, 99, 99), Mark(ROOM, 10, 1, 1)]
    assert await process.conversations.mark(marks) == [
        ADMIN,
        Membership(2, ROLE_ADMIN, 1, None, 12, 9),
        Membership(1, ROLE_OWNER, 1, None, 41, 41),
        None,
    ]
    assert world.loads == 1


async def test_creating_again_a_room_that_only_the_database_knows_changes_nothing(
    world: World, process: Process
) -> None:
    world.stored[ROOM] = stored(OWNER, ADMIN)
    assert await process.conversations.change(create(1, 5)) == Changed(1, 1, OWNER)
    assert await process.conversations.roster(ROOM, "", 10) == ([OWNER, ADMIN], "")


async def test_the_largest_room_is_loaded_within_a_moment(world: World, process: Process) -> None:
    users = range(1, 100_001)
    members = [Membership(user, ROLE_OWNER if user == 1 else ROLE_MEMBER, user) for user in users]
    world.stored[ROOM] = stored(*members, seq=100_000)
    others = [send(f"dm.1.{n}") for n in range(2, 300)]
    near = next(one for one in others if partition_of(one.conversation_id, 4) == partition_of(ROOM, 4))
    await process.conversations.accept(near)

    began = time.monotonic()
    await process.conversations.accept(send(ROOM, 77_777, members=()))
    assert time.monotonic() - began < 3
    sizes = await process.conversations.room_members([ROOM], 128)
    assert sizes == {ROOM: (100_000, None)}
    (last,), token = await process.conversations.roster(ROOM, "", 1)
    assert last.user_id == 1
    for _ in range(3):
        page, token = await process.conversations.roster(ROOM, token, 1000)
    assert [member.user_id for member in page] == list(range(2002, 3002))


async def test_who_was_a_member_before_the_room_was_loaded_is_none_for_the_script(
    world: World, process: Process
) -> None:
    world.stored[ROOM] = stored(OWNER)
    with pytest.raises(Error) as refused:
        await process.conversations.accept(send(ROOM, 2, members=()))
    assert refused.value.reason is reason_errors.NOT_A_MEMBER
    assert (await process.conversations.change(join(2))).seq == 42


async def test_in_a_new_epoch_redis_is_believed_where_it_knows_more_than_the_database(
    world: World, process: Process
) -> None:
    await process.conversations.change(create(1, 2))
    await process.conversations.change(join(1, 3))
    await process.conversations.change(configure(1, {"name": "Hall"}))
    world.stored[ROOM] = stored(OWNER, MEMBER, seq=2)
    await renew(process)

    accepted = await process.conversations.accept(send(ROOM, 3, members=()))
    assert (accepted.epoch, accepted.seq) == (2, 3 + SEQ_JUMP + 1)
    members, _ = await process.conversations.roster(ROOM, "", 10)
    assert [member.user_id for member in members] == [1, 2, 3]
    room = await process.conversations.room(ROOM)
    assert room
    assert (room.name, room.member_count) == ("Hall", 3)
    assert await process.conversations.durable([ROOM]) == {ROOM: 2}


async def test_in_a_new_epoch_the_database_is_believed_where_it_knows_more_than_redis(
    world: World, process: Process
) -> None:
    await process.conversations.change(create(1, 2, 3))
    world.stored[ROOM] = stored(OWNER, MEMBER, seq=40)
    await renew(process)

    with pytest.raises(Error) as refused:
        await process.conversations.accept(send(ROOM, 3, members=()))
    assert refused.value.reason is reason_errors.NOT_A_MEMBER
    accepted = await process.conversations.accept(send(ROOM, 10, members=()))
    assert (accepted.epoch, accepted.seq) == (2, 40 + SEQ_JUMP + 1)
    members, _ = await process.conversations.roster(ROOM, "", 10)
    assert [member.user_id for member in members] == [1, 10]
    assert await process.conversations.room(ROOM) == lobby(OWNER, MEMBER)


async def test_who_only_looks_in_a_new_epoch_makes_redis_ask_once(world: World, process: Process) -> None:
    await process.conversations.change(create(1, 2, 3))
    world.stored[ROOM] = stored(OWNER, MEMBER, seq=40)
    await renew(process)
    before = world.loads

    for _ in range(3):
        members, _ = await process.conversations.roster(ROOM, "", 10)
        assert [member.user_id for member in members] == [1, 10]
        assert await process.conversations.room(ROOM) == lobby(OWNER, MEMBER)
    assert world.loads == before + 1
    asked = world.views
    assert (await process.conversations.overview(1, [ROOM]))[ROOM].membership == OWNER
    assert world.views == asked


async def test_what_is_seen_first_in_a_new_epoch_is_what_the_database_knows(
    world: World, process: Process
) -> None:
    await process.conversations.change(create(1, 2, 3))
    world.stored[ROOM] = stored(OWNER, MEMBER, seq=40)
    await renew(process)
    seen = await process.conversations.overview(3, [ROOM])
    assert (seen[ROOM].seq, seen[ROOM].membership, seen[ROOM].room) == (40, None, lobby(OWNER, MEMBER))


async def test_members_who_come_in_a_new_epoch_come_with_its_numbers(world: World, process: Process) -> None:
    await process.conversations.change(create())
    await renew(process)
    joined = await process.conversations.change(join(1, 2))
    first = 1 + SEQ_JUMP + 1
    assert joined == Changed(2, first, Membership(2, ROLE_MEMBER, first, None, first - 1, first - 1))
    assert world.loads == 2


async def test_a_room_of_a_later_epoch_than_the_partition_moves_the_partition_on(
    world: World, process: Process
) -> None:
    world.stored[ROOM] = stored(OWNER, epoch=5)
    changed = await process.conversations.change(join(1, 2))
    assert changed.epoch > 5
    counters: Any = await process.redis.hget(keys_of(ROOM, PARTITIONS).of_partition.counters, "accepted")
    assert int(counters) // EPOCH_ORDINALS == changed.epoch


async def test_writes_of_all_kinds_to_a_cold_room_share_the_question_and_keep_their_order(
    world: World, process: Process
) -> None:
    world.stored[ROOM] = stored(OWNER)
    conversations = process.conversations
    writes = [
        write
        for user in range(100, 130)
        for write in (
            conversations.change(join(user)),
            conversations.accept(send(ROOM, user, members=())),
            conversations.mark([Mark(ROOM, user, 0, 1)]),
        )
    ]
    results: Any = await asyncio.gather(*writes)
    assert [one.seq for one in results if not isinstance(one, list)] == list(range(42, 102))
    assert world.loads == 1
