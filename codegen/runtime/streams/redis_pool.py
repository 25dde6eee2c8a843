"""Redis connections for long-lived tasks."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


def redis_client(url: str, *, seconds: float = 5.0, max_connections: int = 64, **options: Any) -> Redis:
    """A client that returns bytes and does not retry by itself; an async context manager.

    Args:
        url: `redis://…` or `rediss://…`.
        seconds: longest wait for a free connection, for connecting, and for an answer.
        max_connections: further calls wait for a free one.
        options: of the connections.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=seconds,
        socket_timeout=None,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        **options,
    )
    pool.connection_class = _SecureConnection if pool.connection_class is SSLConnection else _PlainConnection
    pool.connection_kwargs["answer_seconds"] = seconds
    return Redis.from_pool(pool)


class _Timed(AbstractConnection):
    """Bounds sending and receiving by `asyncio.timeout`.

    redis-py's own `socket_timeout` uses `asyncio.wait_for`, which before Python 3.12 may swallow the
    cancellation of the calling task; a task group would then wait for that task for ever.
    """

    def __init__(self, *, answer_seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self._answer_seconds = answer_seconds

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        async with asyncio.timeout(self._answer_seconds):
            await super().send_packed_command(*args, **options)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        async with asyncio.timeout(self._answer_seconds):
            return await super().read_response(*args, **options)


class _PlainConnection(_Timed, Connection):
    pass


class _SecureConnection(_Timed, SSLConnection):
    pass
