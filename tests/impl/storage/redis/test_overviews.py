"""Conversations as one user sees them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from im.logic.v1.room_pb2 import ROLE_MEMBER, ROLE_OWNER
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.errors import Error
from codegen.runtime.streams.partitions import partition_of
from impl.storage.keys import keys_of
from impl.storage.membership import Mark, Membership, Overview, Stored
from tests.impl.storage.redis.changes import ROOM, create, leave
from tests.impl.storage.redis.conftest import LAST_ID, PARTITIONS, Process, World
from tests.impl.storage.redis.sends import present, send
from tests.impl.storage.redis.test_loading import OWNER, lobby, stored

PAIR = "dm.1.2"


async def warm(process: Process, *names: str) -> None:
    async with asyncio.timeout(10):
        while len(await process.conversations.heads(names)) < len(names):  # noqa: ASYNC110 - Redis does not tell
            await asyncio.sleep(0.01)


async def test_a_private_conversation_shows_both_how_far_the_other_has_come(process: Process) -> None:
    await process.conversations.accept(send())
    last = send(sender=2)
    await process.conversations.accept(last)
    await process.conversations.mark([Mark(PAIR, 1, 2, 0)])
    await process.conversations.persisted(partition_of(PAIR, PARTITIONS), {PAIR: 1})

    one, two = Membership(1, delivered_seq=2, read_seq=1), Membership(2, delivered_seq=2, read_seq=2)
    seen = Overview(PAIR, 1, 2, last.message_id, 1, one, two, None, None)
    assert await process.conversations.overview(1, [PAIR], last_event=False) == {PAIR: seen}
    other = (await process.conversations.overview(2, [PAIR], last_event=True))[PAIR]
    assert other.last_event is not None
    assert ConversationEvent.FromString(other.last_event).id == last.message_id
    assert replace(other, last_event=None) == replace(seen, membership=two, peer=one)


async def test_a_conversation_with_oneself_has_no_other(process: Process) -> None:
    await process.conversations.accept(send("dm.1.1", members=(1,)))
    seen = (await process.conversations.overview(1, ["dm.1.1"]))["dm.1.1"]
    assert (seen.membership, seen.peer) == (Membership(1, delivered_seq=1, read_seq=1), None)


async def test_a_stranger_is_no_member_and_the_database_is_not_asked_for_private_conversations(
    world: World, process: Process
) -> None:
    await process.conversations.accept(send())
    loads = world.loads, world.views
    seen = (await process.conversations.overview(3, [PAIR]))[PAIR]
    assert (seen.seq, seen.membership, seen.peer) == (1, None, None)
    assert (world.loads, world.views) == loads


async def test_a_room_shows_its_settings_and_the_stay_of_present_and_former_members(
    process: Process,
) -> None:
    await process.conversations.change(create(1, 2))
    await process.conversations.change(leave(2))
    room = await process.conversations.room(ROOM)

    async def membership(user: int) -> Membership | None:
        seen = (await process.conversations.overview(user, [ROOM]))[ROOM]
        assert (seen.room, seen.peer, seen.seq) == (room, None, 2)
        return seen.membership

    assert await membership(1) == Membership(1, ROLE_OWNER, 1, None, 1, 1)
    assert await membership(2) == Membership(2, ROLE_MEMBER, 1, 3)
    assert await membership(3) is None


async def test_former_members_whom_redis_has_forgotten_are_known_by_the_database(
    world: World, process: Process
) -> None:
    former = Membership(2, ROLE_MEMBER, 3, 9)
    world.stored[ROOM] = stored(OWNER)
    world.stays[ROOM, 2] = former
    cold = (await process.conversations.overview(2, [ROOM]))[ROOM]
    await process.conversations.accept(send(ROOM, 1, members=()))
    warm = (await process.conversations.overview(2, [ROOM]))[ROOM]
    assert cold.membership == warm.membership == former
    assert (cold.seq, warm.seq) == (41, 42)


async def test_where_redis_is_cold_the_database_tells_all_but_the_last_event(
    world: World, process: Process
) -> None:
    one, two = Membership(1, delivered_seq=4, read_seq=3), Membership(2, delivered_seq=5, read_seq=5)
    world.stored[PAIR] = Stored(1, 5, (one, two))
    world.stored[ROOM] = stored(OWNER)
    world.stored["dm.1.1"] = Stored(1, 2, present(1))

    seen = await process.conversations.overview(1, [PAIR, ROOM, "dm.1.1"], last_event=True)
    assert seen == {
        PAIR: Overview(PAIR, 1, 5, LAST_ID, 5, one, two, None, None),
        ROOM: Overview(ROOM, 1, 41, LAST_ID, 41, OWNER, None, lobby(OWNER), None),
        "dm.1.1": Overview("dm.1.1", 1, 2, LAST_ID, 2, Membership(1), None, None, None),
    }
    stranger = await process.conversations.overview(9, [PAIR, ROOM])
    assert [one.membership for one in stranger.values()] == [None, None]


async def test_all_who_come_back_to_a_cold_room_at_once_load_it_once(world: World, process: Process) -> None:
    members = [Membership(user, joined_seq=user) for user in range(1, 200)]
    world.stored[ROOM] = stored(*members, seq=300)
    seen = await asyncio.gather(*(process.conversations.overview(user, [ROOM]) for user in range(1, 200)))
    assert [one[ROOM].membership for one in seen] == members
    await warm(process, ROOM)
    assert world.loads == 1


async def test_many_cold_conversations_are_asked_for_at_once_and_then_found_in_redis(
    world: World, process: Process
) -> None:
    rooms = {f"room.{number}": stored(OWNER, Membership(2)) for number in range(1, 30)}
    pairs = {f"dm.1.{user}": Stored(1, user, present(1, user)) for user in range(2, 600)}
    world.stored |= pairs | rooms
    cold = await process.conversations.overview(1, list(world.stored))
    assert (world.views, world.loads) == (1, 0)
    await warm(process, *world.stored)
    asked = world.views, world.loads
    seen = await process.conversations.overview(1, list(world.stored))
    # Where the last event is, Redis learns with the next.
    assert seen == {name: replace(view, last_id=0) for name, view in cold.items()}
    assert (world.views, world.loads) == asked == (1, len(rooms))


async def test_what_one_saw_in_the_database_does_not_undo_what_was_accepted_since(
    world: World, process: Process
) -> None:
    world.stored[PAIR] = Stored(1, 5, present(1, 2))
    await process.conversations.overview(1, [PAIR])
    accepted = await process.conversations.accept(send())
    await warm(process, PAIR)
    assert accepted.seq == 6
    seen = (await process.conversations.overview(1, [PAIR]))[PAIR]
    assert (seen.seq, seen.membership) == (6, Membership(1, delivered_seq=6, read_seq=6))


async def test_strangers_of_a_private_conversation_do_not_bring_it_into_redis(
    world: World, process: Process
) -> None:
    world.stored[PAIR] = Stored(1, 5, present(1, 2))
    world.stored["dm.1.3"] = Stored(1, 5, present(1, 3))
    await process.conversations.overview(3, [PAIR, "dm.1.3"])
    await warm(process, "dm.1.3")
    assert await process.conversations.heads([PAIR]) == {}


async def test_many_conversations_come_in_the_order_asked_and_unknown_ones_are_left_out(
    world: World, process: Process
) -> None:
    names = [f"dm.1.{user}" for user in range(2, 300)]
    for name in names[::3]:
        await process.conversations.accept(send(name, members=(1, int(name.split(".")[2]))))
    for name in names[1::3]:
        world.stored[name] = Stored(1, 7, present(1))
    asked = [*names, *names[:5], "room.5", "nonsense"]
    seen = await process.conversations.overview(1, asked, last_event=True)
    assert list(seen) == [name for number, name in enumerate(names) if number % 3 < 2]
    assert {one.seq for one in seen.values()} == {1, 7}
    assert await process.conversations.overview(1, []) == {}


async def test_entries_of_before_there_were_roles_are_present_members(process: Process) -> None:
    await process.conversations.accept(send())
    members = keys_of(PAIR, PARTITIONS).members(PAIR)
    await process.redis.hset(members, mapping={"1": "member 0", "2": "member 0"})
    seen = (await process.conversations.overview(1, [PAIR]))[PAIR]
    assert (seen.membership, seen.peer) == (Membership(1), Membership(2))


async def test_durable_is_told_of_conversations_of_which_the_database_holds_something(
    process: Process,
) -> None:
    await asyncio.gather(
        *(process.conversations.accept(send(c, members=(1, 2, 3))) for c in (PAIR, PAIR, "dm.1.3"))
    )
    await process.conversations.persisted(partition_of(PAIR, PARTITIONS), {PAIR: 2})
    assert await process.conversations.durable([PAIR, "dm.1.3", "dm.8.9"]) == {PAIR: 2}
    assert await process.conversations.durable([]) == {}


async def test_a_database_that_is_away_stops_only_what_redis_does_not_know(world: World) -> None:
    async with world.process() as process:
        await process.conversations.change(create())
        world.away = True
        seen = await process.conversations.overview(1, [ROOM])
        assert seen[ROOM].membership == Membership(1, ROLE_OWNER, 1, None, 1, 1)
        with pytest.raises(Error) as refused:
            await process.conversations.overview(1, [ROOM, PAIR])
        assert refused.value.reason is DEPENDENCY_UNAVAILABLE
