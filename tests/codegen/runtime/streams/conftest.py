from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Literal, cast

import pytest
from idiom.v1.runtime_pb2 import Handled, Metadata
from redis.asyncio import Redis

from codegen.runtime.discovery import Etcd, Instance, Instances, register
from codegen.runtime.method import Consumer, Group, Stream
from codegen.runtime.streams.consumer import ConsumerRunner
from codegen.runtime.streams.delivery import Delivery
from codegen.runtime.streams.partitions import PartitionKeys
from codegen.runtime.streams.redis_pool import redis_client
from tests import servers

PARTITIONS = 4
JOBS = Stream(
    name="jobs", message=Metadata, order_by="key", partitions=PARTITIONS, retain=10, groups=("count", "copy")
)
COUNT = Group(name="count", attribute="count", batch=64, backoff=0.01, max_backoff=0.05)
COPY = Group(name="copy", attribute="copy", batch=64, backoff=0.01, max_backoff=0.05)
JOB_CONSUMER = Consumer(name="test.JobConsumer", stream=JOBS, groups=(COUNT, COPY))

Batch = Sequence[Delivery[Metadata]]
OK = Handled()


async def eventually(condition: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while True:
            result = condition()
            if await result if isinstance(result, Awaitable) else result:
                return
            await asyncio.sleep(0.01)


class Worker:
    """An implementation that remembers what it did."""

    def __init__(self) -> None:
        self.counted: list[Delivery[Metadata]] = []
        self.copied: list[Delivery[Metadata]] = []
        self.batches: list[int] = []
        self.decide: Callable[[Delivery[Metadata]], Handled] = lambda _: OK
        self.before: Callable[[Batch], Awaitable[None]] | None = None

    async def count(self, batch: Batch) -> Sequence[Handled]:
        self.batches.append(len(batch))
        if self.before:
            await self.before(batch)
        outcomes = [self.decide(delivery) for delivery in batch]
        self.counted += [
            d for d, h in zip(batch, outcomes, strict=True) if h.outcome == Handled.OUTCOME_UNSPECIFIED
        ]
        return outcomes

    async def copy(self, batch: Batch) -> Sequence[Handled]:
        self.copied += batch
        return [OK] * len(batch)

    def numbers(self, partition: int) -> list[int]:
        return [int(d.event.value) for d in self.counted if d.partition == partition]


class World:
    def __init__(self, server: servers.Redis, redis: Redis, etcd_server: servers.Etcd, etcd: Etcd) -> None:
        self.server = server
        self.redis = redis
        self.etcd_server = etcd_server
        self.etcd = etcd

    async def append(self, partition: int, numbers: Iterable[int]) -> None:
        keys = PartitionKeys(JOBS.name, partition)
        pipeline = self.redis.pipeline(transaction=True)
        for number in numbers:
            payload = Metadata(key="k", value=str(number).encode()).SerializeToString()
            pipeline.hincrby(keys.counters, "accepted", 1)
            pipeline.xadd(keys.stream, {"payload": payload, "ordinal": number})
        await pipeline.execute()

    async def lag(self, partition: int, group: str = "count") -> int:
        counters = await self.redis.hgetall(PartitionKeys(JOBS.name, partition).counters)
        return int(counters.get(b"accepted", 0)) - int(counters.get(f"acked:{group}".encode(), 0))

    async def drained(self, *groups: str) -> None:
        async def empty() -> bool:
            lags = [await self.lag(p, g) for p in range(PARTITIONS) for g in groups or ("count", "copy")]
            return not any(lags)

        await eventually(empty)

    @asynccontextmanager
    async def process(
        self, name: str, worker: Worker, *, seconds: int = 2, consumer: Consumer[Metadata] = JOB_CONSUMER
    ) -> AsyncIterator[Process]:
        instance = Instance("jobs", name, f"boot-{name}-{id(worker)}", "127.0.0.1:1")
        async with (
            redis_client(self.server.url) as redis,
            Instances(self.etcd, "jobs") as instances,
            register(self.etcd, instance, seconds) as lease,
        ):
            runner = ConsumerRunner(
                redis,
                self.etcd,
                consumer,
                worker,
                instance=instance,
                instances=instances,
                lease=lease,
                partitions=PARTITIONS,
            )
            task = asyncio.create_task(runner.run())
            try:
                yield Process(runner, task)
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


class Process:
    def __init__(self, runner: ConsumerRunner, task: asyncio.Task[None]) -> None:
        self.runner = runner
        self.task = task

    async def stop(self) -> None:
        self.runner.stop()
        await self.task

    async def crash(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture(params=["valkey", "redis"])
async def world(request: pytest.FixtureRequest, etcd: servers.Etcd) -> AsyncIterator[World]:
    binary = cast("Literal['valkey', 'redis']", request.param)
    async with (
        servers.redis_server(binary) as server,
        redis_client(server.url) as redis,
        Etcd([etcd.endpoint], "/test") as discovery,
    ):
        yield World(server, redis, etcd, discovery)
