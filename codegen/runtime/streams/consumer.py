"""Runs the groups of one consumer service."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from codegen.runtime.discovery import Etcd, Instance, Instances, Lease
from codegen.runtime.method import Consumer


class ConsumerRunner:
    """Feeds the groups of a consumer service with the partitions that this instance owns."""

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
        """`redis` must return bytes; `instances` are those of the instance's target."""
        self._redis = redis
        self._etcd = etcd
        self._consumer = consumer
        self._implementation = implementation
        self._instance = instance
        self._instances = instances
        self._lease = lease
        self._partitions = partitions

    async def run(self) -> None:
        """Consumes until `stop`. Cancelling it leaves what is under way to the next owner."""
        raise NotImplementedError

    def stop(self) -> None:
        """Lets `run` finish the batches under way, hand its partitions over, and return."""
        raise NotImplementedError
