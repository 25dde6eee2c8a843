"""The Redis client of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from impl.storage.generation import Recovery


@asynccontextmanager
async def connect_redis(url: str, recovery: Recovery | None = None) -> AsyncIterator[Redis]:
    """A client whose connections check the generation if `recovery` is given.

    It does not retry by itself: callers know what may be repeated. Nothing is connected until the first command.
    """
    raise NotImplementedError
    yield
