"""All peers of a process: accepting them, watching their deadlines, letting them go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from im.errors.v1 import close_closes as closes
from websockets.asyncio.server import Server

from codegen.runtime.background import background
from codegen.runtime.sockets import SocketConnection, Wheel
from impl.connect.hub import Hub
from impl.connect.peer import Peer
from impl.connect.session import Limits

_MAX_RESOLUTION = 1.0
_TICKS_PER_LIMIT = 16


def deadlines(limits: Limits) -> Wheel[Peer]:
    """A wheel fine enough for the limits."""
    shortest = min(limits.hello, limits.heartbeat, limits.closing)
    return Wheel(min(_MAX_RESOLUTION, shortest / _TICKS_PER_LIMIT), Peer.tick)


class Gateway:
    """Accepts sockets.

    Args:
        hub: what the peers share.
        drain_seconds: longest wait for calls under way at the end.
    """

    def __init__(self, hub: Hub, drain_seconds: float) -> None:
        self._hub = hub
        self._drain_seconds = drain_seconds
        self._peers: set[Peer] = set()

    @asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve while the context lasts, then drain; yields the bound port."""
        sweeper = background(self._hub.wheel.run(), "deadlines")
        try:
            server = await self._hub.endpoint.serve(self._handle, host, port)
            try:
                yield server.sockets[0].getsockname()[1]
            finally:
                await self._drain(server)
        finally:
            sweeper.cancel()
            await asyncio.wait([sweeper])

    async def _handle(self, connection: SocketConnection) -> None:
        connection.forget_handshake()
        peer = Peer(self._hub, connection)
        self._peers.add(peer)
        try:
            await peer.run()
        finally:
            self._peers.discard(peer)

    async def _drain(self, server: Server) -> None:
        self._hub.draining = True
        server.close(close_connections=False)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                for peer in tuple(self._peers):
                    await peer.finished()
        for peer in self._peers:
            peer.close(closes.DRAINING)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._hub.limits.closing):
                await server.wait_closed()
        for peer in self._peers:
            peer.abort()
        await server.wait_closed()
