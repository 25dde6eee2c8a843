"""Instances that are known beforehand, where nothing registers itself: a load balancer, say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from codegen.runtime.discovery.instances import Instance


class FixedInstances:
    """The instances of one target by their addresses, which are their names too.

    Args:
        target: what they serve.
        addresses: `host:port` of each one's gRPC server.
    """

    def __init__(self, target: str, addresses: Sequence[str]) -> None:
        self._instances = {address: Instance(target, address, "", address) for address in addresses}

    def all(self) -> tuple[Instance, ...]:
        """All of them."""
        return tuple(self._instances.values())

    def get(self, name: str) -> Instance | None:
        """The one of that address."""
        return self._instances.get(name)

    async def changed(self) -> None:
        """Waits for ever: they never change."""
        await asyncio.Event().wait()
