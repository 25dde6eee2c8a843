from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal, cast

import pytest
from redis.asyncio import Redis

from codegen.runtime.discovery import Etcd
from impl.storage.conversations import Conversations, Stored
from impl.storage.generation import Recovery
from impl.storage.membership import Membership
from impl.storage.redis_client import connect_redis
from tests import servers

PARTITIONS = 4


class World:
    """The servers of one test, and what its database would say."""

    def __init__(self, redis: servers.Redis, etcd: Etcd) -> None:
        self.server = redis
        self.etcd = etcd
        self.stored: dict[str, Stored] = {}
        self.ordinals = [0] * PARTITIONS
        self.memberships: dict[tuple[str, int], Membership] = {}
        self.loads = 0

    async def load(self, conversation_id: str) -> Stored | None:
        self.loads += 1
        return self.stored.get(conversation_id)

    async def load_membership(self, conversation_id: str, user_id: int) -> Membership | None:
        self.loads += 1
        return self.memberships.get((conversation_id, user_id))

    async def ordinal(self, partition: int) -> int:
        return self.ordinals[partition]

    def recovery(self) -> Recovery:
        return Recovery(self.server.url, self.etcd, PARTITIONS, self.ordinal)

    @asynccontextmanager
    async def process(
        self, *, patience: float = 10.0, load: Callable[[str], Awaitable[Stored | None]] | None = None
    ) -> AsyncIterator[Process]:
        """What one process of the logic tier holds."""
        recovery = self.recovery()
        async with AsyncExitStack() as stack:
            redis = await stack.enter_async_context(connect_redis(self.server.url, recovery))
            conversations = Conversations(
                redis,
                PARTITIONS,
                load or self.load,
                recovery,
                load_membership=self.load_membership,
                patience=patience,
            )
            await stack.enter_async_context(conversations)
            yield Process(redis, conversations, recovery)


class Process:
    def __init__(self, redis: Redis, conversations: Conversations, recovery: Recovery) -> None:
        self.redis = redis
        self.conversations = conversations
        self.recovery = recovery


@pytest.fixture(params=["valkey", "redis"])
async def world(request: pytest.FixtureRequest, etcd: servers.Etcd) -> AsyncIterator[World]:
    binary = cast("Literal['valkey', 'redis']", request.param)
    async with servers.redis_server(binary) as redis, Etcd([etcd.endpoint], "/test") as client:
        yield World(redis, client)


@pytest.fixture
async def process(world: World) -> AsyncIterator[Process]:
    async with world.process() as process:
        yield process
