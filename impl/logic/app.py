"""Composition root of the logic tier."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from typing import TypeVar

from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from im.connect.v1.delivery_service_rpc import DELIVERY_SERVICE
from im.logic.v1.auth_service_rpc import AUTH_SERVICE, AuthService
from im.logic.v1.connection_service_rpc import CONNECTION_SERVICE, ConnectionService
from im.logic.v1.conversation_service_rpc import CONVERSATION_SERVICE, ConversationService
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE, MessageService
from im.logic.v1.room_service_rpc import ROOM_SERVICE, RoomService
from im.logic.v1.user_service_rpc import USER_SERVICE, UserService
from im.stream.v1.conversation_event_stream import CONVERSATION_EVENT

from codegen.runtime.discovery import Etcd, Instance, Instances, register
from codegen.runtime.errors import Error
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.lifecycle import serve_until
from codegen.runtime.method import Service
from codegen.runtime.pipeline import Pipeline
from impl.logic.accounts import Accounts
from impl.logic.auth import Auth, Tokens
from impl.logic.connections import ConnectionDirectory
from impl.logic.conversations import ConversationList
from impl.logic.durability import Durability
from impl.logic.messages import MessageDesk
from impl.logic.passwords import Passwords
from impl.logic.profiles import Profiles
from impl.logic.refresh_tokens import RefreshTokens
from impl.logic.rooms import RoomDirectory, RoomLimits
from impl.logic.sweep import UsedTokenSweep
from impl.logic.users import UserDirectory
from impl.logic.workers import Ids
from impl.settings import Settings
from impl.storage.conversations import Conversations
from impl.storage.database import Database
from impl.storage.deployment import agreed_partitions
from impl.storage.envelope import private_id
from impl.storage.generation import Recovery
from impl.storage.logins import Logins
from impl.storage.messages import Messages
from impl.storage.redis_client import connect_redis
from impl.storage.users import Users

TARGET = "logic"
_BOOT_BYTES = 8
_START_SECONDS = 60.0
_RETRY_SECONDS = 0.5

T = TypeVar("T")
Served = tuple[Service, object]
"""A service and what implements it."""

_logger = logging.getLogger(__name__)


async def run(settings: Settings, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Serves until `stop` is set and every call has ended.

    Waits at the start for etcd, Redis and the database; says so, and gives up after a minute.

    Args:
        settings: of this process.
        ready: called once it serves and is registered.
        stop: set from outside.
    """
    await serve_until(stop, ready, lambda begin: _serve(settings, begin, stop))


async def _serve(settings: Settings, ready: Callable[[], None], stop: asyncio.Event) -> None:
    async with AsyncExitStack() as stack:
        etcd = await stack.enter_async_context(Etcd(settings.effective_etcd_endpoints, settings.etcd_prefix))
        boot_id = secrets.token_hex(_BOOT_BYTES)
        name = settings.instance or f"{TARGET}-1"
        instance = Instance(TARGET, name, boot_id, "")
        services = await _services(stack, settings, etcd, instance)
        port = await stack.enter_async_context(_server(settings, services))
        here = replace(instance, address=f"{settings.internal_host}:{port}")
        await stack.enter_async_context(register(etcd, here, settings.lease_seconds))
        _logger.info("calls at %s", here.address)
        ready()
        await stop.wait()


@dataclass(frozen=True, slots=True)
class Stores:
    """What several services use."""

    users: Users
    messages: Messages
    conversations: Conversations
    ids: Ids


async def _services(
    stack: AsyncExitStack, settings: Settings, etcd: Etcd, instance: Instance
) -> Sequence[Served]:
    database = await stack.enter_async_context(Database(settings.effective_database_url))
    await _patiently("the database", database.check)
    messages = Messages(database)
    conversations = await _conversations(stack, settings, etcd, messages)
    ids = await stack.enter_async_context(Ids(etcd, instance, messages.is_empty))
    stores = Stores(Users(database), messages, conversations, ids)
    connect = await stack.enter_async_context(Instances(etcd, DELIVERY_SERVICE.target))
    connections: ConnectionService = ConnectionDirectory(connect, settings.public_connect_url)
    return (
        *await _of_accounts(stack, settings, stores, Logins(database)),
        *await _of_conversations(stack, settings, stores),
        (CONNECTION_SERVICE, connections),
    )


async def _of_accounts(
    stack: AsyncExitStack, settings: Settings, stores: Stores, logins: Logins
) -> Sequence[Served]:
    passwords = await stack.enter_async_context(Passwords())
    tokens = Tokens(_user_tokens(settings), _refresh_tokens(settings))
    await stack.enter_async_context(UsedTokenSweep(logins, tokens.refresh.milliseconds))
    auth: AuthService = Auth(stores.users, logins, passwords, tokens, stores.ids)
    directory: UserService = UserDirectory(stores.users)
    return (AUTH_SERVICE, auth), (USER_SERVICE, directory)


async def _of_conversations(stack: AsyncExitStack, settings: Settings, stores: Stores) -> Sequence[Served]:
    messages, conversations, ids = stores.messages, stores.conversations, stores.ids
    accounts, profiles = Accounts(stores.users), Profiles(stores.users)
    durability = await stack.enter_async_context(Durability(conversations))
    limits = RoomLimits(settings.room_members, settings.user_rooms)
    desk: MessageService = MessageDesk(accounts, ids, conversations, messages, durability)
    listing: ConversationService = ConversationList(accounts, profiles, conversations, messages)
    rooms: RoomService = RoomDirectory(accounts, profiles, ids, conversations, limits)
    return (MESSAGE_SERVICE, desk), (CONVERSATION_SERVICE, listing), (ROOM_SERVICE, rooms)


async def _conversations(
    stack: AsyncExitStack, settings: Settings, etcd: Etcd, messages: Messages
) -> Conversations:
    url = settings.effective_redis_url
    partitions = await _patiently("etcd", lambda: agreed_partitions(etcd, CONVERSATION_EVENT.partitions))
    recovery = Recovery(url, etcd, partitions, messages.ordinal)
    redis = await stack.enter_async_context(connect_redis(url, recovery))
    conversations = Conversations(redis, partitions, messages.stored, recovery, stored=messages)
    await _patiently("Redis", lambda: conversations.heads([private_id(1, 1)]))
    return await stack.enter_async_context(conversations)


def _server(
    settings: Settings, services: Sequence[tuple[Service, object]]
) -> AbstractAsyncContextManager[int]:
    authenticator = Authenticator(_user_tokens(settings), ServiceTokens(settings.service_key(), TARGET))
    address = f"{settings.internal_host}:{settings.logic_grpc_port}"
    return serve_grpc(address, services, Pipeline(authenticator), drain=settings.drain_seconds)


def _user_tokens(settings: Settings) -> UserTokens:
    return UserTokens(settings.user_key(), settings.access_token_seconds)


def _refresh_tokens(settings: Settings) -> RefreshTokens:
    return RefreshTokens(settings.user_key(), settings.refresh_token_seconds)


async def _patiently(what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Repeats an attempt while its dependency is away, for a minute."""
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            return await attempt()
        except Error as error:
            if error.reason is not DEPENDENCY_UNAVAILABLE or time.monotonic() > end:
                raise
            _logger.warning("waiting for %s: %s", what, error.message)
        await asyncio.sleep(_RETRY_SECONDS)
