"""Upstreams as a schema has them in which every method says `coalesce`, and servers to call through them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
from grpc import aio

from codegen.runtime.coalescing import PATH
from codegen.runtime.discovery import FixedInstances
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions, Upstreams
from codegen.runtime.identity import ServiceTokens
from codegen.runtime.method import Method
from tests.codegen.runtime.grpc.echo import ECHO, Text

Outcome = tuple[str, str]
Serve = Callable[[Any], Awaitable[None]]


def coalesced(method: Method) -> Method:
    """The same method, whose calls share frames."""
    return replace(method, policy=replace(method.policy, coalesce=True))


class Coalescing(Upstreams):
    """Every unary call travels in frames."""

    async def unary_bytes(self, method: Method, request: bytes, options: CallOptions) -> bytes:
        """One request, one response, both serialized."""
        return await super().unary_bytes(coalesced(method), request, options)


@contextlib.asynccontextmanager
async def upstreams(
    kind: type[Upstreams], ports: list[int], services: ServiceTokens
) -> AsyncIterator[Upstreams]:
    instances = FixedInstances("echo", [f"127.0.0.1:{port}" for port in ports])
    async with asyncio.timeout(60), kind([ECHO], {"echo": instances}, services) as made:
        yield made


async def outcome(called: Awaitable[Any]) -> Outcome:
    try:
        return "", (await called).text
    except Error as error:
        return error.reason.name, error.message


def call(through: Upstreams, method: Method, text: str, **options: Any) -> Awaitable[Any]:
    return through.unary(method, Text(text=text), Text, CallOptions(**options))


@contextlib.asynccontextmanager
async def scripted(serve: Serve) -> AsyncIterator[int]:
    """A server that has the stream and nothing else."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> Any:
            async def handle(_: Any, servicer: Any) -> None:
                await serve(servicer)

            return grpc.stream_stream_rpc_method_handler(handle) if details.method == PATH else None

    server = aio.server()
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)
