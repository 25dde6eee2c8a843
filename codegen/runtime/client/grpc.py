"""Calls over gRPC from outside a deployment: a channel of generated clients for anybody with a token."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Self, TypeVar

import grpc
from google.protobuf.message import Message
from grpc import aio

from codegen.runtime.client.channel import TokenSource
from codegen.runtime.client.retries import Attempts, Failure, RetryBudget
from codegen.runtime.grpc_client import DEFAULT_TIMEOUT, CallOptions, parsed, serialized
from codegen.runtime.grpc_failure import error_of, unsent
from codegen.runtime.grpc_link import Link
from codegen.runtime.grpc_metadata import Metadata, sendable
from codegen.runtime.method import Auth, Method

R = TypeVar("R", bound=Message)


class GrpcClient:
    """Calls services at one address; a context manager. It is a `Channel` of generated clients.

    Every failure is an Error. Some failed calls are made again, see `retries.Attempts`; streams are not. Of
    `CallOptions`, identity and instance mean nothing here: who calls is said by the token.

    Args:
        address: `host:port`, or another target of gRPC.
        token: gives the bearer token of calls; not asked for methods that say `AUTH_NONE`.
        credentials: for TLS, as `grpc.ssl_channel_credentials()`; without them calls go in plain text.
    """

    def __init__(
        self,
        address: str,
        token: TokenSource | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._token = token
        self._budget = RetryBudget()
        self._link: Link | None = None

    async def __aenter__(self) -> Self:
        """Opens no connection yet."""
        self._link = Link(self._address, self._credentials)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connection."""
        link, self._link = self._opened, None
        await link.close()

    async def unary(self, method: Method, request: Message, response: type[R], options: CallOptions) -> R:
        """One request, one response."""
        return parsed(response, await self.unary_bytes(method, request.SerializeToString(), options))

    async def unary_bytes(self, method: Method, request: bytes, options: CallOptions) -> bytes:
        """One request, one response, both serialized."""
        ends = time.monotonic() + (options.timeout or method.policy.deadline or DEFAULT_TIMEOUT)
        attempts = Attempts(method, self._budget)
        while True:
            metadata = await self._metadata(method, options)
            left, told = max(0.001, ends - time.monotonic()), options.response_metadata
            try:
                return await self._opened.unary(method.path, request, metadata, left, told)
            except aio.AioRpcError as failure:
                error = error_of(failure)
                pause = attempts.pause(Failure(error, unsent(failure)), ends - time.monotonic())
                if pause is None:
                    raise error from failure
            await asyncio.sleep(pause)

    async def stream_stream(
        self, method: Method, requests: AsyncIterator[Message], response: type[R], options: CallOptions
    ) -> AsyncGenerator[R, None]:
        """Many requests, many responses."""
        stream = self.stream_bytes(method, serialized(requests), options)
        async with contextlib.aclosing(stream) as answers:
            async for data in answers:
                yield parsed(response, data)

    async def stream_bytes(
        self, method: Method, requests: AsyncIterator[bytes], options: CallOptions
    ) -> AsyncGenerator[bytes, None]:
        """Requests and responses of a method that streams either way, serialized."""
        metadata = await self._metadata(method, options)
        told = options.response_metadata
        stream = self._opened.stream(method.path, requests, metadata, options.timeout, told)
        try:
            async with contextlib.aclosing(stream) as answers:
                async for data in answers:
                    yield data
        except aio.AioRpcError as failure:
            raise error_of(failure) from failure

    @property
    def _opened(self) -> Link:
        if self._link is None:
            raise RuntimeError("a GrpcClient is used as a context manager")
        return self._link

    async def _metadata(self, method: Method, options: CallOptions) -> Metadata:
        metadata: dict[str, str | bytes] = {key.lower(): value for key, value in options.metadata.items()}
        if options.request_id:
            metadata["x-request-id"] = options.request_id
        if method.policy.auth is not Auth.NONE and self._token and (token := await self._token()):
            metadata["authorization"] = f"Bearer {token}"
        return sendable(metadata)
