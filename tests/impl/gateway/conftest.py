"""A running gateway, alone or with its real neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from impl.gateway import app as gateway
from impl.logic import app as logic
from impl.settings import Settings
from impl.storage.migration import migrate
from tests.servers import etcd_server, free_ports, redis_server

SECONDS = 30.0
KEY = "k" * 32


@asynccontextmanager
async def running(tier: object, settings: Settings) -> AsyncIterator[None]:
    """A tier in this process."""
    ready, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(tier.run(settings, ready.set, stop))  # type: ignore[attr-defined]
    waiting = asyncio.create_task(ready.wait())
    try:
        async with asyncio.timeout(SECONDS):
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield
    finally:
        waiting.cancel()
        stop.set()
        async with asyncio.timeout(SECONDS):
            await asyncio.wait([task])
    await task


@pytest.fixture
def alone(tmp_path: Path) -> Settings:
    """Settings under which nothing but the gateway runs."""
    return lonely(tmp_path)


def lonely(folder: Path) -> Settings:
    """Settings on free ports."""
    ports = free_ports(5)
    return Settings(
        data_dir=folder,
        gateway_port=ports[0],
        logic_grpc_port=ports[1],
        connect_grpc_port=ports[2],
        gateway_grpc_port=ports[4],
        etcd_endpoints=(f"127.0.0.1:{ports[3]}",),
        user_secret=KEY,
        service_secret="s" * 32,
        drain_seconds=1.0,
    )


@pytest_asyncio.fixture
async def settings(alone: Settings) -> AsyncIterator[Settings]:
    """Settings under which etcd and Redis run."""
    async with etcd_server() as etcd, redis_server() as redis:
        neighbours = {"etcd_endpoints": (etcd.endpoint,), "redis_url": redis.url}
        yield alone.model_copy(update=neighbours)


@pytest_asyncio.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway with a logic behind it."""
    await asyncio.to_thread(migrate, settings.effective_database_url)
    async with running(logic, settings), running(gateway, settings), client_of(settings) as made:
        yield made


@asynccontextmanager
async def client_of(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway of these settings."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.gateway_port}") as made:
        yield made
