"""The Redis client of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from idiom.v1 import reason_errors
from redis.asyncio import Redis
from redis.exceptions import RedisError

from codegen.runtime.errors import Error
from codegen.runtime.streams.redis_pool import redis_client
from impl.storage.generation import Recovery


@asynccontextmanager
async def connect_redis(url: str, recovery: Recovery | None = None) -> AsyncIterator[Redis]:
    """A client whose connections check the generation if `recovery` is given.

    It does not retry by itself: callers know what may be repeated. It connects with the first command.
    """
    async with AsyncExitStack() as stack:
        if recovery:
            await stack.enter_async_context(recovery)
        client = redis_client(url, redis_connect_func=recovery.check if recovery else None)
        yield await stack.enter_async_context(client)


@contextmanager
def translated() -> Iterator[None]:
    """Turns the failures of a Redis that cannot be used now into the error that callers see.

    Raises:
        Error: DEPENDENCY_UNAVAILABLE.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        raise away() from error


def away() -> Error:
    """That Redis cannot be used now."""
    return Error(reason_errors.DEPENDENCY_UNAVAILABLE, "Redis cannot be reached now", retry_after=1.0)
