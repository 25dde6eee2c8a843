"""A lock that notices its loss."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE

from codegen.runtime.errors import Error

if TYPE_CHECKING:
    from codegen.runtime.discovery.etcd import Etcd
    from codegen.runtime.discovery.lease import Lease
    from codegen.runtime.discovery.watch import Entry


@contextlib.asynccontextmanager
async def hold_lock(etcd: Etcd, key: str, seconds: int) -> AsyncIterator[None]:
    """Hold a key that only one holder can create; it lives at most `seconds` beyond its holder."""
    async with etcd.lease(seconds) as lease:
        entry = await _acquired(etcd, key, lease)
        try:
            async with while_held(lease):
                yield
        finally:
            with contextlib.suppress(Error):
                await etcd.delete(key, entry.create_revision)


async def _acquired(etcd: Etcd, key: str, lease: Lease) -> Entry:
    while (entry := await etcd.create(key, b"", lease)) is None:
        async with contextlib.aclosing(etcd.watch(key)) as states:
            async for state in states:
                if key not in state:
                    break
    return entry


@contextlib.asynccontextmanager
async def while_held(lease: Lease) -> AsyncIterator[None]:
    """Cancel the body when the lease may have ended, as `asyncio.timeout` does at its end."""
    holder = asyncio.current_task()
    guard = asyncio.create_task(lease.lost(), name="etcd-lock")
    stopped = False
    """Whether it was here that the body was cancelled."""

    def stop(lost: asyncio.Task[None]) -> None:
        nonlocal stopped
        if not lost.cancelled() and holder is not None:
            stopped = holder.cancel()

    guard.add_done_callback(stop)
    try:
        yield
    except asyncio.CancelledError:
        if stopped and holder is not None and holder.uncancel() == 0:
            raise Error(DEPENDENCY_UNAVAILABLE, "the lock was lost") from None
        raise
    finally:
        guard.remove_done_callback(stop)
        guard.cancel()
