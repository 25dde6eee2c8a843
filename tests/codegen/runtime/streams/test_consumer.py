from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
from idiom.v1 import reason_errors
from idiom.v1.runtime_pb2 import Handled, Metadata
from redis.exceptions import ConnectionError as RedisConnectionError

from codegen.runtime.errors import Error
from codegen.runtime.streams.delivery import Delivery
from codegen.runtime.streams.doorbell import Doorbell
from codegen.runtime.streams.fenced_group import NEW, PENDING, Claim, FencedGroup
from codegen.runtime.streams.ownership import assigned
from codegen.runtime.streams.partitions import PartitionKeys
from codegen.runtime.streams.redis_pool import redis_client
from tests.codegen.runtime.streams.conftest import (
    COUNT,
    JOBS,
    OK,
    PARTITIONS,
    Batch,
    Worker,
    World,
    eventually,
)

RETRY = Handled(outcome=Handled.OUTCOME_RETRY, reason="not yet")
PAUSE = Handled(outcome=Handled.OUTCOME_PAUSE, reason="away")
DEAD = Handled(outcome=Handled.OUTCOME_DEAD_LETTER, reason="never")


async def test_every_group_gets_every_entry_once_and_in_order(world: World) -> None:
    worker = Worker()
    await world.append(0, range(100))
    async with world.process("a", worker):
        await asyncio.gather(*(world.append(p, range(100, 400)) for p in range(PARTITIONS)))
        await world.drained()
    assert worker.numbers(0) == list(range(400))
    assert worker.numbers(3) == list(range(100, 400))
    assert len(worker.copied) == 100 + 4 * 300
    assert {d.ordinal for d in worker.counted} == set(range(400))
    assert not any(d.redelivered for d in worker.counted)
    assert max(worker.batches) == 64


async def test_an_entry_reaches_a_waiting_consumer_at_once(world: World) -> None:
    worker = Worker()
    loop = asyncio.get_running_loop()
    async with world.process("a", worker) as process:
        await eventually(lambda: len(process.runner.owned("count")) == PARTITIONS)
        await world.drained()
        delays = []
        for n in range(20):
            began = loop.time()
            await world.append(n % PARTITIONS, [n])
            await eventually(lambda: len(worker.counted) > n)  # noqa: B023 - awaited within the iteration
            delays.append(loop.time() - began)
    assert sorted(delays)[10] < 0.1


async def test_who_waits_looks_now_and_then_however_busy_its_neighbours_are(world: World) -> None:
    doorbell = Doorbell(world.redis, lambda partition: PartitionKeys(JOBS.name, partition).stream)
    await world.append(0, [1])

    async def busy() -> None:
        while True:
            await doorbell.wait(0, "0-0")

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(doorbell.run()), tasks.create_task(busy())]
        async with asyncio.timeout(10):
            await doorbell.wait(1, "99999999999999-0")
        for task in running:
            task.cancel()


async def test_what_failed_comes_again_before_what_follows(world: World) -> None:
    worker = Worker()
    failures = Counter[int]()

    def decide(delivery: Delivery[Metadata]) -> Handled:
        number = int(delivery.event.value)
        failures[number] += 1
        refusals = {3: RETRY, 5: PAUSE, 7: DEAD}
        return refusals[number] if number in refusals and failures[number] < 4 else OK

    worker.decide = decide
    await world.append(1, range(10))
    async with world.process("a", worker):
        await eventually(lambda: len(worker.counted) == 10)
        await world.append(1, range(10, 20))
        await world.drained()
    assert worker.numbers(1) == [0, 1, 2, 4, 6, 8, 9, 3, 5, 7, *range(10, 20)]
    assert [d.redelivered for d in worker.counted[7:10]] == [True] * 3


async def test_a_handler_that_fails_gets_its_entries_one_by_one(world: World) -> None:
    worker = Worker()
    failed = 0

    async def before(batch: Batch) -> None:
        nonlocal failed
        if any(d.event.value == b"3" for d in batch) and failed < 3:
            failed += 1
            raise ZeroDivisionError

    worker.before = before
    await world.append(1, range(6))
    async with world.process("a", worker):
        await world.drained()
    assert worker.numbers(1) == list(range(6))
    assert worker.batches == [6, 1, 1, 1, 1, 1, 1, 1, 1]


async def test_an_entry_that_cannot_be_decoded_is_set_aside(world: World) -> None:
    worker = Worker()
    keys = PartitionKeys(JOBS.name, 2)
    await world.append(2, [1])
    await world.redis.hincrby(keys.counters, "accepted", 1)
    await world.redis.xadd(keys.stream, {"payload": b"\xff\xff", "ordinal": 2})
    await world.append(2, [3])
    async with world.process("a", worker):
        await world.drained()
    assert worker.numbers(2) == [1, 3]
    dead: Any = await world.redis.xrange(keys.dead)
    assert sorted((fields[b"group"], fields[b"payload"]) for _, fields in dead) == [
        (b"copy", b"\xff\xff"),
        (b"count", b"\xff\xff"),
    ]


async def test_a_crash_in_mid_batch_redelivers_the_batch_singly(world: World) -> None:
    worker, heir = Worker(), Worker()
    reached = asyncio.Event()

    async def before(_: Batch) -> None:
        reached.set()
        await asyncio.Event().wait()

    worker.before = before
    async with world.process("a", worker) as process:
        await world.append(0, range(5))
        await reached.wait()
        await process.crash()
    async with world.process("b", heir):
        await world.append(0, range(5, 8))
        await world.drained()
    assert heir.numbers(0) == list(range(8))
    assert [d.redelivered for d in heir.counted] == [True] * 5 + [False] * 3
    assert heir.batches[:5] == [1] * 5


async def test_a_former_owner_can_neither_read_nor_acknowledge(world: World) -> None:
    async with redis_client(world.server.url) as redis:
        group = FencedGroup(redis, JOBS, COUNT)
        await world.append(0, range(3))
        former = await group.acquire(0, 10)
        ids = [entry_id.decode() for entry_id, _ in await group.read(former, NEW, 2)]
        later = await group.acquire(0, 5)
        assert (former.token, later.token) == (10, 11)
        for forbidden in (
            group.read(former, NEW, 2),
            group.acknowledge(former, [ids[0]]),
        ):
            with pytest.raises(Error) as refused:
                await forbidden
            assert refused.value.reason == reason_errors.FENCED
        assert await _ordinals(group, later, PENDING) == [0, 1]
        assert await _ordinals(group, later, NEW) == [2]
        assert await group.acknowledge(later, ids) == 2


async def _ordinals(group: FencedGroup, claim: Claim, after: str) -> list[int]:
    found = await group.read(claim, after, 10)
    return [int(fields[3]) for _, fields in found if fields]


async def test_runners_share_the_partitions_and_hand_over_without_reordering(world: World) -> None:
    workers = {name: Worker() for name in "abc"}
    everything: list[Delivery[Metadata]] = []
    for worker in workers.values():

        async def before(batch: Batch) -> None:
            everything.extend(batch)
            await asyncio.sleep(0.001)

        worker.before = before
    done = asyncio.Event()
    sent = 0

    async def produce() -> None:
        nonlocal sent
        while not done.is_set():
            await asyncio.gather(*(world.append(p, range(sent, sent + 5)) for p in range(PARTITIONS)))
            sent += 5
            await asyncio.sleep(0.005)

    async with AsyncExitStack() as stack:
        producing = asyncio.create_task(produce())
        leaving = await stack.enter_async_context(AsyncExitStack())
        a = await leaving.enter_async_context(world.process("a", workers["a"]))
        await eventually(lambda: len(a.runner.owned("count")) == PARTITIONS)
        b = await stack.enter_async_context(world.process("b", workers["b"]))
        c = await stack.enter_async_context(world.process("c", workers["c"]))

        def shared() -> bool:
            owned = [set(process.runner.owned("count")) for process in (a, b, c)]
            return sum(map(len, owned)) == PARTITIONS and len(owned[0]) < PARTITIONS

        await eventually(shared)
        await asyncio.sleep(0.2)
        await a.stop()
        await leaving.aclose()
        await eventually(lambda: len(b.runner.owned("count")) + len(c.runner.owned("count")) == PARTITIONS)
        await asyncio.sleep(0.2)
        done.set()
        await producing
        await world.drained()
    for partition in range(PARTITIONS):
        numbers = [int(d.event.value) for d in everything if d.partition == partition]
        assert numbers == list(range(sent))
        tokens = [d.token for d in everything if d.partition == partition]
        assert tokens == sorted(tokens)


async def test_the_partitions_of_a_process_that_died_are_taken_over_when_its_lease_ends(world: World) -> None:
    worker, heir = Worker(), Worker()
    async with AsyncExitStack() as stack:
        b = await stack.enter_async_context(world.process("b", heir))
        async with world.process("a", worker) as process:
            await eventually(lambda: 0 < len(process.runner.owned("count")) < PARTITIONS)
            await process.crash()
        await eventually(lambda: len(b.runner.owned("count")) == PARTITIONS)
        await asyncio.gather(*(world.append(p, range(5)) for p in range(PARTITIONS)))
        await world.drained()


async def test_a_redis_killed_in_mid_traffic_loses_nothing_that_was_appended(world: World) -> None:
    worker = Worker()
    appended = dict.fromkeys(range(PARTITIONS), 0)

    async def produce(partition: int) -> None:
        while appended[partition] < 400:
            try:
                await world.append(partition, [appended[partition]])
            except (RedisConnectionError, OSError):
                await asyncio.sleep(0.02)
                # Whether it was appended is unknown: ask.
                await eventually(lambda: found(partition))
            else:
                appended[partition] += 1

    async def found(partition: int) -> bool:
        try:
            last: Any = await world.redis.xrevrange(PartitionKeys(JOBS.name, partition).stream, count=1)
        except (RedisConnectionError, OSError):
            return False
        appended[partition] = int(last[0][1][b"ordinal"]) + 1 if last else 0
        return True

    async with world.process("a", worker):
        producing = [asyncio.create_task(produce(p)) for p in range(PARTITIONS)]
        for threshold in (80, 160, 240, 320):
            await eventually(lambda: min(appended.values()) > threshold)  # noqa: B023
            await world.server.kill()
            await world.server.start()
        await asyncio.gather(*producing)
        await world.drained()
    for partition in range(PARTITIONS):
        numbers = worker.numbers(partition)
        assert list(dict.fromkeys(numbers)) == list(range(400))


async def test_each_worker_says_once_that_redis_is_away(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "codegen.runtime.streams.worker")

    def told(level: int) -> int:
        away = [r for r in caplog.records if "Redis cannot be used" in r.message]
        return sum(record.levelno == level for record in away)

    async with world.process("a", Worker()) as process:
        await eventually(lambda: len(process.runner.owned("count") + process.runner.owned("copy")) == 8)
        await world.server.kill()
        await eventually(lambda: told(logging.DEBUG) > 2 * 8)
        assert told(logging.WARNING) == 8
        await world.server.start()


async def test_without_etcd_owners_go_on_and_afterwards_nothing_is_lost(world: World) -> None:
    worker = Worker()
    async with world.process("a", worker) as process:
        await eventually(lambda: len(process.runner.owned("count")) == PARTITIONS)
        await world.etcd_server.kill()
        await asyncio.gather(*(world.append(p, range(50)) for p in range(PARTITIONS)))
        await world.drained()
        await world.etcd_server.start()
        await world.etcd_server.wipe()
        tokens = {d.partition: d.token for d in worker.counted}

        async def acquired_again() -> bool:
            entries = await world.etcd.list("owners/jobs/count/")
            return len(entries) == PARTITIONS

        await eventually(acquired_again)
        await eventually(lambda: len(process.runner.owned("count")) == PARTITIONS)
        await asyncio.gather(*(world.append(p, range(50, 60)) for p in range(PARTITIONS)))
        await world.drained()
        assert worker.numbers(0) == list(range(60))
        assert all(d.token >= tokens[d.partition] for d in worker.counted)


async def test_a_key_made_while_redis_was_away_does_not_keep_the_partition_from_another(world: World) -> None:
    first = "owners/jobs/count/0"
    heir = next(name for name in map(str, range(100)) if assigned(["a", name], first) == name)
    await world.server.kill()
    async with world.process("a", Worker()):

        async def has_key() -> bool:
            return await world.etcd.get(first) is not None

        await eventually(has_key)
        async with world.process(heir, Worker()) as process:
            await world.server.start()
            await eventually(lambda: 0 in process.runner.owned("count"))
            await asyncio.gather(*(world.append(p, range(5)) for p in range(PARTITIONS)))
            await world.drained()


async def test_a_stream_that_was_wiped_under_its_owner_is_served_again(world: World) -> None:
    worker = Worker()
    async with world.process("a", worker):
        await world.append(0, range(5))
        await world.drained()
        await world.redis.flushall()
        await world.append(0, range(5, 10))
        await eventually(lambda: len(worker.counted) == 10)
        await world.drained("count")
        tokens = [d.token for d in worker.counted]
        assert tokens == sorted(tokens)
        assert tokens[0] < tokens[-1]


async def test_a_stream_is_trimmed_behind_all_groups_and_never_before_what_is_pending(world: World) -> None:
    worker = Worker()
    held = asyncio.Event()

    async def before(batch: Batch) -> None:
        if any(int(d.event.value) >= 300 for d in batch):
            await held.wait()

    worker.before = before
    stream = PartitionKeys(JOBS.name, 0).stream

    async def first() -> int:
        oldest: Any = await world.redis.xrange(stream, count=1)
        return int(oldest[0][1][b"ordinal"])

    async with world.process("a", worker):
        await world.append(0, range(1000))
        await eventually(lambda: len(worker.copied) == 1000)
        assert 100 < await first() <= 300
        held.set()
        await world.drained()
        await eventually(lambda: len(worker.counted) == 1000)
    assert 1000 - 10 - 128 - 64 <= await first() <= 1000 - 10
