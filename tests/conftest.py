"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.servers import Etcd, Redis, etcd_server, redis_server
from tests.system import System

__all__ = ["System", "etcd", "redis", "system", "system2"]


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    """A Valkey of the test's own."""
    async with redis_server() as server:
        yield server


@pytest.fixture
async def etcd() -> AsyncIterator[Etcd]:
    """An etcd of the test's own."""
    async with etcd_server() as server:
        yield server


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The whole system, one process of each tier, for all tests of a module."""
    yield from _running(System(tmp_path_factory.mktemp("system") / "data"))


@pytest.fixture(scope="module")
def system2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The whole system, two processes of each tier, for all tests of a module."""
    yield from _running(System(tmp_path_factory.mktemp("system2") / "data", scale=2))


def _running(system: System) -> Iterator[System]:
    try:
        system.start()
        yield system
    finally:
        system.close()
