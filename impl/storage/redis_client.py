"""The Redis client of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from idiom.v1 import reason_errors
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from codegen.runtime.errors import Error
from impl.storage.generation import Recovery

_MAX_CONNECTIONS = 64
_WAIT_SECONDS = 5.0
"""For a free connection, for connecting, and for an answer."""


@asynccontextmanager
async def connect_redis(url: str, recovery: Recovery | None = None) -> AsyncIterator[Redis]:
    """A client whose connections check the generation if `recovery` is given.

    It does not retry by itself: callers know what may be repeated. It connects with the first command.
    """
    options: dict[str, Any] = {"redis_connect_func": recovery.check} if recovery else {}
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_MAX_CONNECTIONS,
        timeout=_WAIT_SECONDS,
        socket_timeout=_WAIT_SECONDS,
        socket_connect_timeout=_WAIT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        **options,
    )
    async with AsyncExitStack() as stack:
        if recovery:
            await stack.enter_async_context(recovery)
        yield await stack.enter_async_context(Redis.from_pool(pool))


@contextmanager
def translated() -> Iterator[None]:
    """Turns the failures of a Redis that cannot be used now into the error that callers see.

    Raises:
        Error: DEPENDENCY_UNAVAILABLE.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        raise Error(
            reason_errors.DEPENDENCY_UNAVAILABLE, "Redis cannot be reached now", retry_after=1.0
        ) from error
