from __future__ import annotations

import asyncio
from typing import Any

import pytest
from im.errors.v1 import reason_errors
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.errors import Error
from codegen.runtime.streams.partitions import partition_of
from impl.storage.conversations import Accepted, Position, Stored
from impl.storage.generation import EPOCH_ORDINALS
from impl.storage.keys import keys_of, session
from tests.impl.storage.redis.conftest import PARTITIONS, Process, World
from tests.impl.storage.redis.sends import present, send, stream_of


async def test_messages_of_a_conversation_are_numbered_without_gaps_and_stored_whole(
    process: Process,
) -> None:
    sends = [send() for _ in range(200)]
    accepted = await asyncio.gather(*(process.conversations.accept(one) for one in sends))

    assert [one.seq for one in accepted] == list(range(1, 201))
    assert {one.epoch for one in accepted} == {1}
    assert [one.message_id for one in accepted] == [one.message_id for one in sends]
    entries = await stream_of(process.redis, "dm.1.2")
    assert [ordinal for ordinal, _ in entries] == [EPOCH_ORDINALS + n for n in range(1, 201)]
    assert [(e.epoch, e.seq, e.id) for _, e in entries] == [(1, a.seq, a.message_id) for a in accepted]
    assert {e.message.text for _, e in entries} == {"hello"}


async def test_a_repeated_send_gets_the_first_result_and_appends_nothing(process: Process) -> None:
    first = await process.conversations.accept(send(client_id="x"))
    again = await process.conversations.accept(send(client_id="x"))

    assert again == Accepted(first.message_id, first.epoch, first.seq, first.created_ms, duplicate=True)
    assert not first.duplicate
    assert len(await stream_of(process.redis, "dm.1.2")) == 1


async def test_identical_sends_in_one_batch_are_one_message(process: Process) -> None:
    await process.conversations.accept(send())
    accepted = await asyncio.gather(*(process.conversations.accept(send(client_id="x")) for _ in range(20)))

    assert len({one.message_id for one in accepted}) == 1
    assert [one.duplicate for one in accepted] == [False] + [True] * 19


async def test_a_client_message_id_cannot_be_used_for_another_payload(process: Process) -> None:
    await process.conversations.accept(send(client_id="x"))
    with pytest.raises(Error) as refused:
        await process.conversations.accept(send(client_id="x", text="other"))
    assert refused.value.reason == reason_errors.CLIENT_MESSAGE_ID_REUSED


async def test_the_same_client_message_id_of_another_sender_or_conversation_is_another_message(
    process: Process,
) -> None:
    sends = [
        send(client_id="x"),
        send(client_id="x", sender=2),
        send("dm.1.3", client_id="x", members=(1, 3)),
    ]
    accepted = await asyncio.gather(*(process.conversations.accept(one) for one in sends))
    assert not any(one.duplicate for one in accepted)


async def test_who_is_not_a_member_is_refused_and_the_others_of_the_batch_are_not(process: Process) -> None:
    sends = [send(sender=who) for who in (1, 3, 2, 3, 1)]
    results = await asyncio.gather(
        *(process.conversations.accept(one) for one in sends), return_exceptions=True
    )

    assert [one.seq for one in results if isinstance(one, Accepted)] == [1, 2, 3]
    refused = [one for one in results if isinstance(one, Error)]
    assert [one.reason for one in refused] == [reason_errors.NOT_A_MEMBER] * 2


async def test_a_stranger_cannot_create_a_conversation(process: Process) -> None:
    with pytest.raises(Error) as refused:
        await process.conversations.accept(send(sender=3))
    assert refused.value.reason == reason_errors.NOT_A_MEMBER
    assert await process.conversations.heads(["dm.1.2"]) == {}


async def test_a_conversation_that_only_the_database_knows_goes_on_where_it_stopped(
    world: World, process: Process
) -> None:
    world.stored["dm.1.2"] = Stored(epoch=1, seq=41, members=present(1, 2))
    accepted = await process.conversations.accept(send(members=()))
    assert (accepted.epoch, accepted.seq) == (1, 42)


async def test_sends_to_a_cold_conversation_share_the_question_to_the_database_and_keep_their_order(
    world: World, process: Process
) -> None:
    sends = [send() for _ in range(300)]
    accepted = await asyncio.gather(*(process.conversations.accept(one) for one in sends))
    assert [one.seq for one in accepted] == list(range(1, 301))
    assert world.loads == 1


async def test_a_database_that_is_away_stops_only_the_conversations_that_need_it(world: World) -> None:
    away = asyncio.Event()
    released = asyncio.Event()

    async def load(conversation: str) -> Stored | None:
        if away.is_set():
            await released.wait()
        return await world.load(conversation)

    async with world.process(load=load) as process:
        await process.conversations.accept(send())
        away.set()
        cold = [
            c for c in (f"dm.1.{n}" for n in range(3, 60)) if partition_of(c, 4) == partition_of("dm.1.2", 4)
        ]
        waiting = asyncio.create_task(process.conversations.accept(send(cold[0], members=(1, 2))))
        assert [(await process.conversations.accept(send())).seq for _ in range(3)] == [2, 3, 4]
        assert not waiting.done()
        released.set()
        assert (await waiting).seq == 1


async def test_stamped_numbers_are_right_up_to_two_to_the_53rd(world: World, process: Process) -> None:
    for n, seq in enumerate((0x7F, 0x80, (1 << 14) - 1, 1 << 31, (1 << 32) - 1, (1 << 53) - 2)):
        conversation = f"dm.1.{n}"
        world.stored[conversation] = Stored(epoch=1, seq=seq - 1, members=present(1))
        assert (await process.conversations.accept(send(conversation))).seq == seq
        assert seq in {event.seq for _, event in await stream_of(process.redis, conversation)}
        (envelope,) = await process.conversations.tail(conversation, None, None, 1)
        assert ConversationEvent.FromString(envelope).seq == seq


async def test_heads_are_the_last_positions_and_unknown_conversations_are_left_out(process: Process) -> None:
    for conversation in ("dm.1.2", "dm.1.3", "dm.1.2"):
        await process.conversations.accept(send(conversation, members=(1, 2, 3)))
    heads = await process.conversations.heads(["dm.1.2", "dm.7.8", "dm.1.3"])
    assert heads == {"dm.1.2": Position("dm.1.2", 1, 2), "dm.1.3": Position("dm.1.3", 1, 1)}


async def test_the_hot_tail_is_read_by_seq(process: Process) -> None:
    await asyncio.gather(*(process.conversations.accept(send()) for _ in range(10)))

    async def seqs(after: int | None, before: int | None, limit: int) -> list[int]:
        tail = await process.conversations.tail("dm.1.2", after, before, limit)
        return [ConversationEvent.FromString(envelope).seq for envelope in tail]

    assert await seqs(None, None, 3) == [8, 9, 10]
    assert await seqs(None, 4, 2) == [2, 3]
    assert await seqs(4, None, 3) == [5, 6, 7]
    assert await seqs(4, 8, 2) == [6, 7]
    assert await seqs(10, None, 3) == []


async def test_the_hot_tail_keeps_what_is_not_persisted_and_the_newest_hundred(process: Process) -> None:
    await asyncio.gather(*(process.conversations.accept(send()) for _ in range(250)))
    partition = partition_of("dm.1.2", PARTITIONS)

    async def first() -> int:
        tail = await process.conversations.tail("dm.1.2", 0, None, 1)
        return ConversationEvent.FromString(tail[0]).seq

    await process.conversations.persisted(partition, {"dm.1.2": 20})
    assert await first() == 21
    await process.conversations.persisted(partition, {"dm.1.2": 240, "dm.8.9": 5})
    assert await first() == 151
    await process.conversations.persisted(partition, {"dm.1.2": 3})
    keys = keys_of("dm.1.2", PARTITIONS)
    assert await process.redis.hget(keys.head("dm.1.2"), "persisted") == b"240"


async def test_every_key_of_a_partition_shares_its_hash_tag(process: Process) -> None:
    await asyncio.gather(*(process.conversations.accept(send(f"dm.1.{n}")) for n in range(40)))
    found: Any = await process.redis.keys()
    keys = [key.decode() for key in found]
    assert {key.split(":")[0] for key in keys} == {f"{{p{n}}}" for n in range(PARTITIONS)}
    assert session(7) == "session:{7}"


async def test_a_partition_refuses_when_it_has_too_many_waiting(world: World) -> None:
    async with world.process() as process:
        await process.conversations.accept(send())
        world.server.pause()
        try:
            waiting = [asyncio.create_task(process.conversations.accept(send())) for _ in range(4300)]
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
            refused = [task.exception() for task in done]
            assert {error.reason.name for error in refused if isinstance(error, Error)} == {"OVERLOADED"}
        finally:
            world.server.resume()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        seqs = sorted(one.seq for one in results if isinstance(one, Accepted))
        assert seqs == list(range(2, len(seqs) + 2))
        assert len(seqs) >= 4096
