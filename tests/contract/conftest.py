"""A running system with two users in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest
from im.logic.v1 import auth_service_pb2

from codegen.runtime.discovery import Etcd, Instances
from codegen.runtime.identity import ServiceTokens, UserTokens
from tests.contract.callers import Doors, call
from tests.contract.catalog import HttpBinding, wires
from tests.contract.examples import World, fresh

if TYPE_CHECKING:
    from tests.conftest import System


@pytest.fixture
async def world(system: System) -> AsyncIterator[World]:
    """Doors, users and keys of the running system."""
    secrets = system.data_dir / "secrets"
    users = UserTokens((secrets / "user").read_bytes().strip(), 3600.0)
    services = ServiceTokens((secrets / "service").read_bytes().strip(), "test")
    async with (
        httpx.AsyncClient(base_url=system.url) as http,
        Etcd(system.etcd_endpoints, "/idiom") as etcd,
        Instances(etcd, "logic") as logics,
        Instances(etcd, "connect") as connects,
    ):
        while not (logics.all() and connects.all()):
            await (connects if logics.all() else logics).changed()
        connect = connects.all()[0]
        doors = Doors(
            http,
            {"logic": logics.all()[0].address, "connect": connect.address},
            connect.attributes["url"],
        )
        alice, bob = [await _registered(doors) for _ in range(2)]
        yield World(system, doors, alice, bob, users, services, connects)


async def _registered(doors: Doors) -> auth_service_pb2.RegisterResponse:
    wire = next(w for w in wires() if w.method.name == "Register" and isinstance(w.binding, HttpBinding))
    request = auth_service_pb2.RegisterRequest(username=fresh("contract"), password="correct horse")
    outcome = await call(doors, wire, request, None)
    assert isinstance(outcome.response, auth_service_pb2.RegisterResponse), outcome
    return outcome.response
