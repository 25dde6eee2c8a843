"""Waits for new entries of many partitions on one connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Never

from redis.asyncio import Redis
from redis.exceptions import RedisError

from codegen.runtime.errors import Error
from codegen.runtime.streams.backoff import Backoff

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 2.0
"""How long a wake-up may be late if it was missed; shorter than any sensible socket timeout."""
_KICK_AGAIN_SECONDS: Final = 0.005


class Doorbell:
    """One XREAD BLOCK for all partitions whose workers wait.

    It reads from the last id each worker was given, not from `$`, so nothing that comes in between is missed.
    It is only a hint: a wait may end though nothing is new.
    """

    def __init__(self, redis: Redis, key: Callable[[int], str]) -> None:
        """`key` names the stream of a partition."""
        self._redis = redis
        self._key = key
        self._waiting: dict[int, tuple[str, asyncio.Future[None]]] = {}
        self._changed = asyncio.Event()
        self._client_id: int | None = None
        self._reading = False

    async def wait(self, partition: int, last: str) -> None:
        """Returns when the partition may have an entry after `last`, or `ring` was called."""
        rung: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[partition] = (last, rung)
        self._changed.set()
        try:
            await rung
        finally:
            self._waiting.pop(partition, None)

    def ring(self, partition: int) -> None:
        """Ends the wait of a partition."""
        if waiting := self._waiting.pop(partition, None):
            _ring(waiting[1])

    async def run(self) -> Never:
        """Listens until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._interrupt())
            await self._listen_for_ever()

    async def _listen_for_ever(self) -> Never:
        backoff = Backoff(0.05, 1.0)
        while True:
            try:
                async with self._redis.client() as connection:
                    self._client_id = await connection.client_id()
                    backoff.reset()
                    await self._listen(connection)
            except (RedisError, OSError, Error) as error:
                logger.debug("waiting for entries was interrupted: %r", error)
            finally:
                self._reading = False
            self._ring_all()  # the workers find out by reading
            await asyncio.sleep(backoff.pause())

    async def _listen(self, connection: Redis) -> Never:
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while True:
            await self._changed.wait()
            while self._waiting:
                self._changed.clear()
                partitions = {self._key(p).encode(): p for p in self._waiting}
                after: dict[Any, Any] = {self._key(p): last for p, (last, _) in self._waiting.items()}
                self._reading = True
                heard: Any = await connection.xread(after, count=1, block=round(_LOOK_SECONDS * 1000))
                self._reading = False
                for key in dict(heard or ()):
                    self.ring(partitions[key])
                if loop.time() >= looked + _LOOK_SECONDS:
                    looked = loop.time()
                    self._ring_all()  # whatever a lost stream hides from XREAD, its owner sees by reading
            self._changed.clear()

    async def _interrupt(self) -> Never:
        """Ends the XREAD under way when it does not cover all that wait."""
        while True:
            await self._changed.wait()
            if self._reading and self._client_id is not None:
                with suppress(RedisError, OSError, Error):
                    await self._redis.client_unblock(self._client_id)
            await asyncio.sleep(_KICK_AGAIN_SECONDS)

    def _ring_all(self) -> None:
        for partition in list(self._waiting):
            self.ring(partition)


def _ring(rung: asyncio.Future[None]) -> None:
    if not rung.done():
        rung.set_result(None)
