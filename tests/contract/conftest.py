"""A running system with two users in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest
from google.protobuf import json_format
from im.logic.v1 import auth_service_pb2

from codegen.runtime.discovery import Etcd, Instances
from codegen.runtime.identity import ServiceTokens, UserTokens
from tests.contract.callers import Doors
from tests.contract.world import World, fresh

if TYPE_CHECKING:
    from tests.conftest import System


@pytest.fixture(scope="module")
def accounts(system: System) -> tuple[auth_service_pb2.RegisterResponse, auth_service_pb2.RegisterResponse]:
    """Two users, registered once for all tests of a module."""
    with httpx.Client(base_url=system.url) as http:
        return _registered(http), _registered(http)


@pytest.fixture
async def world(
    system: System,
    accounts: tuple[auth_service_pb2.RegisterResponse, auth_service_pb2.RegisterResponse],
) -> AsyncIterator[World]:
    """Doors, users and keys of the running system."""
    secrets = system.data_dir / "secrets"
    users = UserTokens((secrets / "user").read_bytes().strip(), 3600.0)
    services = ServiceTokens((secrets / "service").read_bytes().strip(), "test")
    async with (
        httpx.AsyncClient(base_url=system.url) as http,
        Etcd(system.etcd_endpoints, "/idiom") as etcd,
        Instances(etcd, "connect") as connects,
    ):
        while not connects.all():
            await connects.changed()
        connect = connects.all()[0]
        addresses = {"logic": system.logic_address, "connect": connect.address}
        doors = Doors(http, addresses, connect.attributes["url"])
        yield World(system, doors, *accounts, users, services, connects)


def _registered(http: httpx.Client) -> auth_service_pb2.RegisterResponse:
    body = {"username": fresh("contract"), "password": "correct horse"}
    answer = http.post("/v1/auth/register", json=body).raise_for_status()
    return json_format.Parse(answer.content, auth_service_pb2.RegisterResponse())
