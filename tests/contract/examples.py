"""For every unary rpc: a request that succeeds, and one that meets a domain error."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from im.logic.v1 import (
    auth_service_pb2,
    connection_service_pb2,
    conversation_service_pb2,
    message_service_pb2,
    user_service_pb2,
)

from codegen.runtime.discovery import Instances
from codegen.runtime.identity import ServiceTokens, UserTokens
from tests.contract.callers import Doors

if TYPE_CHECKING:
    from tests.conftest import System

_names = itertools.count(1)


@dataclass(frozen=True, slots=True)
class World:
    """A running system, two users in it, and keys to mint credentials with."""

    system: System
    doors: Doors
    alice: Any
    """`RegisterResponse` of a user."""
    bob: Any
    users: UserTokens
    services: ServiceTokens
    connects: Instances
    """Live connection gateways."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, the token it needs, and the reason with which it is refused, if it is."""

    message: Message
    token: str | None = None
    reason: str = ""


Maker = Callable[[World], Awaitable[Request]]


@dataclass(frozen=True, slots=True)
class Example:
    """One method."""

    success: Maker
    failure: Maker
    during: Callable[[World], Any] | None = None
    """Context in which the failure happens, if it needs a part to be away."""


def fresh(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{next(_names)}"


def _send(to: int) -> message_service_pb2.SendMessageRequest:
    return message_service_pb2.SendMessageRequest(client_message_id=fresh("c"), to_user_id=to, text="hello")


async def _register(_: World) -> Request:
    return Request(auth_service_pb2.RegisterRequest(username=fresh("user"), password="correct horse"))


async def _register_again(world: World) -> Request:
    name = world.alice.user.username
    return Request(
        auth_service_pb2.RegisterRequest(username=name, password="correct horse"), None, "USERNAME_TAKEN"
    )


async def _login(world: World) -> Request:
    return Request(
        auth_service_pb2.LoginRequest(username=world.alice.user.username, password="correct horse")
    )


async def _login_wrong(world: World) -> Request:
    request = auth_service_pb2.LoginRequest(username=world.alice.user.username, password="wrong")
    return Request(request, None, "WRONG_CREDENTIALS")


async def _me(world: World) -> Request:
    return Request(user_service_pb2.GetMeRequest(), world.alice.access_token)


async def _me_gone(world: World) -> Request:
    token, _ = world.users.issue("4711", "1")
    return Request(user_service_pb2.GetMeRequest(), token, "USER_NOT_FOUND")


async def _user(world: World) -> Request:
    request = user_service_pb2.GetUserRequest(user_id=world.bob.user.id)
    return Request(request, world.alice.access_token)


async def _user_gone(world: World) -> Request:
    return Request(user_service_pb2.GetUserRequest(user_id=4711), world.alice.access_token, "USER_NOT_FOUND")


async def _lookup(world: World) -> Request:
    request = user_service_pb2.LookupUserRequest(username=world.bob.user.username)
    return Request(request, world.alice.access_token)


async def _lookup_nobody(world: World) -> Request:
    request = user_service_pb2.LookupUserRequest(username="nobody-at-all")
    return Request(request, world.alice.access_token, "USER_NOT_FOUND")


async def _send_message(world: World) -> Request:
    return Request(_send(world.bob.user.id), world.alice.access_token)


async def _send_to_nobody(world: World) -> Request:
    return Request(_send(4711), world.alice.access_token, "USER_NOT_FOUND")


def _conversation(world: World) -> str:
    low, high = sorted((world.alice.user.id, world.bob.user.id))
    return f"dm.{low}.{high}"


async def _list(world: World) -> Request:
    request = message_service_pb2.ListMessagesRequest(conversation_id=_conversation(world))
    return Request(request, world.alice.access_token)


async def _list_foreign(world: World) -> Request:
    request = message_service_pb2.ListMessagesRequest(conversation_id="dm.4711.4712")
    return Request(request, world.alice.access_token, "NOT_A_MEMBER")


async def _connection(world: World) -> Request:
    return Request(connection_service_pb2.GetConnectionRequest(), world.alice.access_token)


async def _connection_away(world: World) -> Request:
    return Request(
        connection_service_pb2.GetConnectionRequest(), world.alice.access_token, "NO_CONNECTION_GATEWAY"
    )


@asynccontextmanager
async def _without_connect(world: World) -> AsyncIterator[None]:
    """The only connection gateway stands still until its lease has ended."""
    world.system.kill("connect-1", signal.SIGSTOP)
    try:
        async with asyncio.timeout(30):
            while world.connects.all():
                await world.connects.changed()
        yield
    finally:
        world.system.kill("connect-1", signal.SIGCONT)


async def _heads(world: World) -> Request:
    request = conversation_service_pb2.ListHeadsRequest(user_id=world.alice.user.id)
    return Request(request, world.services.current())


async def _heads_of_nobody(world: World) -> Request:
    request = conversation_service_pb2.ListHeadsRequest(user_id=4711)
    return Request(request, world.services.current(), "USER_NOT_FOUND")


EXAMPLES: Mapping[str, Example] = {
    "im.logic.v1.AuthService.Register": Example(_register, _register_again),
    "im.logic.v1.AuthService.Login": Example(_login, _login_wrong),
    "im.logic.v1.UserService.GetMe": Example(_me, _me_gone),
    "im.logic.v1.UserService.GetUser": Example(_user, _user_gone),
    "im.logic.v1.UserService.LookupUser": Example(_lookup, _lookup_nobody),
    "im.logic.v1.MessageService.SendMessage": Example(_send_message, _send_to_nobody),
    "im.logic.v1.MessageService.ListMessages": Example(_list, _list_foreign),
    "im.logic.v1.ConnectionService.GetConnection": Example(_connection, _connection_away, _without_connect),
    "im.logic.v1.ConversationService.ListHeads": Example(_heads, _heads_of_nobody),
}
