"""Calls to etcd: several endpoints, bounded in time, one error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from aetcd import rpc
from grpc import aio
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE

from codegen.runtime.errors import Error

OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 64 << 20),
)
PAUSE = 0.1
"""Seconds between two attempts of one operation."""
TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    }
)


class Stubs:
    """What is used of one etcd member."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.channel = aio.insecure_channel(endpoint, options=OPTIONS)
        stubs: Any = rpc  # generated without types
        self.kv = stubs.KVStub(self.channel)
        self.lease = stubs.LeaseStub(self.channel)
        self.watch = stubs.WatchStub(self.channel)

    async def prolong(self, request: Any, **limits: float) -> Any:
        """One keep-alive of a lease."""
        call = self.lease.LeaseKeepAlive(**limits)
        await call.write(request)
        answer = await call.read()
        call.cancel()
        return answer


class Connection:
    """The members of one etcd; turns to the next one when the present one fails."""

    def __init__(self, endpoints: Sequence[str], timeout: float) -> None:
        self._endpoints = tuple(endpoints)
        self._timeout = timeout
        self._members: list[Stubs] = []
        self._present = 0

    def open(self) -> None:
        """Make the channels; they connect when first used."""
        self._members = [Stubs(endpoint) for endpoint in self._endpoints]

    async def close(self) -> None:
        """Close the channels; calls under way fail."""
        members, self._members = self._members, []
        for member in members:
            await member.channel.close()

    @property
    def present(self) -> Stubs:
        """The member in use."""
        return self._members[self._present % len(self._members)]

    def turn(self, failed: Stubs) -> None:
        """Use the next member from now on, unless somebody turned already."""
        if self._members and failed is self.present:
            self._present += 1

    async def call(self, select: Callable[[Stubs], Any], request: Any, *, repeatable: bool = True) -> Any:
        """Call the method selected from the present member, within the time of one operation.

        An attempt that surely was not sent is always repeated, any other only if `repeatable`.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE; a write may have happened all the same.
        """
        if not self._members:
            raise Error(DEPENDENCY_UNAVAILABLE, "etcd: the connection is not open")
        end = time.monotonic() + self._timeout
        share = self._timeout / len(self._members)
        while True:
            member = self.present
            try:
                return await select(member)(request, timeout=min(share, max(0.01, end - time.monotonic())))
            except aio.AioRpcError as failure:
                again = failure.code() in TRANSIENT and (repeatable or unsent(failure))
                self.turn(member)
                if not again or time.monotonic() + PAUSE >= end:
                    raise unavailable(failure) from failure
            await asyncio.sleep(PAUSE)


def unsent(failure: aio.AioRpcError) -> bool:
    """Whether the request surely did not leave this process."""
    return failure.code() is grpc.StatusCode.UNAVAILABLE and "failed to connect" in (failure.details() or "")


def unavailable(failure: aio.AioRpcError) -> Error:
    """The failure as callers see it."""
    return Error(DEPENDENCY_UNAVAILABLE, f"etcd: {failure.code().name}: {failure.details()}")
