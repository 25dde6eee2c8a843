"""The logic tier's parts on real servers. Servers live for a module, everything else for a test."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from im.logic.v1.auth_service_pb2 import RegisterRequest
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.context import Context, Identity, Wire
from codegen.runtime.discovery import Etcd, Instance
from codegen.runtime.errors import Error, Reason
from codegen.runtime.identity import UserTokens
from impl.logic.accounts import Accounts
from impl.logic.auth import Auth, Tokens
from impl.logic.conversations import ConversationList
from impl.logic.durability import Durability
from impl.logic.messages import MessageDesk
from impl.logic.passwords import Passwords
from impl.logic.profiles import Profiles
from impl.logic.refresh_tokens import RefreshTokens
from impl.logic.rooms import RoomDirectory, RoomLimits
from impl.logic.users import UserDirectory
from impl.logic.workers import Ids
from impl.storage.conversations import Conversations
from impl.storage.database import Database
from impl.storage.generation import Recovery
from impl.storage.keys import ConversationKeys
from impl.storage.logins import Logins
from impl.storage.messages import Messages
from impl.storage.migration import migrate
from impl.storage.redis_client import connect_redis
from impl.storage.users import Users
from tests import servers

PARTITIONS = 4
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
TOKENS = UserTokens(b"k" * 32, 60)
REFRESH = RefreshTokens(b"k" * 32, 3600)
LIMITS = RoomLimits(members_of_room=1000, rooms_of_user=1000)


@pytest.fixture(scope="module")
def etcd_process() -> Iterator[servers.Etcd]:
    with asyncio.Runner() as runner:
        context = servers.etcd_server()
        yield runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def redis_process() -> Iterator[servers.Redis]:
    with asyncio.Runner() as runner:
        context = servers.redis_server()
        yield runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


@pytest.fixture
async def keys(etcd_process: servers.Etcd) -> AsyncIterator[Etcd]:
    """An etcd without any key, under a prefix of the test's own."""
    async with Etcd((etcd_process.endpoint,), f"/{secrets.token_hex(4)}") as etcd:
        yield etcd


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'idiom.sqlite3'}"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrate, url)
    async with Database(url) as opened:
        yield opened


def logic(name: str = "logic-1") -> Instance:
    """An instance that has just booted."""
    return Instance("logic", name, secrets.token_hex(4), "127.0.0.1:1")


@dataclass(frozen=True)
class Tier:
    """The parts that calls go through."""

    users: Users
    logins: Logins
    messages: Messages
    conversations: Conversations
    auth: Auth
    directory: UserDirectory
    desk: MessageDesk
    listing: ConversationList
    rooms: RoomDirectory


@pytest.fixture
async def tier(keys: Etcd, redis_process: servers.Redis, database: Database) -> AsyncIterator[Tier]:
    users, messages = Users(database), Messages(database)
    async with AsyncExitStack() as stack:
        recovery = Recovery(redis_process.url, keys, PARTITIONS, messages.ordinal)
        redis = await stack.enter_async_context(connect_redis(redis_process.url, recovery))
        await redis.flushall()
        await redis.connection_pool.disconnect()
        conversations = Conversations(
            redis, PARTITIONS, messages.stored, recovery, stored=messages, patience=0.5
        )
        await stack.enter_async_context(conversations)
        durability = await stack.enter_async_context(Durability(conversations))
        ids = await stack.enter_async_context(Ids(keys, logic(), messages.is_empty))
        passwords = await stack.enter_async_context(Passwords(CHEAP))
        accounts, profiles, logins = Accounts(users), Profiles(users), Logins(database)
        yield Tier(
            users,
            logins,
            messages,
            conversations,
            Auth(users, logins, passwords, Tokens(TOKENS, REFRESH), ids),
            UserDirectory(users),
            MessageDesk(accounts, ids, conversations, messages, durability),
            ConversationList(accounts, profiles, conversations, messages),
            RoomDirectory(accounts, profiles, ids, conversations, LIMITS),
        )


async def person(tier: Tier, name: str) -> int:
    """A user of this name, who is new."""
    request = RegisterRequest(username=name, password="password")
    return (await tier.auth.register(request, ANYBODY)).user.id


@pytest.fixture
async def ada(tier: Tier) -> int:
    return await person(tier, "ada")


@pytest.fixture
async def bo(tier: Tier) -> int:
    return await person(tier, "bo")


@pytest.fixture
async def cy(tier: Tier) -> int:
    return await person(tier, "cy")


async def settle(tier: Tier) -> None:
    """Everything accepted so far is stored and noted as stored, as persist does it."""
    for partition in range(PARTITIONS):
        stream = ConversationKeys(partition).of_partition.stream
        entries: Any = await tier.conversations._redis.xrange(stream)
        events = [ConversationEvent.FromString(fields[b"payload"]) for _, fields in entries]
        if events:
            await tier.messages.persist(partition, int(entries[-1][1][b"ordinal"]), events)
            last = {event.conversation_id: event.seq for event in events if event.seq}
            await tier.conversations.persisted(partition, last)


async def forgotten(tier: Tier) -> None:
    """Redis has lost everything."""
    await tier.conversations._redis.flushall()
    await tier.conversations._redis.connection_pool.disconnect()


def as_user(user_id: int | str, session: str = "") -> Context:
    """A call of a user."""
    return Context(Wire.GRPC, Identity(subject=str(user_id), session=session))


def with_token(access_token: str) -> Context:
    """A call with an access token."""
    return Context(Wire.GRPC, TOKENS.verify(access_token))


ANYBODY = Context(Wire.GRPC)


async def refused(reason: Reason, call: Awaitable[object]) -> Error:
    """Awaits a call that must fail for this reason."""
    with pytest.raises(Error) as caught:
        await call
    assert caught.value.reason == reason
    return caught.value
