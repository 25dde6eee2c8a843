"""Fixtures that every test may use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.servers import (
    Etcd,
    MariaDb,
    Redis,
    debian_mariadb,
    etcd_server,
    mariadb_server,
    redis_server,
)
from tests.system import System

__all__ = ["System", "etcd", "mariadb", "redis", "system", "system2"]


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


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A MariaDB for all tests, each with its own database in it. Who kills servers needs another."""
    if debian_mariadb() is None:
        pytest.skip("mariadb-server is not installed: run deploy/test-services.sh")
    with asyncio.Runner() as runner:
        server = mariadb_server()
        try:
            yield runner.run(server.__aenter__())
        finally:
            runner.run(server.__aexit__(None, None, None))


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
