from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal, cast

import pytest
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from redis.asyncio import Redis

from codegen.runtime.discovery import Etcd
from codegen.runtime.errors import Error
from impl.storage.conversations import Conversations, Stored
from impl.storage.envelope import private_members
from impl.storage.generation import Recovery
from impl.storage.membership import Membership, Overview
from impl.storage.redis_client import connect_redis
from tests import servers

PARTITIONS = 4
LAST_ID = 77
"""Of whatever is the last event that the database holds."""


class World:
    """The servers of one test, and what its database would say."""

    def __init__(self, redis: servers.Redis, etcd: Etcd) -> None:
        self.server = redis
        self.etcd = etcd
        self.stored: dict[str, Stored] = {}
        self.ordinals = [0] * PARTITIONS
        self.stays: dict[tuple[str, int], Membership] = {}
        self.loads = 0
        self.views = 0
        self.away = False

    async def load(self, conversation_id: str) -> Stored | None:
        self.loads += 1
        return self.stored.get(conversation_id)

    async def overviews(self, user_id: int, conversation_ids: Sequence[str]) -> dict[str, Overview]:
        stays = await self.memberships(user_id, conversation_ids)
        seen = {}
        for name in conversation_ids:
            if stored := self.stored.get(name):
                present = {member.user_id: member for member in stored.members}
                pair = private_members(name) or ()
                others = [present.get(user) for user in pair if user != user_id and user_id in pair]
                own = present.get(user_id) or stays.get(name)
                peer = others[0] if others else None
                seen[name] = Overview(
                    name, stored.epoch, stored.seq, LAST_ID, stored.seq, own, peer, stored.room, None
                )
        return seen

    async def memberships(self, user_id: int, conversation_ids: Sequence[str]) -> dict[str, Membership]:
        self.views += 1
        if self.away:
            raise Error(DEPENDENCY_UNAVAILABLE, "the database cannot be reached now")
        found = {name: self.stays.get((name, user_id)) for name in conversation_ids}
        return {name: stay for name, stay in found.items() if stay}

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
                stored=self,
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
