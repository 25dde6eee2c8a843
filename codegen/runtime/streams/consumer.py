"""Runs the groups of one consumer service."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Redis

from codegen.runtime.discovery import Etcd, Instance, Instances, Lease
from codegen.runtime.method import Consumer, Group
from codegen.runtime.streams.doorbell import Doorbell
from codegen.runtime.streams.fenced_group import Claim, FencedGroup
from codegen.runtime.streams.ownership import Ownership
from codegen.runtime.streams.worker import PartitionWorker


class ConsumerRunner:
    """Feeds the groups of a consumer service with the partitions that this instance owns.

    Each partition of a group is handled in order, different partitions concurrently. An entry is acknowledged
    after its outcome was OK, so it comes at least once; what is not acknowledged comes again to whoever owns
    the partition then.
    """

    def __init__(  # noqa: PLR0913 - it takes its parts
        self,
        redis: Redis,
        etcd: Etcd,
        consumer: Consumer[Any],
        implementation: object,
        *,
        instance: Instance,
        instances: Instances,
        lease: Lease,
        partitions: int,
    ) -> None:
        """Takes its parts.

        Args:
            redis: returns bytes; its socket timeout is longer than two seconds.
            etcd: holds the owner keys.
            consumer: the generated table.
            implementation: has one method for each group.
            instance: this process, registered under the lease.
            instances: those of this process's target.
            lease: under which the owner keys live.
            partitions: number of partitions of the deployment.
        """
        self._groups: list[_GroupRunner] = []
        for group in consumer.groups:
            fenced = FencedGroup(redis, consumer.stream, group)
            runner = _GroupRunner(redis, fenced, group, implementation)
            runner.ownership = Ownership(
                etcd,
                fenced,
                runner.worker,
                instance=instance,
                instances=instances,
                lease=lease,
                partitions=partitions,
            )
            self._groups.append(runner)

    async def run(self) -> None:
        """Consumes until `stop`. Cancelling it leaves what is under way to the next owner."""
        async with asyncio.TaskGroup() as tasks:
            for group in self._groups:
                tasks.create_task(group.run())

    def stop(self) -> None:
        """Lets `run` finish the batches under way, hand its partitions over, and return."""
        for group in self._groups:
            group.ownership.stop()

    def owned(self, group: str) -> list[int]:
        """Partitions that this process works on now for a group."""
        return next(runner.ownership.owned() for runner in self._groups if runner.name == group)


class _GroupRunner:
    """One group: its doorbell and its workers."""

    ownership: Ownership

    def __init__(self, redis: Redis, fenced: FencedGroup, group: Group, implementation: object) -> None:
        self.name = group.name
        self._fenced = fenced
        self._handle = getattr(implementation, group.attribute)
        self._doorbell = Doorbell(redis, lambda partition: fenced.keys(partition).stream)

    def worker(self, claim: Claim) -> PartitionWorker:
        """The worker of an acquired partition."""
        return PartitionWorker(self._fenced, self._doorbell, claim, self._handle)

    async def run(self) -> None:
        """Works until ownership ends."""
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._doorbell.run())
            await self.ownership.run()
            listening.cancel()
