"""The servers that tests rely on."""

from __future__ import annotations

import time

import pytest
from redis.asyncio import Redis as Client

from tests.servers import Etcd, Redis, debian_redis, redis_server


async def test_redis_keeps_what_it_answered_across_a_kill(redis: Redis) -> None:
    async with Client.from_url(redis.url) as client:
        await client.set("key", "value")
    await redis.kill()
    await redis.restart()
    async with Client.from_url(redis.url) as client:
        assert await client.get("key") == b"value"


async def test_redis_of_debian_starts() -> None:
    if debian_redis() is None:
        pytest.skip("redis-server is not installed")
    async with redis_server("redis", password="secret") as server, Client.from_url(server.url) as client:
        assert (await client.info("server"))["redis_version"]


async def test_etcd_comes_back_within_seconds_of_a_kill(etcd: Etcd) -> None:
    started = time.monotonic()
    await etcd.kill()
    await etcd.restart()
    assert time.monotonic() - started < 5
