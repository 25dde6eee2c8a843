"""The connection to one instance."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import grpc
from grpc import aio

from codegen.runtime.errors import Error
from codegen.runtime.grpc_failure import lost, unreachable
from codegen.runtime.grpc_metadata import Metadata, received

LOG = logging.getLogger(__name__)

OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_metadata_size", 64 << 10),
)
"""An instance that comes back is reached within a second; one that hangs is noticed within eight.

The timeout of pings has to be set beside that of keep-alives: otherwise its default of a minute counts.
"""
GRACE = 10.0
"""Seconds that calls under way have once their instance has left."""
READY = grpc.ChannelConnectivity.READY
RANKS = {
    READY: 0,
    grpc.ChannelConnectivity.IDLE: 1,
    grpc.ChannelConnectivity.CONNECTING: 1,
}
WORST = 2


class Link:
    """Calls of raw bytes to one address. Opens its connection when first used.

    Args:
        address: `host:port`, or another target of gRPC.
        credentials: for TLS; without them the connection is in plain text.
    """

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.address = address
        if credentials is None:
            self._channel = aio.insecure_channel(address, options=OPTIONS)
        else:
            self._channel = aio.secure_channel(address, credentials, options=OPTIONS)
        self._unary: dict[str, Callable[..., Any]] = {}

    @property
    def rank(self) -> int:
        """0 if connected, higher the less likely a call gets through. Starts connecting."""
        return RANKS.get(self._channel.get_state(try_to_connect=True), WORST)

    async def connected(self) -> None:
        """Waits for the connection.

        Raises:
            AioRpcError: it cannot be made now.
        """
        try:
            while (state := self._channel.get_state(try_to_connect=True)) is not READY:
                if RANKS.get(state, WORST) == WORST:
                    raise unreachable()
                await self._channel.wait_for_state_change(state)
        except aio.UsageError:
            raise lost() from None

    async def unary(  # what gRPC has to know of a call
        self,
        path: str,
        request: bytes,
        metadata: Metadata,
        timeout: float,  # noqa: ASYNC109  # gRPC's own
        told: dict[str, str | bytes] | None = None,
    ) -> bytes:
        """One call.

        Args:
            path: of the method.
            request: serialized.
            metadata: goes with it.
            timeout: seconds.
            told: filled with the metadata of the answer; None where nobody asks for it.

        Raises:
            AioRpcError: it failed.
        """
        if (method := self._unary.get(path)) is None:
            method = self._unary.setdefault(path, self._channel.unary_unary(path))
        try:
            call = method(request, timeout=timeout, metadata=metadata)
            response: bytes = await call
            if told is not None:
                told.update(received(await call.initial_metadata()))
        except asyncio.CancelledError:
            raise _why_cancelled() from None
        except aio.UsageError:
            raise lost() from None
        return response

    async def stream(  # what gRPC has to know of a call
        self,
        path: str,
        requests: AsyncIterator[bytes],
        metadata: Metadata,
        limit: float | None,
        told: dict[str, str | bytes] | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """One stream of requests and responses; as `unary`, metadata comes with the first response.

        Raises:
            AioRpcError: it failed.
            Error: the requests raised it.
        """
        open_stream: Callable[..., Any] = self._channel.stream_stream(path)
        try:
            call = open_stream(timeout=limit, metadata=metadata)
        except aio.UsageError:
            raise lost() from None
        # Given the requests, gRPC would go on waiting for the next one after the call has ended.
        sending = asyncio.create_task(_send(call, requests), name=f"requests of {path}")
        try:
            if told is not None:
                told.update(received(await call.initial_metadata()))
            async for response in call:
                yield response
        except asyncio.CancelledError:
            raise _why_cancelled(sending) from None
        finally:
            call.cancel()
            sending.cancel()
            await asyncio.wait([sending])
            _refusal(sending)

    async def close(self, grace: float | None = None) -> None:
        """Close the connection once calls under way have ended, at most after `grace` seconds."""
        await self._channel.close(grace)


async def _send(call: Any, requests: AsyncIterator[bytes]) -> None:
    """Send the requests while the call lasts; why it ended is told to those who read its responses.

    Raises:
        Error: the requests raised it; the call is cancelled.
    """
    try:
        async for request in requests:
            await call.write(request)
        await call.done_writing()
    except (aio.AioRpcError, asyncio.InvalidStateError):
        LOG.debug("a call ended before all its requests were sent")
    except Error:
        call.cancel()
        raise
    except Exception:  # the outermost frame of the task: the call cannot go on without its requests
        LOG.exception("the requests of a call failed")
        call.cancel()


def _refusal(sending: asyncio.Task[None] | None) -> BaseException | None:
    """What the requests raised."""
    return sending.exception() if sending and sending.done() and not sending.cancelled() else None


def _why_cancelled(sending: asyncio.Task[None] | None = None) -> BaseException:
    """Tell refused requests, and the end of the channel that gRPC calls a cancellation, from our own."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        return asyncio.CancelledError()
    return _refusal(sending) or lost()
