"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.servers import Etcd, Redis, etcd_server, redis_server


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
