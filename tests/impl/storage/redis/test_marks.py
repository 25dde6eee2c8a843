"""How far members have come."""

from __future__ import annotations

import asyncio

from im.logic.v1.room_pb2 import ROLE_OWNER
from im.stream.v1.conversation_event_pb2 import ConversationEvent, Marked

from impl.storage.envelope import created_ms
from impl.storage.keys import keys_of
from impl.storage.membership import Mark, Membership, Stored
from tests.impl.storage.redis.changes import ROOM, create, join, leave
from tests.impl.storage.redis.conftest import PARTITIONS, Process, World
from tests.impl.storage.redis.sends import present, send, stream_of

PAIR = "dm.1.2"


async def marks_of(process: Process, conversation: str) -> list[ConversationEvent]:
    return [event for _, event in await stream_of(process.redis, conversation) if event.HasField("mark")]


async def mark(
    process: Process, user: int, delivered: int, read: int, where: str = PAIR
) -> Membership | None:
    (member,) = await process.conversations.mark([Mark(where, user, delivered, read, 1_700_000_000_123)])
    return member


async def test_marks_move_ahead_only_and_not_beyond_the_last_event(process: Process) -> None:
    for _ in range(5):
        await process.conversations.accept(send())

    assert await mark(process, 2, 3, 0) == Membership(2, delivered_seq=3)
    assert await mark(process, 2, 2, 1) == Membership(2, delivered_seq=3, read_seq=1)
    assert await mark(process, 2, 0, 4) == Membership(2, delivered_seq=4, read_seq=4)
    assert await mark(process, 2, 1 << 60, 0) == Membership(2, delivered_seq=5, read_seq=4)
    assert await mark(process, 2, 5, 5) == Membership(2, delivered_seq=5, read_seq=5)
    assert await mark(process, 2, 5, 5) == Membership(2, delivered_seq=5, read_seq=5)
    told = [event.mark for event in await marks_of(process, PAIR)]
    assert told == [
        Marked(user_id=2, delivered_seq=3),
        Marked(user_id=2, read_seq=1),
        Marked(user_id=2, delivered_seq=4, read_seq=4),
        Marked(user_id=2, delivered_seq=5),
        Marked(user_id=2, read_seq=5),
    ]


async def test_a_mark_takes_no_number_and_is_not_in_the_hot_tail(process: Process) -> None:
    await process.conversations.accept(send())
    await mark(process, 2, 0, 1)
    assert (await process.conversations.accept(send())).seq == 2

    (event,) = await marks_of(process, PAIR)
    assert (event.conversation_id, event.sender_id) == (PAIR, 2)
    assert (event.epoch, event.seq, event.id) == (0, 0, 0)
    assert created_ms(event.created_at) == 1_700_000_000_123
    tail = await process.conversations.tail(PAIR, None, None, 10)
    assert [ConversationEvent.FromString(envelope).seq for envelope in tail] == [1, 2]
    ordinals = [ordinal for ordinal, _ in await stream_of(process.redis, PAIR)]
    assert ordinals == list(range(ordinals[0], ordinals[0] + 3))


async def test_marks_of_any_size_and_user_are_written_whole(world: World, process: Process) -> None:
    user = (1 << 63) - 1
    for seq in (0x7F, 0x80, 1 << 31, (1 << 53) - 1):
        conversation = f"dm.{seq}.{user}"
        world.stored[conversation] = Stored(1, seq, present(seq, user))
        assert await mark(process, user, 0, seq, conversation) == Membership(
            user, delivered_seq=seq, read_seq=seq
        )
        told = [e.mark for e in await marks_of(process, conversation) if e.conversation_id == conversation]
        assert told == [Marked(user_id=user, delivered_seq=seq, read_seq=seq)]


async def test_who_sends_has_read_what_was_before(process: Process) -> None:
    for _ in range(3):
        await process.conversations.accept(send())
    await process.conversations.accept(send(sender=2))
    assert await mark(process, 2, 0, 0) == Membership(2, delivered_seq=4, read_seq=4)
    assert await mark(process, 1, 0, 0) == Membership(1, delivered_seq=3, read_seq=3)
    assert await marks_of(process, PAIR) == []


async def test_a_repeated_send_moves_no_mark(process: Process) -> None:
    await process.conversations.accept(send(client_id="x"))
    await process.conversations.accept(send(sender=2))
    await process.conversations.accept(send(client_id="x"))
    assert await mark(process, 1, 0, 0) == Membership(1, delivered_seq=1, read_seq=1)


async def test_marks_of_who_is_no_member_or_of_what_nobody_knows_are_none(process: Process) -> None:
    await process.conversations.accept(send())
    await process.conversations.change(create(1, 2, 3))
    await process.conversations.change(leave(3))
    marks = [Mark(PAIR, 3, 1, 1), Mark("dm.4.5", 4, 1, 1), Mark("room.9", 1, 1, 1), Mark(ROOM, 3, 0, 2)]
    assert await process.conversations.mark(marks) == [None] * 4
    assert await marks_of(process, PAIR) == []
    assert await marks_of(process, ROOM) == []
    assert await process.conversations.mark([]) == []


async def test_many_marks_are_answered_in_their_order(process: Process) -> None:
    await process.conversations.change(create())
    for user in range(2, 40):
        await process.conversations.change(join(1, user))
    marks = [Mark(ROOM, user, 0, user) for user in range(1, 40)]
    members = await process.conversations.mark(marks)
    assert members == [
        Membership(1, ROLE_OWNER, 1, None, 1, 1),
        *(Membership(user, joined_seq=user, delivered_seq=user, read_seq=user) for user in range(2, 40)),
    ]


async def test_a_mark_in_a_new_epoch_takes_no_number_and_asks_the_database_once(
    world: World, process: Process
) -> None:
    await asyncio.gather(*(process.conversations.accept(send()) for _ in range(5)))
    world.stored[PAIR] = Stored(1, 3, present(1, 2))
    for partition in range(PARTITIONS):
        process.recovery.saw(partition, 1 << 41)
    await process.redis.connection_pool.disconnect()

    loads = world.loads
    for read in (1, 2, 4):
        assert await mark(process, 2, 0, read) == Membership(2, delivered_seq=read, read_seq=read)
    assert world.loads == loads + 1
    head = (await process.conversations.heads([PAIR]))[PAIR]
    assert (head.epoch, head.seq) == (1, 5)
    accepted = await process.conversations.accept(send())
    assert (accepted.epoch, accepted.seq) == (3, 5 + 1000 + 1)
    assert world.loads == loads + 1


async def test_entries_of_before_there_were_marks_are_members_without_marks(process: Process) -> None:
    await process.conversations.accept(send())
    members = keys_of(PAIR, PARTITIONS).members(PAIR)
    await process.redis.hset(members, mapping={"1": "member 0", "2": "member 0"})

    assert (await process.conversations.accept(send())).seq == 2
    assert await process.redis.hget(members, "1") == b"member 0 0 2 2"
    assert await mark(process, 2, 1, 0) == Membership(2, delivered_seq=1)
    assert await process.redis.hget(members, "2") == b"member 0 0 1 0"
