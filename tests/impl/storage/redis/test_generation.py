from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from idiom.v1 import reason_errors
from im.errors.v1 import reason_errors as im_errors
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.discovery import Etcd
from codegen.runtime.errors import Error
from codegen.runtime.streams.partitions import partition_of
from codegen.runtime.streams.redis_pool import redis_client
from impl.storage.conversations import Accepted, Conversations, Stored
from impl.storage.generation import (
    EPOCH_ORDINALS,
    SEQ_JUMP,
    PartitionState,
    Server,
    next_epoch,
    refuse_unsuitable,
)
from impl.storage.keys import ConversationKeys
from impl.storage.membership import Mark, Membership
from impl.storage.redis_client import connect_redis
from tests import servers
from tests.impl.storage.redis.changes import ROOM, create, join
from tests.impl.storage.redis.conftest import PARTITIONS, Process, World
from tests.impl.storage.redis.sends import present, send, stream_of

HERE = partition_of("dm.1.2", PARTITIONS)


def cut_last_write(server: servers.Redis, size: int = 400) -> None:
    """Makes a stopped server forget the end of what it had written."""
    path = max(server.directory.glob("**/*.aof"), key=lambda file: file.stat().st_size)
    os.truncate(path, path.stat().st_size - size)


async def epochs(process: Process) -> list[int]:
    return [
        int(await process.redis.hget(ConversationKeys(p).of_partition.generation, "epoch") or 0)
        for p in range(PARTITIONS)
    ]


def test_the_epoch_stays_unless_something_may_be_missing() -> None:
    base = EPOCH_ORDINALS
    sure, unsure = Server("r", "x", may_have_lost=False), Server("r", "x", may_have_lost=True)
    same, moved = PartitionState("r", "x", 1, base + 5), PartitionState("old", "x", 1, base + 5)
    nothing = PartitionState("", "", 0, 0)
    assert next_epoch(nothing, sure, 0, 0) == 1
    assert next_epoch(same, unsure, base + 5, 1) == 1
    assert next_epoch(moved, sure, base + 5, 1) == 1
    assert next_epoch(moved, unsure, base + 5, 1) == 2
    assert next_epoch(same, sure, base + 6, 1) == 2
    assert next_epoch(nothing, sure, 0, 3) == 4
    assert next_epoch(nothing, sure, 7 * base + 1, 3) == 8
    assert next_epoch(moved, sure, 0, 9) == 1


async def test_a_restart_of_redis_keeps_the_epoch_and_the_numbers_go_on(
    world: World, process: Process
) -> None:
    await process.conversations.accept(send())
    await world.server.kill()
    waiting = asyncio.create_task(process.conversations.accept(send()))
    await world.server.start()
    accepted = await waiting
    assert (accepted.epoch, accepted.seq, accepted.duplicate) == (1, 2, False)
    assert await epochs(process) == [1] * PARTITIONS


async def test_redis_killed_in_mid_traffic_loses_nothing_that_was_accepted(
    world: World, process: Process
) -> None:
    results: list[Accepted] = []
    stop = asyncio.Event()

    async def keep_sending(number: int) -> None:
        while not stop.is_set():
            results.append(await process.conversations.accept(send(f"dm.1.{number}")))

    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(keep_sending(number))
        for _ in range(3):
            before = len(results)
            while len(results) < before + 300:  # noqa: ASYNC110 - nothing announces progress
                await asyncio.sleep(0.01)
            await world.server.kill()
            await world.server.start()
        stop.set()
    assert not any(one.duplicate for one in results)
    stored: list[ConversationEvent] = []
    for number in range(20):
        conversation = f"dm.1.{number}"
        events = [event for _, event in await stream_of(process.redis, conversation)]
        mine = [event for event in events if event.conversation_id == conversation]
        assert [event.seq for event in mine] == list(range(1, len(mine) + 1))
        stored += mine
    assert len({event.id for event in stored}) == len(stored)
    assert {(one.message_id, one.seq) for one in results} <= {(event.id, event.seq) for event in stored}


async def test_losing_everything_under_a_living_process_begins_a_new_epoch(
    world: World, process: Process
) -> None:
    for _ in range(5):
        await process.conversations.accept(send())
    world.stored["dm.1.2"] = Stored(epoch=1, seq=3, members=present(1, 2))
    await process.redis.flushall()

    accepted = await process.conversations.accept(send())
    assert (accepted.epoch, accepted.seq) == (2, 3 + SEQ_JUMP + 1)
    ((ordinal, event),) = await stream_of(process.redis, "dm.1.2")
    assert ordinal == 2 * EPOCH_ORDINALS + 1
    assert (event.epoch, event.seq) == (2, 3 + SEQ_JUMP + 1)


async def test_an_end_of_the_log_that_a_living_process_saw_is_missed(world: World, process: Process) -> None:
    for _ in range(5):
        await process.conversations.accept(send())
    await world.server.stop()
    cut_last_write(world.server)
    await world.server.start()

    accepted = await process.conversations.accept(send())
    assert accepted.epoch == 2
    left = [event for _, event in await stream_of(process.redis, "dm.1.2")]
    assert [event.seq for event in left[:-1]] == list(range(1, len(left)))
    assert len(left) < 6
    assert accepted.seq == len(left) - 1 + SEQ_JUMP + 1
    tail = await process.conversations.tail("dm.1.2", None, None, 10)
    assert [ConversationEvent.FromString(e).seq for e in tail] == [event.seq for event in left]


async def test_a_repetition_or_refusal_in_a_new_epoch_moves_no_head(world: World, process: Process) -> None:
    first = await process.conversations.accept(send(client_id="first"))
    for _ in range(5):
        await process.conversations.accept(send())
    await world.server.stop()
    cut_last_write(world.server)
    await world.server.start()

    again = await process.conversations.accept(send(client_id="first"))
    with pytest.raises(Error) as caught:
        await process.conversations.accept(send(sender=9))
    assert caught.value.reason is im_errors.NOT_A_MEMBER
    assert (again.epoch, again.seq) == (first.epoch, first.seq)
    assert max(await epochs(process)) == 2
    left = [event for _, event in await stream_of(process.redis, "dm.1.2")]
    head = (await process.conversations.heads(["dm.1.2"]))["dm.1.2"]
    assert (head.epoch, head.seq) == (left[-1].epoch, left[-1].seq)


async def test_an_end_of_the_log_that_only_the_database_saw_is_missed(world: World) -> None:
    async with world.process() as process:
        for _ in range(5):
            await process.conversations.accept(send())
    world.ordinals[HERE] = EPOCH_ORDINALS + 5
    world.stored["dm.1.2"] = Stored(epoch=1, seq=5, members=present(1, 2))
    await world.server.stop()
    cut_last_write(world.server)
    await world.server.start()
    async with world.process() as process:
        accepted = await process.conversations.accept(send())
        assert (accepted.epoch, accepted.seq) == (2, 5 + SEQ_JUMP + 1)
        assert [e == 2 for e in await epochs(process)] == [p == HERE for p in range(PARTITIONS)]


async def test_an_empty_redis_beside_a_recorded_epoch_does_not_begin_with_the_first_one(world: World) -> None:
    async with world.process() as process:
        await process.conversations.accept(send())
        await process.redis.flushall()
    async with world.process() as process:
        assert (await process.conversations.accept(send())).epoch == 2


async def test_a_conversation_that_the_database_knows_from_a_later_epoch_moves_the_partition_on(
    world: World, process: Process
) -> None:
    world.stored["dm.1.2"] = Stored(epoch=5, seq=9, members=present(1, 2))
    accepted = await process.conversations.accept(send())
    assert accepted.epoch > 5


async def test_the_lag_of_a_group_survives_a_new_epoch(process: Process) -> None:
    for _ in range(5):
        await process.conversations.accept(send())
    keys = ConversationKeys(HERE).of_partition
    await process.redis.hset(keys.counters, "acked:push", EPOCH_ORDINALS + 3)
    process.recovery.saw(HERE, EPOCH_ORDINALS + 100)
    assert (await process.conversations.accept(send())).epoch == 2
    counters: Any = await process.redis.hgetall(keys.counters)
    assert int(counters[b"accepted"]) - int(counters[b"acked:push"]) == 3


async def test_many_processes_that_meet_a_new_server_recover_it_once(world: World) -> None:
    processes = [world.process() for _ in range(4)]
    entered = [await process.__aenter__() for process in processes]
    try:
        await asyncio.gather(*(p.conversations.accept(send(f"dm.1.{n}")) for p in entered for n in range(20)))
        assert await epochs(entered[0]) == [1] * PARTITIONS
    finally:
        for process in processes:
            await process.__aexit__(None, None, None)


async def test_while_redis_is_away_a_send_fails_in_time_and_says_so(world: World) -> None:
    async with world.process(patience=0.5) as process:
        await process.conversations.accept(send())
        await world.server.kill()
        began = time.monotonic()
        with pytest.raises(Error) as refused:
            await process.conversations.accept(send())
        assert refused.value.reason == reason_errors.DEPENDENCY_UNAVAILABLE
        assert time.monotonic() - began < 4.5
        for read in (
            process.conversations.heads(["dm.1.2"]),
            process.conversations.tail("dm.1.2", None, None, 1),
            process.conversations.recent(1, 1),
            process.conversations.touch([(1, "a", 1)]),
            process.conversations.persisted(0, {"a": 1}),
            process.conversations.overview(1, ["dm.1.2"]),
            process.conversations.room("room.1"),
            process.conversations.roster("room.1", "", 1),
            process.conversations.room_members(["room.1"], 1),
            process.conversations.durable(["dm.1.2"]),
            process.conversations.mark([Mark("dm.1.2", 2, 1, 1)]),
            process.conversations.change(join(1, 2)),
            process.conversations.rooms_of(1),
            process.conversations.update_rooms([(1, "room.1")], []),
            process.conversations.room_counts([1]),
            process.conversations.recent_since([1], 1),
            process.conversations.reserve_room(1, "x", 1, b"x"),
        ):
            with pytest.raises(Error) as refused:
                await read
            assert refused.value.reason == reason_errors.DEPENDENCY_UNAVAILABLE


async def test_a_redis_that_hangs_does_not_hold_a_send_for_ever(world: World) -> None:
    async with world.process(patience=0.5) as process:
        await process.conversations.accept(send())
        world.server.pause()
        try:
            with pytest.raises(Error) as refused:
                await process.conversations.accept(send(client_id="x"))
        finally:
            world.server.resume()
        assert refused.value.reason == reason_errors.DEPENDENCY_UNAVAILABLE
        again = await process.conversations.accept(send(client_id="x"))
        assert again.seq == 2


async def test_a_change_whose_answer_was_lost_happens_once(world: World) -> None:
    async with world.process(patience=0.5) as process:
        await process.conversations.change(create())
        coming = join(1, 2)
        world.server.pause()
        try:
            with pytest.raises(Error) as refused:
                await process.conversations.change(coming)
        finally:
            world.server.resume()
        assert refused.value.reason == reason_errors.DEPENDENCY_UNAVAILABLE
        again = await process.conversations.change(coming)
        assert (again.seq, again.target) == (2, Membership(2, joined_seq=2, delivered_seq=1, read_seq=1))
        events = [event.seq for _, event in await stream_of(process.redis, ROOM) if event.HasField("room")]
        assert events == [1, 2]


async def test_a_restart_of_redis_in_mid_change_is_not_seen(world: World, process: Process) -> None:
    await process.conversations.change(create())
    await world.server.kill()
    waiting = [asyncio.create_task(process.conversations.change(join(1, user))) for user in range(2, 20)]
    await world.server.start()
    changed = [await one for one in waiting]
    assert [one.seq for one in changed] == list(range(2, 20))
    ((size, _),) = (await process.conversations.room_members([ROOM], 0)).values()
    assert size == 19


@asynccontextmanager
async def configured(etcd: servers.Etcd, *config: str) -> AsyncIterator[Conversations]:
    async with (
        servers.redis_server() as server,
        Etcd([etcd.endpoint], "/test") as client,
        redis_client(server.url) as plain,
    ):
        await plain.config_set(*config)
        world = World(server, client)
        recovery = world.recovery()
        async with (
            connect_redis(server.url, recovery) as redis,
            Conversations(redis, PARTITIONS, world.load, recovery, patience=0.5) as conversations,
        ):
            yield conversations


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("maxmemory-policy", "allkeys-lru", "set maxmemory-policy to noeviction"),
        ("appendonly", "no", "set appendonly to yes"),
    ],
)
async def test_a_server_that_would_lose_messages_is_refused(
    etcd: servers.Etcd, name: str, value: str, advice: str
) -> None:
    async with configured(etcd, name, value) as conversations:
        with pytest.raises(Error) as refused:
            await conversations.heads(["dm.1.2"])
        assert advice in refused.value.message
        with pytest.raises(Error) as refused:
            await conversations.accept(send())
        assert advice in refused.value.message


async def test_after_a_restart_a_server_that_syncs_seldom_begins_a_new_epoch(
    world: World, process: Process
) -> None:
    await process.conversations.accept(send())
    await world.server.kill()
    await world.server.start()
    async with redis_client(world.server.url) as plain:
        await plain.config_set("appendfsync", "everysec")
    assert (await process.conversations.accept(send())).epoch == 2


def test_what_info_leaves_out_counts_as_unsuitable() -> None:
    with pytest.raises(Error):
        refuse_unsuitable({})
    refuse_unsuitable({"maxmemory_policy": "noeviction", "aof_enabled": "1"})


async def test_a_cancelled_check_leaves_no_unchecked_connection(world: World) -> None:
    async with world.process() as process:
        for delay in range(12):
            await process.redis.connection_pool.disconnect()
            asking = asyncio.create_task(process.conversations.heads(["dm.1.2"]))
            for _ in range(delay):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
        await process.redis.flushall()
        await process.redis.connection_pool.disconnect()
        assert await process.conversations.heads(["dm.1.2"]) == {}
        assert min(await epochs(process)) >= 2
