"""A process that holds what a test wants to see expire: `holder.py <endpoint> instance|lock`."""

from __future__ import annotations

import asyncio
import sys

from codegen.runtime.discovery import Etcd, Instance, register

INSTANCE = Instance("tier", "held", "boot", "127.0.0.1:1")


async def hold(endpoint: str, what: str) -> None:
    async with Etcd([endpoint], "/test") as etcd:
        context = etcd.lock("held", 2) if what == "lock" else register(etcd, INSTANCE, 2)
        async with context:
            print("held", flush=True)  # noqa: T201  # the test waits for this line
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(hold(sys.argv[1], sys.argv[2]))
