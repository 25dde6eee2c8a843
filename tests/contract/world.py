"""A running system, and what a call in it needs."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from im.logic.v1 import auth_service_pb2

from codegen.runtime.discovery import Instances
from codegen.runtime.identity import ServiceTokens, UserTokens
from tests.contract.callers import Doors, call
from tests.contract.catalog import wires

if TYPE_CHECKING:
    from tests.conftest import System

PASSWORD = "correct horse"
NOBODY = 4711
"""Id of no user, no room and no login."""

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
    """A request, and what it needs."""

    message: Any
    """Of the method's own type."""
    token: str | None = None
    reason: str = ""
    """Why it is refused, if it is."""
    during: Callable[[World], AbstractAsyncContextManager[None]] | None = None
    """Context in which it is refused, if a part must be away."""
    or_reason: str = ""
    """Another reason that is as good, where it is not promised which of two limits is met first."""


Maker = Callable[[World], Awaitable[Request]]


@dataclass(frozen=True, slots=True)
class Example:
    """What one method does and refuses."""

    successes: tuple[Maker, ...]
    failures: tuple[Maker, ...]


def fresh(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{next(_names)}"


async def done(world: World, method: str, request: Message, token: str | None = None) -> Any:
    """The answer to a call that must succeed, such as `AuthService.Register`."""
    wire = next(w for w in wires() if w.kind == "grpc" and w.method.full_name == f"im.logic.v1.{method}")
    outcome = await call(world.doors, wire, request, token)
    assert outcome.response is not None, (method, outcome)
    return outcome.response


async def registered(world: World) -> Any:
    """`RegisterResponse` of a user of the example's own."""
    request = auth_service_pb2.RegisterRequest(username=fresh("own"), password=PASSWORD)
    return await done(world, "AuthService.Register", request)
