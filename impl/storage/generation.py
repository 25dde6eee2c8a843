"""Which server holds the partitions, and whether it still holds everything that was accepted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from redis.asyncio.connection import AbstractConnection

from codegen.runtime.discovery import Etcd


class Recovery:
    """Checks every new connection, and recovers the partitions when the server is not the one they know."""

    def __init__(
        self, url: str, etcd: Etcd, partitions: int, ordinal: Callable[[int], Awaitable[int]]
    ) -> None:
        """`ordinal` gives the highest ordinal of a partition that the database holds, 0 if none."""
        self._url = url
        self._etcd = etcd
        self._partitions = partitions
        self._ordinal = ordinal
        self.seen = [0] * partitions
        """Highest ordinal of each partition that this process knows to have been accepted."""

    async def check(self, connection: AbstractConnection) -> None:
        """What a connection does when it is made; raises unless the server may be used."""
        raise NotImplementedError
