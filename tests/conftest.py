"""Fixtures that every test may use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

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

__all__ = ["BOTH_DATABASES", "System", "database", "etcd", "mariadb", "redis", "system", "system2"]

BOTH_DATABASES = pytest.mark.parametrize("database", ["sqlite", "mariadb"], indirect=True, scope="module")
"""Mark of a module whose tests of the whole system run on both databases."""


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
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of the database of `system` and `system2`; empty, as users have it at first, for their own SQLite.

    A module asks for both with `pytestmark = BOTH_DATABASES`.
    """
    with new_database(request, getattr(request, "param", "sqlite")) as url:
        yield url


@contextmanager
def new_database(request: pytest.FixtureRequest, kind: str) -> Iterator[str]:
    """URL of a new database for one `System`; empty for its own SQLite."""
    if kind == "sqlite":
        yield ""
    else:
        with request.getfixturevalue("mariadb").database() as url:
            yield url


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[System]:
    """The whole system, one process of each tier, for all tests of a module."""
    yield from _running(System(tmp_path_factory.mktemp("system") / "data", database_url=database))


@pytest.fixture(scope="module")
def system2(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[System]:
    """The whole system, two processes of each tier, for all tests of a module."""
    data = tmp_path_factory.mktemp("system2") / "data"
    yield from _running(System(data, scale=2, database_url=database))


def _running(system: System) -> Iterator[System]:
    try:
        system.start()
        yield system
    finally:
        system.close()
