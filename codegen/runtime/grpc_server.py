"""Serves services over gRPC: generic handlers from the services' tables, one pipeline for all calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2
from idiom.v1.reason_errors import UNIMPLEMENTED

from codegen.runtime.coalescing import PATH
from codegen.runtime.coalescing.served import METHOD, Serving
from codegen.runtime.errors import Error
from codegen.runtime.grpc_call import Calls, refuse

if TYPE_CHECKING:
    from codegen.runtime.method import Service
    from codegen.runtime.pipeline import Pipeline

    Handler = grpc.RpcMethodHandler[bytes, bytes]

OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 4_000),
    ("grpc.http2.max_ping_strikes", 0),
)
"""A busy port is an error; the pipeline refuses large requests with a typed error long before gRPC does."""
MAX_CALLS = 10_000
"""Calls under way at once; more are refused with RESOURCE_EXHAUSTED."""

REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
"""Path of reflection in its newer version; the library knows the older one, equal but for its name."""

ANSWER = 1.0
"""Seconds for telling the callers of abandoned calls."""


@contextlib.asynccontextmanager
async def serve_grpc(
    address: str, handlers: Sequence[tuple[Service, object]], pipeline: Pipeline, *, drain: float = 5.0
) -> AsyncIterator[int]:
    """Serve while the context lasts, health and reflection included; yields the bound port.

    At the end health says NOT_SERVING, new calls are refused, streams of requests end, and calls under way
    have `drain` seconds.

    Args:
        address: `host:port`; port 0 takes a free one.
        handlers: services and what implements their protocols.
        pipeline: what every call goes through.
        drain: seconds.

    Raises:
        OSError: the address cannot be listened on.
    """
    calls = Calls(pipeline)
    found = {
        method.path: (method, getattr(implementation, method.attribute))
        for service, implementation in handlers
        for method in service.methods
    }
    frames = Serving(pipeline, found, calls.draining)
    table = {path: calls.handler(*each) for path, each in found.items()}
    table[PATH] = calls.raw(METHOD, frames.serve)
    names = [service.name for service, _ in handlers]
    async with serving(address, names, table, calls, options=OPTIONS, drain=drain) as port:
        yield port


@contextlib.asynccontextmanager
async def serving(  # noqa: PLR0913 - what a server is made of
    address: str,
    names: Sequence[str],
    handlers: Mapping[str, Handler],
    calls: Calls,
    *,
    options: Sequence[tuple[str, int]],
    drain: float,
) -> AsyncIterator[int]:
    """Serve handlers while the context lasts; as `serve_grpc`.

    Args:
        address: `host:port`; port 0 takes a free one.
        names: of the services, for health and reflection.
        handlers: by path.
        calls: what made the handlers.
        options: of gRPC.
        drain: seconds.

    Raises:
        OSError: the address cannot be listened on.
    """
    server = aio.server(options=options, maximum_concurrent_rpcs=MAX_CALLS)
    state = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    shown = [*names, health.SERVICE_NAME, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(shown, server)
    server.add_generic_rpc_handlers((Table({**handlers, REFLECTION: _newer_reflection(shown)}), Unknown()))
    port = _bind(server, address)
    await server.start()
    for name in names:
        await state.set(name, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield port
    finally:
        await state.enter_graceful_shutdown()
        calls.drain()
        stopping = asyncio.create_task(server.stop(drain + ANSWER))
        await asyncio.wait([stopping], timeout=drain)
        calls.abandon()
        await stopping


class Table(grpc.GenericRpcHandler):
    """Handlers by path."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """The handler of a path."""
        return self._handlers.get(handler_call_details.method)


class Unknown(grpc.GenericRpcHandler):
    """Asked last: refuses every path."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        """A handler that says which method is not served."""
        path = handler_call_details.method

        async def handle(
            _: AsyncIterator[bytes], servicer: aio.ServicerContext[bytes, bytes]
        ) -> AsyncIterator[bytes]:
            await refuse(servicer, Error(UNIMPLEMENTED, f"{path} is not served here"))
            yield b""  # never reached: makes this a stream, which fits every kind of call

        make: Callable[[Any], Handler] = grpc.stream_stream_rpc_method_handler
        return make(handle)


def _newer_reflection(names: Sequence[str]) -> Handler:
    make: Callable[..., Handler] = grpc.stream_stream_rpc_method_handler
    return make(
        reflection.aio.ReflectionServicer(names).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )


def _bind(server: aio.Server, address: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError:
        raise OSError(_complaint(address)) from None


def _complaint(address: str) -> str:
    """Why an address cannot be listened on. gRPC does not say; the operating system does."""
    host, _, port = address.rpartition(":")
    try:
        with contextlib.closing(socket.create_server((host.strip("[]"), int(port)))):
            reason = "gRPC refused it"
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    return f"cannot listen for gRPC on {address}: {reason}"
