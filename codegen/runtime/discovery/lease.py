"""A lease that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

from aetcd import rpc
from grpc import aio

from codegen.runtime.background import background
from codegen.runtime.discovery.connection import Connection
from codegen.runtime.errors import Error

LOG = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds for which the first lease is tried before the failure is raised."""
RETRY = 0.3
"""Seconds between attempts to reach etcd."""


class Lease:
    """A lease kept alive by an owned task.

    When it was lost (an outage longer than its life, an etcd that came back empty) a new one is made and
    `generation` increments; what was put under the old one is gone and has to be put again.
    """

    def __init__(self, connection: Connection, seconds: int) -> None:
        self._connection = connection
        self._renewed = asyncio.Event()
        self._doubted = asyncio.Event()
        self.seconds = seconds
        self.generation = 0
        """Increments with every new lease; the first is 1."""
        self.id = 0
        """Present id in etcd."""
        self.expires = 0.0
        """`time.monotonic()` until which the lease surely lives."""

    async def renewed(self) -> None:
        """Wait until a new lease was made."""
        await self._renewed.wait()

    async def lost(self) -> None:
        """Wait until the lease may have ended: a new one was made, or etcd was away for its whole life."""
        while (left := self.expires - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    return await self.renewed()
        return None

    def doubt(self) -> None:
        """Ask etcd at once whether the lease lives."""
        self._doubted.set()

    async def grant(self) -> None:
        """Make a new lease in place of the present one."""
        asked = time.monotonic()
        request = rpc.LeaseGrantRequest(TTL=self.seconds)
        self.id = (await self._connection.call(lambda member: member.lease.LeaseGrant, request)).ID
        self.expires = asked + self.seconds
        self.generation += 1
        self._renewed.set()
        self._renewed = asyncio.Event()

    async def revoke(self) -> None:
        """End the lease, and with it all keys put under it."""
        request = rpc.LeaseRevokeRequest(ID=self.id)
        await self._connection.call(lambda member: member.lease.LeaseRevoke, request, repeatable=False)

    async def refresh(self) -> bool:
        """Prolong the lease; False if etcd does not know it (any more)."""
        asked = time.monotonic()
        request = rpc.LeaseKeepAliveRequest(ID=self.id)
        answer = await self._connection.call(lambda member: member.prolong, request)
        if answer is aio.EOF or answer.TTL <= 0:
            return False
        self.expires = asked + self.seconds
        return True

    async def keep(self) -> None:
        """Keep the lease alive for ever."""
        pause = self.seconds / 3
        while True:
            await self._wait(pause)
            try:
                if not await self.refresh():
                    await self.grant()
                    LOG.warning("the lease was lost; a new one was made: generation %d", self.generation)
                pause = self.seconds / 3
            except Error as error:
                LOG.warning("the lease cannot be prolonged now: %s", error)
                pause = RETRY

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._doubted.wait()
        self._doubted.clear()


@contextlib.asynccontextmanager
async def hold_lease(connection: Connection, seconds: int) -> AsyncIterator[Lease]:
    """A lease kept alive while the context lasts and revoked on exit."""
    lease = Lease(connection, seconds)
    await _first(lease)
    keeper = background(lease.keep(), "etcd-lease")
    try:
        yield lease
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        with contextlib.suppress(Error):
            await lease.revoke()


async def _first(lease: Lease) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return await lease.grant()
        except Error as error:
            if time.monotonic() >= end:
                raise
            LOG.warning("waiting for etcd: %s", error)
        await asyncio.sleep(RETRY)
